//! What a command printed and how it ended, with expectations that show all of it when they fail.

use std::fmt;
use std::process::Command;

/// The outcome of one command.
pub struct Output {
    command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Runs `command` to its end.
    pub fn of(command: &mut Command) -> Output {
        let done = command
            .output()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Output::from_done(&format!("{command:?}"), &done)
    }

    /// What a command came to that ran to its end.
    pub fn from_done(command: &str, done: &std::process::Output) -> Output {
        Output {
            command: command.to_owned(),
            code: done.status.code(),
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        }
    }

    /// Expects success; what was printed, trimmed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == Some(0), "should have succeeded: {self}");
        self.stdout.trim().to_owned()
    }

    /// Expects failure; all that the user saw.
    #[track_caller]
    pub fn fails(self) -> String {
        assert!(self.code != Some(0), "should have failed: {self}");
        self.text()
    }

    /// Expects failure with a message that contains each of `parts`.
    #[track_caller]
    pub fn fails_with(self, parts: &[&str]) {
        assert!(
            self.code != Some(0),
            "should have failed with {parts:?}: {self}"
        );
        let seen = self.text();
        for part in parts {
            assert!(seen.contains(part), "the message lacks `{part}`: {self}");
        }
    }

    /// Everything that was printed.
    pub fn text(&self) -> String {
        format!("{}{}", self.stderr, self.stdout)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Output {
            command,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "{command}\nended with {code:?}\nstdout: {stdout}\nstderr: {stderr}"
        )
    }
}
