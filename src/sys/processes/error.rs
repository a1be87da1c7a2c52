//! Errors of running a program.

use super::programs;
use crate::sys::memory::Spent;
use std::io;
use std::time::Duration;

/// An error of running a program.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// `argv` is empty.
    #[error("argv is empty: its first item is the program to run")]
    NoProgram,
    /// A text contains a NUL byte, which cannot be passed to a program.
    #[error("{what} contains a NUL byte")]
    Nul {
        /// The text: an argument, a variable or the directory.
        what: String,
    },
    /// The name of an environment variable is invalid.
    #[error("`{0}` cannot be the name of an environment variable")]
    VariableName(String),
    /// A variable would make the program run foreign code.
    #[error("`{0}` cannot be set: it would make the program run foreign code")]
    Injecting(String),
    /// The program is a relative path.
    #[error("`{0}` is neither the name of a program nor an absolute path")]
    Relative(String),
    /// The working directory is not usable.
    #[error("cannot use `{path}` as the working directory: {cause}")]
    Directory {
        /// The directory.
        path: String,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The program could not be started.
    #[error("cannot start `{program}`: {}", start_reason(.cause))]
    Start {
        /// The first item of `argv`.
        program: String,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The program was killed with its process group after its timeout.
    #[error("`{program}` did not exit within {} s and was killed; raise `timeout`", .timeout.as_secs_f64())]
    Timeout {
        /// The first item of `argv`.
        program: String,
        /// The timeout.
        timeout: Duration,
    },
    /// The program exceeded its output limit and was killed with its process group.
    #[error(
        "`{program}` wrote more than {limit} bytes and was killed; raise `max_output`, or write to a file"
    )]
    TooMuchOutput {
        /// The first item of `argv`.
        program: String,
        /// [`Command::max_output`].
        limit: usize,
    },
    /// The program's output exceeded the script's allowance, and the program was killed with its
    /// process group.
    #[error("`{program}` was killed: {cause}")]
    Memory {
        /// The first item of `argv`.
        program: String,
        /// The allowance.
        cause: Spent,
    },
    /// The program failed.
    #[error("`{program}` {how}{}", line_of(.last_line))]
    Failed {
        /// The first item of `argv`.
        program: String,
        /// The outcome: `exited with code 1`, or `was killed by signal 9`.
        how: String,
        /// The last line of its stderr.
        last_line: String,
    },
    /// The program's output or status could not be read.
    #[error("cannot read the output of `{program}`: {cause}")]
    Lost {
        /// The first item of `argv`.
        program: String,
        /// The error of the operating system.
        cause: io::Error,
    },
}

fn line_of(last_line: &str) -> String {
    if last_line.is_empty() {
        String::new()
    } else {
        format!(": {last_line}")
    }
}

fn start_reason(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "no such program (is its package installed? searched in {})",
                programs::PLACES.join(", ")
            )
        }
        io::ErrorKind::ArgumentListTooLong => "the arguments are too long; use `stdin`".to_owned(),
        _ => cause.to_string(),
    }
}
