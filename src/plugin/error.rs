//! The errors of calls, and of opening a plugin.

use crate::protocol::{Interface, Method, Missing};
use crate::script::Diagnostic;
use crate::sys::memory::Spent;
use std::io;

/// Why a call has no result, in one line for the engine's user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// No row of the method table has this name.
    #[error("unknown plugin method `{0}`")]
    UnknownMethod(String),
    /// The plugin has no script for the interface.
    #[error("plugin `{plugin}` has no {file}")]
    NoScript {
        /// The plugin's name.
        plugin: String,
        /// The missing file.
        file: String,
    },
    /// The script has no hook for an optional method, or Moondock does not serve the method.
    #[error("{}", not_implemented(.0))]
    NotImplemented(&'static Method),
    /// The request's body cannot be decoded.
    #[error("the request cannot be read: {0}")]
    BadRequest(String),
    /// The engine repeated a call that got no answer, but without its arguments
    /// (protocol 1.6): because the answer was lost, or for the reason given here.
    #[error("{}", lost(.0.as_deref()))]
    NoArguments(Option<String>),
    /// The request's body is larger than the method's limit.
    #[error("the body of {method} is larger than {limit} bytes")]
    TooLarge {
        /// The method's wire name.
        method: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The calls of the script hold too much already.
    #[error("{0}")]
    Spent(Spent),
    /// The object does not exist, as the hook says.
    #[error("{0}")]
    Absent(String),
    /// The script could not be loaded.
    #[error("the script is broken: {}", .0.short())]
    Broken(Diagnostic),
    /// The plugin could not be opened.
    #[error("the plugin cannot be opened: {0}")]
    Unopened(String),
    /// The hook failed.
    #[error("{}", .0.short())]
    Failed(Diagnostic),
    /// Moondock panicked, which is in the log.
    #[error("{PANICKED}")]
    Panicked,
}

impl CallError {
    /// Returns the HTTP status of the answer.
    pub(super) fn status(&self) -> u16 {
        match self {
            CallError::UnknownMethod(_)
            | CallError::NoScript { .. }
            | CallError::NotImplemented(_) => 404,
            CallError::BadRequest(_) | CallError::NoArguments(_) => 400,
            CallError::TooLarge { .. } => 413,
            CallError::Absent(_)
            | CallError::Spent(_)
            | CallError::Broken(_)
            | CallError::Unopened(_)
            | CallError::Failed(_)
            | CallError::Panicked => 500,
        }
    }

    /// Whether the connection must be closed without an answer: the engine would take any answer
    /// for the object's absence, and the error does not mean that.
    pub(super) fn requires_hang_up(&self, method: &Method) -> bool {
        let is_definite = matches!(
            self,
            CallError::Absent(_) | CallError::TooLarge { .. } | CallError::UnknownMethod(_)
        );
        method.hang_up_on_failure && !is_definite
    }
}

fn not_implemented(method: &Method) -> String {
    let wire = method.wire;
    match method.missing {
        Missing::Instead(other) => {
            format!("{wire} is not implemented: the script has `{other}` instead")
        }
        _ => format!("{wire} is not implemented"),
    }
}

/// Describes a call that was repeated without its arguments. `cause` is why it got no answer, if that
/// is known.
fn lost(cause: Option<&str>) -> String {
    match cause {
        None => "the answer was lost, and the engine repeated the call without its arguments: repeat the command"
            .to_owned(),
        Some(cause) => format!("repeated by the engine without arguments, after it failed: {cause}"),
    }
}

/// The message about a panic, which is in the log.
pub(super) const PANICKED: &str = "internal error of moondock, see its log";

/// Why a plugin cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be read.
    #[error("cannot read the scripts in `{dir}`")]
    Unreadable {
        /// The directory.
        dir: String,
        /// The system's error.
        source: io::Error,
    },
    /// The state cannot be used.
    #[error("cannot use the state in `{dir}`")]
    State {
        /// The directory.
        dir: String,
        /// The system's error.
        source: io::Error,
    },
    /// A file has an error.
    #[error("{0}")]
    Script(Diagnostic),
    /// The system cannot start a thread for a script.
    #[error("cannot start a thread for `{script}`")]
    Thread {
        /// The script's file.
        script: String,
        /// The system's error.
        source: io::Error,
    },
    /// There is nothing to serve.
    #[error("`{0}` contains none of {files}", files = Interface::ALL.map(Interface::file).join(", "))]
    Empty(String),
}

impl OpenError {
    /// Whether the plugin's directory does not exist.
    pub(super) fn is_absence(&self) -> bool {
        let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        matches!(self, Self::Unreadable { source, .. } if absent.contains(&source.kind()))
    }
}
