//! The errors of running a program.

use super::programs;
use std::io;
use std::time::Duration;

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no program to start.
    #[error("argv is empty: its first item is the program to run")]
    NoProgram,
    /// The operating system has no way to pass this on.
    #[error("{what} contains a NUL byte")]
    Nul {
        /// What holds the byte: an argument, a variable, the directory.
        what: String,
    },
    /// Not a name that an environment variable can have.
    #[error("`{0}` cannot be the name of an environment variable")]
    VariableName(String),
    /// A variable that brings code with it.
    #[error("`{0}` cannot be set: it would have the program run other code than its own")]
    Astray(String),
    /// Not a program's name, and not where one is.
    #[error("`{0}` is neither the name of a program nor an absolute path")]
    Relative(String),
    /// The working directory cannot be entered.
    #[error("cannot use `{path}` as the working directory: {source}")]
    Directory {
        /// The directory.
        path: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It could not be started.
    #[error("cannot start `{program}`: {}", start_reason(.source))]
    Start {
        /// The first item of `argv`.
        program: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It was still running at its deadline, and was killed with its group.
    #[error("`{program}` did not end within {} s and was killed; give it a longer `timeout`", .timeout.as_secs_f64())]
    Timeout {
        /// The first item of `argv`.
        program: String,
        /// The deadline.
        timeout: Duration,
    },
    /// It wrote more than it may, and was killed with its group.
    #[error(
        "`{program}` wrote more than {limit} bytes and was killed; raise `max_output`, or let it write to a file"
    )]
    TooMuchOutput {
        /// The first item of `argv`.
        program: String,
        /// [`Command::max_output`].
        limit: usize,
    },
    /// It ended with a code other than 0.
    #[error("`{program}` {how}{}", line_of(.last_line))]
    Failed {
        /// The first item of `argv`.
        program: String,
        /// `exited with code 1`, or `was ended by signal 9`.
        how: String,
        /// The last line that it wrote to stderr.
        last_line: String,
    },
    /// Its pipes or its state could not be read.
    #[error("lost touch with `{program}`: {source}")]
    Lost {
        /// The first item of `argv`.
        program: String,
        /// The operating system's reason.
        source: io::Error,
    },
}

fn line_of(last_line: &str) -> String {
    if last_line.is_empty() {
        String::new()
    } else {
        format!(": {last_line}")
    }
}

fn start_reason(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "no such program (is its package installed? names are looked up in {})",
                programs::PLACES.join(", ")
            )
        }
        io::ErrorKind::ArgumentListTooLong => {
            "its arguments are too long; pass them by `stdin`".to_owned()
        }
        _ => source.to_string(),
    }
}
