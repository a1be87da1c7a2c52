//! One call: found, run, told, logged.

use super::core::{ACTIVATE, Live, find_method};
use super::{CallError, Plugin, Reply, policy};
use crate::metrics::Verdict;
use crate::protocol::{Interface, Method, Missing};
use crate::script::{Diagnostic, Owed, decode, encode};
use bytes::Bytes;
use mlua::{IntoLuaMulti, MultiValue, Table, Value};
use std::path::{Component, Path};
use std::rc::Rc;
use std::time::Instant;

/// How a call ended, for the log.
pub(super) struct Outcome {
    /// What the engine gets.
    pub reply: Result<Vec<u8>, CallError>,
    /// What is counted.
    pub verdict: Verdict,
    /// What the call was about.
    pub object: String,
    /// `ok`, `denied` or `failed`, or what was decided.
    pub text: String,
}

impl Plugin {
    /// Answers a call to `path`, such as `/VolumeDriver.Create`.
    pub async fn call(self: &Rc<Self>, path: &str, body: Bytes) -> Reply {
        if path == ACTIVATE {
            return self.activate().await;
        }
        match find_method(path) {
            Ok(method) => {
                self.notice_greeting(method).await;
                self.call_method(method, body).await
            }
            Err(error) => Reply::from(&error),
        }
    }

    /// Calls a hook that no request names, as the host does: for trying it out. Its arguments are the request's fields.
    pub async fn call_as_host(self: &Rc<Self>, method: &'static Method, body: Bytes) -> Reply {
        let called = async {
            let live = self.live(method.interface)?;
            if !live.script.has(method) {
                return Err(CallError::NotImplemented(method.wire));
            }
            let bad_request = |problem| CallError::BadRequest {
                method: method.wire,
                problem,
            };
            let request = decode(live.script.lua(), method.request, &body).map_err(bad_request)?;
            let fields = method
                .request
                .fields
                .iter()
                .map(|field| request.raw_get::<Value>(field.name));
            let args = fields
                .collect::<mlua::Result<MultiValue>>()
                .map_err(|e| bad_request(e.to_string()))?;
            self.call_hook(method, &live, &Owed::of(method, &request), args)
                .await
        };
        let reply = called.await;
        if let Err(CallError::Failed(diagnostic)) = &reply {
            tracing::warn!(plugin = self.name(), "{diagnostic}");
        }
        reply.map_or_else(|error| Reply::from(&error), Reply::ok)
    }

    async fn call_method(self: &Rc<Self>, method: &'static Method, body: Bytes) -> Reply {
        let started = Instant::now();
        let live = self.live(method.interface);
        let generation = live.as_ref().map_or(0, |live| live.script.generation);
        if let Ok(live) = &live
            && method.hook == "read"
            && method.interface == Interface::Log
            && live.script.has(method)
        {
            return self.read_log(method, live, &body).await;
        }
        let outcome = self.run(method, &live, body).await;
        self.meters.call(method, outcome.verdict, started.elapsed());
        match &live {
            Ok(live) if outcome.reply.is_ok() && !live.script.has(method) => {
                tracing::debug!(
                    plugin = self.name(),
                    method = method.wire,
                    "answered without a hook"
                );
            }
            _ => self.log(method, &outcome, generation, started),
        }
        if let Ok(live) = live {
            self.weigh(&live.script);
            self.replace_if_worn(&live).await;
        }
        match &outcome.reply {
            Ok(_) => {}
            Err(error) if error.leaves_open(method) => return Reply::HangUp,
            Err(error) => return Reply::from(error),
        }
        outcome.reply.map_or(Reply::HangUp, Reply::ok)
    }

    async fn run(
        self: &Rc<Self>,
        method: &'static Method,
        live: &Result<Live, CallError>,
        body: Bytes,
    ) -> Outcome {
        match live {
            Ok(live) if method.interface == Interface::Log => {
                self.log_outcome(method, live, &body).await
            }
            Ok(live) if method.interface == Interface::Metrics => {
                self.metrics_outcome(method, live, &body).await
            }
            Ok(live) if !live.script.has(method) => Outcome::without_hook(method),
            live if method.interface == Interface::Authz => {
                policy::decide(self, method, live, &body).await
            }
            Ok(live) => self.answer(method, live, &body).await,
            Err(error) => Outcome::failed(error.clone(), String::new()),
        }
    }

    /// Calls a hook that has its arguments already, and reads what it returns.
    pub(super) async fn call_hook(
        &self,
        method: &'static Method,
        live: &Live,
        owed: &Owed,
        args: impl IntoLuaMulti,
    ) -> Result<Vec<u8>, CallError> {
        let result = live
            .script
            .call(method, args, live.manifest.deadline(method))
            .await;
        result.map_err(CallError::Failed).and_then(|mut values| {
            let value = values.pop_front().unwrap_or(Value::Nil);
            let reply = reply_of(method, live, owed, &value)?;
            self.refuse_unreachable(method, live, &value)
                .map(|()| reply)
        })
    }

