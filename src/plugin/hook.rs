//! Calls that a hook answers: decodes the request, calls the hook, checks and encodes its reply.

use super::CallError;
use super::outcome::Outcome;
use super::slot::{Live, Slot};
use crate::protocol::Method;
use crate::script::{Owed, decode, encode};
use mlua::{IntoLuaMulti, MultiValue, Table, Value};
use std::path::{Component, Path};

/// Answers a call with the hook of `method`, or as its row says if the script has none.
pub(super) async fn answer(
    slot: &Slot,
    method: &'static Method,
    live: &Live,
    body: &[u8],
) -> Outcome {
    if !live.script.has(method) {
        return Outcome::without_hook(method);
    }
    let request = match decode(live.script.lua(), method.request, body) {
        Ok(request) => request,
        Err(problem) => return Outcome::failed(unreadable(slot, body, problem), String::new()),
    };
    let object = object_of(method, &request);
    let owed = Owed::of(method, &request);
    let reply = call(slot, method, live, &owed, request).await;
    Outcome::of(reply, object)
}

/// Calls a hook that the engine does not call, for `moondock call`. The fields of the request are
/// its arguments.
pub(super) async fn try_out(
    slot: &Slot,
    method: &'static Method,
    live: &Live,
    body: &[u8],
) -> Outcome {
    if !live.script.has(method) {
        return Outcome::without_hook(method);
    }
    let reply = match arguments(method, live, body) {
        Ok((owed, args)) => call(slot, method, live, &owed, args).await,
        Err(problem) => Err(unreadable(slot, body, problem)),
    };
    Outcome::of(reply, String::new())
}

fn arguments(method: &Method, live: &Live, body: &[u8]) -> Result<(Owed, MultiValue), String> {
    let request = decode(live.script.lua(), method.request, body)?;
    let fields = method.request.fields.iter();
    let args = fields.map(|field| request.raw_get::<Value>(field.name));
    let args = args
        .collect::<mlua::Result<_>>()
        .map_err(|error| error.to_string())?;
    Ok((Owed::of(method, &request), args))
}

/// Calls the hook of `method` with its arguments, and encodes what it returns.
pub(super) async fn call(
    slot: &Slot,
    method: &'static Method,
    live: &Live,
    owed: &Owed,
    args: impl IntoLuaMulti,
) -> Result<Vec<u8>, CallError> {
    let deadline = live.manifest.deadline(method);
    let result = live.script.call_for_value(method, args, deadline).await;
    let value = result.map_err(CallError::Failed)?;
    let reply = encoded(method, live, owed, &value)?;
    reject_unreachable(slot, method, live, &value)?;
    Ok(reply)
}

/// Returns the error for a body that cannot be decoded.
pub(super) fn unreadable(slot: &Slot, body: &[u8], problem: String) -> CallError {
    if body.trim_ascii().is_empty() {
        return CallError::NoArguments(slot.unanswered.borrow().clone());
    }
    CallError::BadRequest(problem)
}

fn object_of(method: &Method, request: &Table) -> String {
    let field = |field| request.raw_get::<Option<String>>(field).ok().flatten();
    method.object.and_then(field).unwrap_or_default()
}

fn encoded(
    method: &'static Method,
    live: &Live,
    owed: &Owed,
    value: &Value,
) -> Result<Vec<u8>, CallError> {
    if let Some(message) = method.absent
        && is_empty(value)
    {
        return Err(CallError::Absent(message.to_owned()));
    }
    let reply = encode(method.reply, value).and_then(|reply| owed.check(value).map(|()| reply));
    reply.map_err(|mismatch| {
        let message = format!("`{}`: {mismatch}", method.hook);
        failed_at(live, method, &message, mismatch.cure)
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Table(table) => table.is_empty(),
        _ => false,
    }
}

/// Rejects a path outside the propagated mount of a managed plugin. A mount there does not reach
/// containers, which would write into the plugin's root file system.
fn reject_unreachable(
    slot: &Slot,
    method: &Method,
    live: &Live,
    value: &Value,
) -> Result<(), CallError> {
    let (Some(propagated), Some(field)) = (slot.core.spec.propagated(), method.reachable) else {
        return Ok(());
    };
    let path: Option<String> = value.as_table().and_then(|reply| reply.raw_get(field).ok());
    let Some(path) = path.filter(|path| !is_below(Path::new(path), propagated)) else {
        return Ok(());
    };
    let propagated = propagated.display();
    let message = format!(
        "`{field}` is `{path}`, and containers reach only what a managed plugin has below `{propagated}`"
    );
    let cure = format!("keep volumes below `{propagated}`, which outlives an upgrade too");
    Err(failed_at(live, method, &message, Some(cure)))
}

fn is_below(path: &Path, dir: &Path) -> bool {
    path.starts_with(dir) && !path.components().any(|part| part == Component::ParentDir)
}

fn failed_at(live: &Live, method: &Method, message: &str, cure: Option<String>) -> CallError {
    let diagnostic = live.script.diagnose(method, message);
    CallError::Failed(match cure {
        Some(cure) => diagnostic.cure(cure),
        None => diagnostic,
    })
}
