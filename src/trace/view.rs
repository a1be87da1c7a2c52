//! A call as it is shown: JSON in which secrets are hidden.

use super::mask::{mask, mask_target, mask_text};
use super::{Part, PassedCall};
use crate::protocol::Answer;
use crate::telemetry::timestamp;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The fields of an authorization request that contain a body in Base64.
const BODIES: [&str; 2] = ["RequestBody", "ResponseBody"];

/// The field with the target of the request that is to be authorized.
const TARGET: &str = "RequestUri";

impl PassedCall {
    /// Returns the call as a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "time": timestamp(self.ended),
            "plugin": self.plugin,
            "method": self.method.wire,
            "object": mask_text(&self.object),
            "verdict": self.verdict,
            "outcome": mask_text(&self.outcome),
            "ms": self.took.as_secs_f64() * 1e3,
            "generation": self.generation,
            "request": self.request(),
            "reply": self.reply(),
        })
    }

    /// Returns the request, in which secrets are hidden.
    pub fn request(&self) -> Value {
        let mut shown = shown(&self.request);
        if self.method.answer == Answer::Policy {
            open_envelope(&mut shown);
        }
        mask(&mut shown);
        shown
    }

    /// Returns the reply, in which secrets are hidden; `null` for an error.
    pub fn reply(&self) -> Value {
        let mut shown = self.reply.as_ref().map_or(Value::Null, shown);
        mask(&mut shown);
        shown
    }
}

/// Decodes the bodies in an authorization request, and hides the secrets of its target.
fn open_envelope(envelope: &mut Value) {
    for name in BODIES {
        if let Some(body) = envelope.get_mut(name)
            && let Some(bytes) = body
                .as_str()
                .and_then(|text| BASE64_STANDARD.decode(text).ok())
        {
            *body = document(&bytes);
        }
    }
    if let Some(Value::String(target)) = envelope.get_mut(TARGET) {
        *target = mask_target(target);
    }
}

fn shown(part: &Part) -> Value {
    match part {
        Part::Whole(bytes) => document(bytes),
        Part::TooLarge(length) => left_out(*length, "too many to be shown"),
    }
}

fn document(bytes: &[u8]) -> Value {
    if bytes.trim_ascii().is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(bytes).unwrap_or_else(|_| left_out(bytes.len(), "not JSON"))
}

fn left_out(length: usize, why: &str) -> Value {
    Value::String(format!("({length} bytes, {why})"))
}