    pub(super) async fn answer(
        &self,
        method: &'static Method,
        live: &Live,
        body: &[u8],
    ) -> Outcome {
        let request = match decode(live.script.lua(), method.request, body) {
            Ok(request) => request,
            Err(_) if body.is_empty() => {
                return Outcome::failed(CallError::NoArguments(method.wire), String::new());
            }
            Err(problem) => {
                let error = CallError::BadRequest {
                    method: method.wire,
                    problem,
                };
                return Outcome::failed(error, String::new());
            }
        };
        let (object, owed) = (object_of(method, &request), Owed::of(method, &request));
        match self.call_hook(method, live, &owed, request).await {
            Ok(reply) => Outcome::ok(reply, object),
            Err(error) => Outcome::failed(error, object),
        }
    }

    /// What a managed plugin mounts elsewhere does not reach containers, which then write into its root file system.
    fn refuse_unreachable(
        &self,
        method: &Method,
        live: &Live,
        value: &Value,
    ) -> Result<(), CallError> {
        let (Some(reachable), "VolumeDriver.Mount") = (self.spec.propagated(), method.wire) else {
            return Ok(());
        };
        let mountpoint: Option<String> = value
            .as_table()
            .and_then(|reply| reply.raw_get("Mountpoint").ok());
        let is_below = |path: &Path| {
            path.starts_with(reachable) && !path.components().any(|c| c == Component::ParentDir)
        };
        match mountpoint.filter(|path| !is_below(Path::new(path))) {
            None => Ok(()),
            Some(path) => {
                let reachable = reachable.display();
                let message = format!(
                    "`Mountpoint` is `{path}`, and containers reach only what a managed plugin has below `{reachable}`"
                );
                let diagnostic = Diagnostic::of_file(method.interface.file(), message)
                    .at(live.script.line_of(method))
                    .cure(format!(
                        "keep volumes below `{reachable}`, which outlives an upgrade too"
                    ));
                Err(CallError::Failed(live.script.excerpt(diagnostic)))
            }
        }
    }

    pub(super) fn log(
        &self,
        method: &Method,
        outcome: &Outcome,
        generation: u64,
        started: Instant,
    ) {
        let ms = started.elapsed().as_secs_f64() * 1e3;
        let Outcome {
            reply,
            object,
            text,
            ..
        } = outcome;
        if let Err(CallError::Failed(diagnostic)) = reply
            && !diagnostic.is_deliberate()
        {
            tracing::warn!(plugin = self.name(), "{diagnostic}");
        }
        tracing::info!(
            plugin = self.name(),
            method = method.wire,
            object,
            outcome = text,
            ms,
            generation
        );
    }
}

impl Outcome {
    pub(super) fn ok(reply: Vec<u8>, object: String) -> Self {
        Self {
            reply: Ok(reply),
            verdict: Verdict::Ok,
            object,
            text: "ok".to_owned(),
        }
    }

    pub(super) fn failed(error: CallError, object: String) -> Self {
        let (verdict, text) = match &error {
            CallError::Absent(message) => (Verdict::Ok, message.clone()),
            error => (Verdict::Failed, format!("failed: {error}")),
        };
        Self {
            reply: Err(error),
            verdict,
            object,
            text,
        }
    }

    /// A success that is about `object`.
    pub(super) fn of(reply: Result<(Vec<u8>, String), CallError>, object: &str) -> Self {
        match reply {
            Ok((reply, object)) => Self::ok(reply, object),
            Err(error) => Self::failed(error, object.to_owned()),
        }
    }

    pub(super) fn without_hook(method: &'static Method) -> Self {
        match method.missing {
            Missing::Answered(reply) => Self::ok(reply.into(), String::new()),
            Missing::NotFound | Missing::Refused | Missing::Instead(_) => {
                // To the engine that is an answer like another.
                let told = Self::failed(CallError::NotImplemented(method.wire), String::new());
                Self {
                    verdict: Verdict::Ok,
                    ..told
                }
            }
        }
    }
}

fn object_of(method: &Method, request: &Table) -> String {
    method
        .object
        .and_then(|field| request.raw_get::<Option<String>>(field).ok().flatten())
        .unwrap_or_default()
}

fn reply_of(
    method: &'static Method,
    live: &Live,
    owed: &Owed,
    value: &Value,
) -> Result<Vec<u8>, CallError> {
    match method.absent {
        Some(message) if is_empty(value) => return Err(CallError::Absent(message.to_owned())),
        _ => {}
    }
    let reply = encode(method.reply, value).and_then(|reply| owed.check(value).map(|()| reply));
    reply.map_err(|mismatch| {
        let file = method.interface.file();
        let message = format!("`{}`: {mismatch}", method.hook);
        let diagnostic = Diagnostic::of_file(file, message).at(live.script.line_of(method));
        let diagnostic = match mismatch.cure {
            Some(cure) => diagnostic.cure(cure),
            None => diagnostic,
        };
        CallError::Failed(live.script.excerpt(diagnostic))
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Table(table) => table.is_empty(),
        _ => false,
    }
}
