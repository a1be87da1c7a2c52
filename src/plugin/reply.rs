//! What the engine gets.

use super::CallError;
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

impl From<&CallError> for Reply {
    /// One form for all interfaces and for podman (`protocol.md` 0.6).
    fn from(error: &CallError) -> Self {
        Reply::error(error.status(), &error.to_string())
    }
}

impl Reply {
    /// Returns an error in the two fields that the engine's decoders look at (`protocol.md` 0.6).
    pub fn error(status: u16, message: &str) -> Self {
        let body = json!({ "Err": message, "Error": message });
        Reply::Answer {
            status,
            body: body.to_string().into_bytes(),
        }
    }

    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Reply::Answer {
            status: 200,
            body: body.into(),
        }
    }
}
