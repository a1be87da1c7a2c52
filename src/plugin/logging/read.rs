//! `ReadLogs`: what the hook emits, as the body of an answer that is made while it is read.

use super::entry::Emitted;
use crate::metrics::Verdict;
use crate::plugin::answer::Outcome;
use crate::plugin::core::Live;
use crate::plugin::{CallError, Plugin, Reply, ReplyStream};
use crate::protocol::{Method, frame};
use crate::script::decode;
use bytes::Bytes;
use mlua::{Function, Lua, Table, Value};
use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

/// How many parts of the body may wait for the reader. A full queue has `emit` wait.
const AHEAD: usize = 4;
/// How many bytes a part has, or a little more.
const PART: usize = 256 << 10;
/// How long a failure may still be told as such, instead of by cutting off a body that has begun.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon a reader is woken again, however much is written.
const BREATH: Duration = Duration::from_millis(200);

type Part = Result<Bytes, CallError>;

/// What a running hook is tied to. It ends with the hook.
struct Reading {
    parts: mpsc::Sender<Part>,
    /// Taken when the body begins.
    begun: Cell<Option<oneshot::Sender<()>>>,
}

impl Plugin {
    /// Answers `ReadLogs`, with a stream unless the hook fails at once.
    pub(in crate::plugin) async fn read_log(
        self: &Rc<Self>,
        method: &'static Method,
        live: &Live,
        body: &[u8],
    ) -> Reply {
        let request = match decode(live.script.lua(), method.request, body) {
            Ok(request) => request,
            Err(problem) => {
                self.meters.refusal(method, Verdict::Failed);
                return Reply::from(&CallError::BadRequest {
                    method: method.wire,
                    problem,
                });
            }
        };
        let (parts, mut receiver) = mpsc::channel(AHEAD);
        let (begun, beginning) = oneshot::channel();
        let reading = Rc::new(Reading {
            parts,
            begun: Cell::new(Some(begun)),
        });
        spawn_local(
            self.clone()
                .give_back(method, live.clone(), request, reading),
        );
        // Ends also when the hook does, which drops its end.
        let _ = timeout(PATIENCE, beginning).await;
        match receiver.try_recv() {
            Ok(Err(error)) => Reply::from(&error),
            Ok(Ok(first)) => Reply::Stream(ReplyStream::new(Some(first), receiver)),
            Err(_) => Reply::Stream(ReplyStream::new(None, receiver)),
        }
    }

    /// Runs the hook to its end, or until the reader goes.
    async fn give_back(
        self: Rc<Self>,
        method: &'static Method,
        live: Live,
        request: Table,
        reading: Rc<Reading>,
    ) {
        let (started, generation) = (Instant::now(), live.script.generation);
        let container: Option<Table> = request.raw_get("Info").ok();
        let field = |name| {
            container
                .as_ref()
                .and_then(|info| info.raw_get::<Option<String>>(name).ok().flatten())
        };
        let followed = self.logs.follow(&field("ContainerID").unwrap_or_default());
        let object = field("ContainerName")
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned();
        let result = tokio::select! {
            result = call(method, &live, &request, &reading, followed) => result,
            () = reading.parts.closed() => {
                tracing::debug!(plugin = self.name(), object, "the reader of a log has gone");
                return self.meters.call(method, Verdict::Ok, started.elapsed());
            }
        };
        let outcome = match result {
            Ok(()) => Outcome::of(Ok((Vec::new(), object)), ""),
            Err(error) => {
                let _ = reading.parts.send(Err(error.clone())).await;
                Outcome::of(Err(error), &object)
            }
        };
        self.meters.call(method, outcome.verdict, started.elapsed());
        self.log(method, &outcome, generation, started);
        self.weigh(&live.script);
        self.replace_if_worn(&live).await;
    }
}

async fn call(
    method: &'static Method,
    live: &Live,
    request: &Table,
    reading: &Rc<Reading>,
    followed: Option<watch::Receiver<()>>,
) -> Result<(), CallError> {
    let lua = live.script.lua();
    let made = || -> mlua::Result<_> {
        let config = match request.raw_get("Config")? {
            Value::Nil => Value::Table(lua.create_table()?),
            config => config,
        };
        let info: Value = request.raw_get("Info")?;
        // What the script keeps of them must not keep the body open.
        let reading = Rc::downgrade(reading);
        Ok((
            info,
            config,
            emit(lua, reading.clone())?,
            wait(lua, reading, followed)?,
        ))
    };
    let args = made().map_err(|e| CallError::BadRequest {
        method: method.wire,
        problem: e.to_string(),
    })?;
    let result = live
        .script
        .call(method, args, live.manifest.deadline(method))
        .await;
    result.map(drop).map_err(CallError::Failed)
}

/// The hook's `emit`.
fn emit(lua: &Lua, reading: Weak<Reading>) -> mlua::Result<Function> {
    lua.create_async_function(move |_, value: Value| {
        let parts = reading.upgrade().map(|reading| reading.parts.clone());
        let reading = reading.clone();
        async move {
            send(value, &reading, parts)
                .await
                .map_err(|e| mlua::Error::runtime(format!("emit: {e}")))
        }
    })
}

async fn send(
    value: Value,
    reading: &Weak<Reading>,
    parts: Option<mpsc::Sender<Part>>,
) -> Result<(), String> {
    let parts = parts.ok_or("the hook has ended")?;
    let mut part = Vec::new();
    let mut entries = Emitted::new(value)?.peekable();
    while let Some(entry) = entries.next() {
        frame(&entry?, &mut part);
        if part.len() > PART || entries.peek().is_none() {
            // A reader that has gone ends the hook as a whole.
            let _ = parts.send(Ok(std::mem::take(&mut part).into())).await;
            begin(reading);
        }
    }
    Ok(())
}

/// The hook's `wait`.
fn wait(
    lua: &Lua,
    reading: Weak<Reading>,
    followed: Option<watch::Receiver<()>>,
) -> mlua::Result<Function> {
    let followed = Rc::new(Cell::new(
        followed.map(|written| (written, sleep(Duration::ZERO))),
    ));
    lua.create_async_function(move |_, ()| {
        let (reading, followed) = (reading.clone(), followed.clone());
        async move {
            begin(&reading);
            let Some((mut written, breath)) = followed.take() else {
                return Ok(false);
            };
            let goes_on = written.changed().await.is_ok();
            breath.await;
            followed.set(Some((written, sleep(BREATH))));
            Ok(goes_on)
        }
    })
}

/// From now on the engine gets a body.
fn begin(reading: &Weak<Reading>) {
    if let Some(begun) = reading.upgrade().and_then(|reading| reading.begun.take()) {
        let _ = begun.send(());
    }
}
