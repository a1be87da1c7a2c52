//! Authorization: the host judges a request first, then the script. Only `true` allows.

use super::outcome::Outcome;
use super::request::request_table;
use super::slot::{Live, Slot};
use super::{CallError, Surroundings};
use crate::authz::{HostMount, Refusal, Request, resolve};
use crate::metrics::Verdict;
use crate::protocol::Method;
use crate::script::{Diagnostic, type_of};
use mlua::{MultiValue, Value};
use serde_json::json;
use std::mem::take;
use std::path::Path;

/// The limit on the reason of a denial, in bytes; the rest is cut off.
const REASON_LIMIT: usize = 4 << 10;

/// A decision, and the reason of a denial.
enum Decision {
    Allow,
    Deny(String),
    /// The request is denied because nobody could decide.
    Fail(String),
}

/// Decides on a request or a reply.
pub(super) async fn decide(
    slot: &Slot,
    method: &'static Method,
    live: &Result<Live, CallError>,
    body: &[u8],
) -> Outcome {
    let request = match Request::read(body) {
        Ok(request) => request,
        Err(problem) => return Outcome::failed(CallError::BadRequest(problem), String::new()),
    };
    let object = object_of(&request);
    let decision = match live {
        Ok(live) => judge(slot, method, live, request).await,
        Err(error) => Decision::Fail(error.to_string()),
    };
    decision.outcome(object)
}

/// Returns how the log names a request: without its query, which may hold secrets.
fn object_of(request: &Request) -> String {
    let action = request.action.unwrap_or("unknown");
    let path = request.path_as_sent();
    [&request.method, " ", path, " (", action, ")"].concat()
}

async fn judge(
    slot: &Slot,
    method: &'static Method,
    live: &Live,
    mut request: Request,
) -> Decision {
    if let Err(refusal) = examine(&mut request, &slot.core.spec.surroundings).await {
        return Decision::Deny(refusal.to_string());
    }
    let (table, running) = match request_table(&live.script, request) {
        Ok(made) => made,
        Err(error) => return Decision::Fail(format!("the policy's state is unusable: {error}")),
    };
    let deadline = live.manifest.deadline(method);
    let result = live.script.call(method, table, deadline).await;
    drop(running);
    match result {
        Ok(values) => decision_of(slot, method, live, values),
        Err(diagnostic) => failed(slot, &diagnostic),
    }
}

/// Finds out what the script may ask about, and refuses what the host itself denies.
async fn examine(request: &mut Request, surroundings: &Surroundings) -> Result<(), Refusal> {
    request.examine()?;
    let at_once = |mount| surroundings.resolve_without_waiting(mount);
    if !request.mounts.iter_mut().all(at_once) {
        request.mounts = follow_links(take(&mut request.mounts), surroundings).await?;
    }
    Ok(())
}

/// Follows links where the kernel has to ask a disk or a server, which may be slow or dead.
async fn follow_links(
    mut mounts: Vec<HostMount>,
    surroundings: &Surroundings,
) -> Result<Vec<HostMount>, Refusal> {
    let surroundings = surroundings.clone();
    let following = tokio::task::spawn_blocking(move || {
        resolve(&mut mounts, &|path: &Path| surroundings.read_link(path))?;
        surroundings.reject_invisible(&mounts).map(|()| mounts)
    });
    following.await.unwrap_or_else(|_| {
        Err(Refusal::HostPath {
            via: "the request".to_owned(),
            reason: "its symbolic links cannot be followed",
        })
    })
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
            let message = format!(
                "`{}` must return `true`, or `false` and a reason; it returned {what}",
                method.hook
            );
            failed(slot, &live.script.diagnose(method, &message))
        }
    }
}

fn failed(slot: &Slot, diagnostic: &Diagnostic) -> Decision {
    tracing::warn!(plugin = slot.name(), "{diagnostic}");
    Decision::Fail(format!("the policy failed: {}", diagnostic.short()))
}

fn clip(mut reason: String) -> String {
    if reason.len() > REASON_LIMIT {
        reason.truncate(reason.floor_char_boundary(REASON_LIMIT));
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
