//! Replies, and the errors that Docker is told: one line each.

use crate::protocol::{Interface, Method};
use crate::script::Diagnostic;
use bytes::Bytes;
use serde_json::json;
use std::task::{Context, Poll};
use tokio::sync::mpsc::Receiver;

/// What the engine gets.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// A JSON body under an HTTP status. Only 200 is success (`protocol.md` 0.2).
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body, in JSON.
        body: Vec<u8>,
    },
    /// The connection is closed without an answer, which the engine takes for "not now" and tries again.
    HangUp,
    /// A body that is made as it is read, under the status 200.
    Stream(ReplyStream),
}

/// A body's parts as they come. The connection is cut after an error, so that its reader knows that it is not whole.
#[derive(Debug)]
pub struct ReplyStream {
    first: Option<Bytes>,
    rest: Receiver<Result<Bytes, CallError>>,
}

impl ReplyStream {
    pub(super) fn new(first: Option<Bytes>, rest: Receiver<Result<Bytes, CallError>>) -> Self {
        Self { first, rest }
    }

    /// The next part, when it is there; nothing after the last.
    pub fn poll_part(&mut self, context: &mut Context) -> Poll<Option<Result<Bytes, CallError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.rest.poll_recv(context),
        }
    }
}

impl PartialEq for ReplyStream {
    /// What is still to come cannot be compared.
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

/// Why a call gives no result, in one line for the engine's user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// No row of the table has this name.
    #[error("`{0}` is no method of a Docker plugin")]
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
}

impl CallError {
    fn status(&self) -> u16 {
        match self {
            CallError::UnknownMethod(_)
            | CallError::NoScript { .. }
            | CallError::NotImplemented(_) => 404,
            CallError::BadRequest { .. } | CallError::NoArguments(_) => 400,
            CallError::TooLarge { .. } => 413,
            CallError::Absent(_) | CallError::Broken(_) | CallError::Failed(_) => 500,
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

impl From<&CallError> for Reply {
    /// One form for all interfaces and for podman (`protocol.md` 0.6).
    fn from(error: &CallError) -> Self {
        let message = error.to_string();
        let body = json!({ "Err": message, "Error": message })
            .to_string()
            .into_bytes();
        Reply::Answer {
            status: error.status(),
            body,
        }
    }
}

impl Reply {
    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Reply::Answer {
            status: 200,
            body: body.into(),
        }
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
    /// There is nothing to serve.
    #[error("`{0}` contains none of {files}", files = Interface::ALL.map(Interface::file).join(", "))]
    Empty(String),
}
