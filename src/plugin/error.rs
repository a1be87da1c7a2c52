//! Why a call has no result, and why a plugin cannot be opened.

use crate::protocol::{Interface, Method};
use crate::script::Diagnostic;

/// Why a call gives no result, in one line for the engine's user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// No row of the table has this name.
    #[error("unknown plugin method `{0}`")]
    UnknownMethod(String),
    /// The plugin has no script for the interface.
    #[error("plugin `{plugin}` has no {file}")]
    NoScript {
        /// The plugin's name.
        plugin: String,
        /// The file that is missing.
        file: String,
    },
    /// The script has no hook for an optional method, or Moondock does not serve it.
    #[error("{0} is not implemented")]
    NotImplemented(&'static str),
    /// The engine's request cannot be read.
    #[error("{method}: {problem}")]
    BadRequest {
        /// The method's wire name.
        method: &'static str,
        /// What is wrong with the body.
        problem: String,
    },
    /// The engine asks again after it got no answer, and has lost the arguments (`protocol.md` 1.6).
    #[error(
        "{0}: the answer was lost and the engine asked again without the arguments: repeat the command"
    )]
    NoArguments(&'static str),
    /// The body is larger than the method's limit.
    #[error("the body of {method} is larger than {limit} bytes")]
    TooLarge {
        /// The method's wire name.
        method: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The hook says that there is no such object.
    #[error("{0}")]
    Absent(String),
    /// The script could not be loaded.
    #[error("the script is broken: {}", .0.short())]
    Broken(Diagnostic),
    /// The hook failed.
    #[error("{}", .0.short())]
    Failed(Diagnostic),
    /// A fault of Moondock's own, which is logged.
    #[error("{0}: a fault in moondock itself (its log says more)")]
    Panicked(&'static str),
}

impl CallError {
    pub(super) fn status(&self) -> u16 {
        match self {
            CallError::UnknownMethod(_)
            | CallError::NoScript { .. }
            | CallError::NotImplemented(_) => 404,
            CallError::BadRequest { .. } | CallError::NoArguments(_) => 400,
            CallError::TooLarge { .. } => 413,
            CallError::Absent(_)
            | CallError::Broken(_)
            | CallError::Failed(_)
            | CallError::Panicked(_) => 500,
        }
    }

    /// Whether nothing is known of the object, so that a refusal would be taken for its absence.
    pub(super) fn leaves_open(&self, method: &Method) -> bool {
        let told = matches!(
            self,
            CallError::Absent(_) | CallError::TooLarge { .. } | CallError::UnknownMethod(_)
        );
        method.hang_up_on_failure && !told
    }
}

/// Why a plugin cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory cannot be read.
    #[error("cannot read the scripts in `{dir}`: {problem}")]
    Unreadable {
        /// The directory.
        dir: String,
        /// The system's message.
        problem: String,
    },
    /// Its state cannot be used.
    #[error("cannot use the state in `{dir}`: {problem}")]
    State {
        /// The directory.
        dir: String,
        /// What is wrong.
        problem: String,
    },
    /// A file has an error.
    #[error("{0}")]
    Script(Diagnostic),
    /// The system has no thread for a script.
    #[error("cannot start a thread for `{script}`")]
    Thread {
        /// The script's file.
        script: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Loading ran into a fault of Moondock's own, which is logged.
    #[error("cannot load `{0}`: a fault in moondock itself (its log says more)")]
    Panicked(String),
    /// There is nothing to serve.
    #[error("`{0}` contains none of {files}", files = Interface::ALL.map(Interface::file).join(", "))]
    Empty(String),
}
