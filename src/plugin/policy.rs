//! Authorization: what the engine is asked, judged by the host first and by the script then. Only `true` allows.

use super::outcome::Outcome;
use super::request::{Message, Registry, Request};
use super::slot::{Live, Slot};
use super::{CallError, Surroundings};
use crate::authz::{Announced, Body, HostMount, Refusal, Target, host_paths, resolve};
use crate::metrics::Verdict;
use crate::protocol::Method;
use crate::script::{Diagnostic, type_of};
use mlua::{MultiValue, Value};
use serde_json::json;
use std::path::Path;
use std::rc::Rc;

/// The longest reason of a denial, in bytes; the rest is cut off.
const LONGEST_REASON: usize = 4 << 10;

/// A decision and the reason of a denial.
enum Decision {
    Allow,
    Deny(String),
    /// It is denied since nobody could decide.
    Fail(String),
}

/// Decides on one request or reply.
pub(super) async fn decide(
    slot: &Slot,
    method: &'static Method,
    live: &Result<Live, CallError>,
    body: &[u8],
) -> Outcome {
    let message = match read(body) {
        Ok(message) => message,
        Err(problem) => {
            return Outcome::failed(
                CallError::BadRequest {
                    method: method.wire,
                    problem,
                },
                String::new(),
            );
        }
    };
    let target = Target::parse(&message.request_method, &message.request_uri);
    let object = object_of(&message, &target);
    let decision = match live {
        Ok(live) => match prepare(slot, &message, &target).await {
            Ok((body, mounts)) => {
                let route = (target.action(), target.effect());
                judge(
                    slot,
                    method,
                    live,
                    Request::new(message, route, body, mounts),
                )
                .await
            }
            Err(refusal) => Decision::Deny(refusal.to_string()),
        },
        Err(error) => Decision::Fail(error.to_string()),
    };
    decision.outcome(object)
}

fn read(body: &[u8]) -> Result<Message<'_>, String> {
    let message: Message = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    match (
        message.request_method.as_str(),
        message.request_uri.as_str(),
    ) {
        ("", _) => Err("`RequestMethod` is missing or empty".to_owned()),
        (_, "") => Err("`RequestUri` is missing or empty".to_owned()),
        _ => Ok(message),
    }
}

/// The request without its query, which may hold secrets, and what a policy calls it.
fn object_of(message: &Message, target: &Target) -> String {
    let path = message.request_uri.split('?').next().unwrap_or_default();
    [
        &message.request_method,
        " ",
        path,
        " (",
        target.action().unwrap_or("unknown"),
        ")",
    ]
    .concat()
}

async fn judge(
    slot: &Slot,
    method: &'static Method,
    live: &Live,
    request: Rc<Request>,
) -> Decision {
    let lua = live.script.lua();
    let table = Registry::of(&live.script).and_then(|registry| registry.table(lua, request));
    let (table, running) = match table {
        Ok(made) => made,
        Err(error) => return Decision::Fail(format!("the policy's state is unusable: {error}")),
    };
    let result = live
        .script
        .call(method, table, live.manifest.deadline(method))
        .await;
    drop(running);
    match result {
        Ok(values) => decision_of(slot, method, live, values),
        Err(diagnostic) => failed(slot, diagnostic),
    }
}

/// Everything that the host itself refuses, and what it finds out for the script.
async fn prepare(
    slot: &Slot,
    message: &Message<'_>,
    target: &Target<'_>,
) -> Result<(Body, Vec<HostMount>), Refusal> {
    let headers = message
        .request_headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let body = Body::read(
        target,
        &Announced::of(headers),
        message.request_body.as_deref(),
    )?;
    let mounts = match (target.action(), body.document()) {
        (Some(action), Some(document)) => {
            resolved(host_paths(action, document)?, &slot.core.spec.surroundings).await?
        }
        _ => Vec::new(),
    };
    Ok((body, mounts))
}

/// Following links touches disks, which may be slow or dead, unless the kernel has all of it at hand.
async fn resolved(
    mut mounts: Vec<HostMount>,
    surroundings: &Surroundings,
) -> Result<Vec<HostMount>, Refusal> {
    if mounts
        .iter_mut()
        .all(|mount| surroundings.resolve_without_waiting(mount))
    {
        return Ok(mounts);
    }
    let unreadable = || Refusal::HostPath {
        via: "the request".to_owned(),
        reason: "its links cannot be followed",
    };
    let surroundings = surroundings.clone();
    let following = tokio::task::spawn_blocking(move || {
        resolve(&mut mounts, &|path: &Path| surroundings.read_link(path))?;
        surroundings.reject_invisible(&mounts).map(|()| mounts)
    });
    following.await.unwrap_or_else(|_| Err(unreadable()))
}

fn decision_of(
    slot: &Slot,
    method: &'static Method,
    live: &Live,
    mut values: MultiValue,
) -> Decision {
    match (values.pop_front(), values.pop_front()) {
        (Some(Value::Boolean(true)), _) => Decision::Allow,
        (Some(Value::Boolean(false)), Some(Value::String(reason))) => {
            Decision::Deny(clip(reason.to_string_lossy()))
        }
        (Some(Value::Boolean(false)), None | Some(Value::Nil)) => Decision::Deny(format!(
            "the policy of plugin `{}` gives no reason",
            slot.name()
        )),
        (first, _) => {
            let what = first.as_ref().map_or("nothing", type_of);
            let message = format!("`{}` returned {what}, which is no decision", method.hook);
            let diagnostic = Diagnostic::of_file(method.interface.file(), message)
                .at(live.script.line_of(method))
                .cure("return `true`, or `false` and the reason");
            failed(slot, live.script.excerpt(diagnostic))
        }
    }
}

fn failed(slot: &Slot, diagnostic: Diagnostic) -> Decision {
    tracing::warn!(plugin = slot.name(), "{diagnostic}");
    Decision::Fail(format!("the policy failed: {}", diagnostic.short()))
}

fn clip(mut reason: String) -> String {
    if reason.len() > LONGEST_REASON {
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        reason.push('…');
    }
    reason
}

impl Decision {
    fn outcome(self, object: String) -> Outcome {
        let (verdict, reason) = match self {
            Decision::Allow => {
                let allowed = Outcome::ok(br#"{"Allow":true}"#.to_vec(), object);
                return Outcome {
                    text: "allowed".to_owned(),
                    ..allowed
                };
            }
            Decision::Deny(reason) => (Verdict::Denied, reason),
            Decision::Fail(reason) => (Verdict::Failed, reason),
        };
        let reply = json!({ "Allow": false, "Msg": reason })
            .to_string()
            .into_bytes();
        Outcome {
            verdict,
            text: format!("denied: {reason}"),
            ..Outcome::ok(reply, object)
        }
    }
}
