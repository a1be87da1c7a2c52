//! The end of a call: the answer, the count and the log line.

use super::{CallError, Reply};
use crate::metrics::Verdict;
use crate::protocol::{Method, Missing};
use tracing::Level;

/// The end of a call.
pub(super) struct Outcome {
    /// The engine's answer.
    pub reply: Result<Vec<u8>, CallError>,
    /// The verdict that is counted.
    pub verdict: Verdict,
    /// The object of the call.
    pub object: String,
    /// `ok`, `denied: …` or `failed: …`, for the log.
    pub text: String,
    /// The level of the call's log line; `None` if it has none.
    pub level: Option<Level>,
}

impl Outcome {
    /// Describes a success.
    pub fn ok(reply: Vec<u8>, object: String) -> Self {
        Self {
            reply: Ok(reply),
            verdict: Verdict::Ok,
            object,
            text: "ok".to_owned(),
            level: Some(Level::INFO),
        }
    }

    /// Describes a failure.
    pub fn failed(error: CallError, object: String) -> Self {
        let (verdict, text) = match &error {
            CallError::Absent(message) => (Verdict::Ok, message.clone()),
            error => (Verdict::Failed, format!("failed: {error}")),
        };
        Self {
            reply: Err(error),
            verdict,
            object,
            text,
            level: Some(Level::INFO),
        }
    }

    /// Describes a reply about `object`.
    pub fn of(reply: Result<Vec<u8>, CallError>, object: String) -> Self {
        match reply {
            Ok(reply) => Self::ok(reply, object),
            Err(error) => Self::failed(error, object),
        }
    }

    /// Sets the level of the log line of a success.
    pub fn at_level_if_ok(mut self, level: Level) -> Self {
        if self.reply.is_ok() {
            self.level = Some(level);
        }
        self
    }

    /// Leaves the call out of the log, where its caller reports it.
    pub fn unlogged(self) -> Self {
        Self {
            level: None,
            ..self
        }
    }

    /// Describes the answer to a method that the script has no hook for.
    pub fn without_hook(method: &'static Method) -> Self {
        match method.missing {
            Missing::Answered(reply) => Self {
                level: Some(Level::DEBUG),
                ..Self::ok(reply.into(), String::new())
            },
            // To the engine, "not implemented" is an answer like any other.
            Missing::NotFound | Missing::Refused | Missing::Instead(_) => Self {
                verdict: Verdict::Ok,
                ..Self::failed(CallError::NotImplemented(method), String::new())
            },
        }
    }

    /// Returns the answer that goes to the engine.
    pub fn into_reply(self, method: &'static Method) -> Reply {
        match self.reply {
            Ok(body) => Reply::ok(body),
            Err(error) if error.requires_hang_up(method) => Reply::HangUp,
            Err(error) => Reply::from(&error),
        }
    }
}
