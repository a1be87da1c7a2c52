//! The answer to a call, as the engine gets it.

use super::CallError;
use bytes::Bytes;
use serde_json::json;
use std::task::{Context, Poll};
use tokio::sync::mpsc::Receiver;

/// The answer to a call.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// A JSON body with an HTTP status. Only 200 is success (protocol 0.2).
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body, in JSON.
        body: Vec<u8>,
    },
    /// A connection closed without an answer, after which the engine tries again.
    HangUp,
    /// A body that is produced while it is read, with the status 200.
    Stream(ReplyStream),
}

/// The parts of a body as they are produced. After an error, the connection is cut, so that the
/// reader knows that the body is incomplete.
#[derive(Debug)]
pub struct ReplyStream {
    first: Option<Bytes>,
    rest: Receiver<Result<Bytes, CallError>>,
}

impl ReplyStream {
    /// Creates a stream of `first`, if there is one, and of what `rest` receives.
    pub(super) fn new(first: Option<Bytes>, rest: Receiver<Result<Bytes, CallError>>) -> Self {
        Self { first, rest }
    }

    /// Polls for the next part; `None` after the last.
    pub fn poll_part(&mut self, context: &mut Context) -> Poll<Option<Result<Bytes, CallError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.rest.poll_recv(context),
        }
    }
}

impl PartialEq for ReplyStream {
    /// Returns false: parts that are yet to come cannot be compared.
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl From<&CallError> for Reply {
    fn from(error: &CallError) -> Self {
        Reply::error(error.status(), &error.to_string())
    }
}

impl Reply {
    /// Creates an error with both fields that engines and Podman read (protocol 0.6).
    pub fn error(status: u16, message: &str) -> Self {
        let body = json!({ "Err": message, "Error": message });
        Reply::Answer {
            status,
            body: body.to_string().into_bytes(),
        }
    }

    /// Creates a success.
    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Reply::Answer {
            status: 200,
            body: body.into(),
        }
    }
}
