//! `ReadLogs`: what the hook emits, as a body that is produced while it is read.

use super::entry::Emitted;
use super::registry::Registry;
use crate::metrics::Verdict;
use crate::plugin::outcome::Outcome;
use crate::plugin::slot::{Live, Ongoing};
use crate::plugin::{CallError, Reply, ReplyStream, hook};
use crate::protocol::{Method, READ_CONFIG, frame};
use crate::script::{close_message, decode};
use bytes::Bytes;
use mlua::{Function, Lua, Table, Value};
use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

/// The parts of the body that may wait for the reader. A full queue makes `emit` wait.
const QUEUE_LENGTH: usize = 4;
/// The size of a part in bytes, which its last entry may exceed.
const PART_SIZE: usize = 256 << 10;
/// How long a failure may be answered as such, instead of by cutting off a body that has begun.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(1);
/// The shortest time between two wake-ups of a reader that follows.
const WAKE_INTERVAL: Duration = Duration::from_millis(200);

type Part = Result<Bytes, CallError>;

/// What a running hook is tied to. It ends with the hook.
struct Reading {
    parts: mpsc::Sender<Part>,
    /// Taken when the body begins.
    begun: Cell<Option<oneshot::Sender<()>>>,
}

/// Answers `ReadLogs`, with a stream unless the hook fails at once.
pub(super) async fn read(registry: &Rc<Registry>, ongoing: Ongoing, live: &Live) -> Reply {
    let (method, body) = (ongoing.method, &ongoing.body);
    let request = match decode(live.script.lua(), method.request, body) {
        Ok(request) => request,
        Err(problem) => {
            let meters = &registry.slot.core.meters;
            meters.refusal(method, Verdict::Failed);
            return Reply::from(&hook::unreadable(&registry.slot, body, problem));
        }
    };
    let (parts, mut receiver) = mpsc::channel(QUEUE_LENGTH);
    let (begun, beginning) = oneshot::channel();
    let reading = Rc::new(Reading {
        parts,
        begun: Cell::new(Some(begun)),
    });
    let running = run(registry.clone(), ongoing, live.clone(), request, reading);
    registry.slot.spawn(running);
    // Ends also when the hook does, which drops its end.
    let _ = timeout(FAILURE_TIMEOUT, beginning).await;
    match receiver.try_recv() {
        Ok(Err(error)) => Reply::from(&error),
        Ok(Ok(first)) => Reply::Stream(ReplyStream::new(Some(first), receiver)),
        Err(_) => Reply::Stream(ReplyStream::new(None, receiver)),
    }
}

/// Runs the hook to its end, or until the reader is gone.
async fn run(
    registry: Rc<Registry>,
    ongoing: Ongoing,
    live: Live,
    request: Table,
    reading: Rc<Reading>,
) {
    let container = text_field(&request, "ContainerID");
    let object = text_field(&request, "ContainerName");
    let object = object.trim_start_matches('/').to_owned();
    let followed = registry.follow(&container);
    let calling = call(ongoing.method, &live, &request, &reading, followed);
    let result = tokio::select! {
        result = registry.slot.guard(calling) => result,
        () = reading.parts.closed() => {
            tracing::debug!(plugin = registry.slot.name(), object, "the reader of a log disconnected");
            let outcome = Outcome::ok(Vec::new(), object).unlogged();
            return registry.slot.finish(ongoing, Some(&live), &outcome).await;
        }
    };
    // A panic must reach the reader as an error, and not as the end of the log.
    let result = result.unwrap_or(Err(CallError::Panicked));
    if let Err(error) = &result {
        // The reader may be gone.
        let _ = reading.parts.send(Err(error.clone())).await;
    }
    let outcome = Outcome::of(result.map(|()| Vec::new()), object);
    let slot = &registry.slot;
    slot.finish(ongoing, Some(&live), &outcome).await;
}

fn text_field(request: &Table, name: &str) -> String {
    let info: mlua::Result<Table> = request.raw_get("Info");
    let field = info.and_then(|info| info.raw_get::<Option<String>>(name));
    field.ok().flatten().unwrap_or_default()
}

async fn call(
    method: &'static Method,
    live: &Live,
    request: &Table,
    reading: &Rc<Reading>,
    followed: Option<watch::Receiver<()>>,
) -> Result<(), CallError> {
    let lua = live.script.lua();
    let make = || -> mlua::Result<_> {
        let config = match request.raw_get("Config")? {
            Value::Nil => {
                let config = lua.create_table()?;
                close_message(lua, READ_CONFIG, &config)?;
                Value::Table(config)
            }
            config => config,
        };
        let info: Value = request.raw_get("Info")?;
        // What the script keeps of them must not keep the body open.
        let reading = Rc::downgrade(reading);
        let emit = emit(lua, reading.clone())?;
        Ok((info, config, emit, wait(lua, reading, followed)?))
    };
    let args = make().map_err(|error| CallError::BadRequest(error.to_string()))?;
    let deadline = live.manifest.deadline(method);
    let result = live.script.call_for_value(method, args, deadline).await;
    result.map(drop).map_err(CallError::Failed)
}

/// Creates the hook's `emit`.
fn emit(lua: &Lua, reading: Weak<Reading>) -> mlua::Result<Function> {
    lua.create_async_function(move |_, value: Value| {
        let parts = reading.upgrade().map(|reading| reading.parts.clone());
        let reading = reading.clone();
        async move {
            send(value, &reading, parts)
                .await
                .map_err(|error| mlua::Error::runtime(format!("emit: {error}")))
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
        if part.len() > PART_SIZE || entries.peek().is_none() {
            // A reader that is gone ends the hook as a whole.
            let _ = parts.send(Ok(std::mem::take(&mut part).into())).await;
            begin(reading);
        }
    }
    Ok(())
}

/// Creates the hook's `wait`.
fn wait(
    lua: &Lua,
    reading: Weak<Reading>,
    followed: Option<watch::Receiver<()>>,
) -> mlua::Result<Function> {
    let followed = followed.map(|written| (written, sleep(Duration::ZERO)));
    let followed = Rc::new(Cell::new(followed));
    lua.create_async_function(move |_, ()| {
        let (reading, followed) = (reading.clone(), followed.clone());
        async move {
            begin(&reading);
            let Some((mut written, pause)) = followed.take() else {
                return Ok(false);
            };
            let goes_on = written.changed().await.is_ok();
            pause.await;
            followed.set(Some((written, sleep(WAKE_INTERVAL))));
            Ok(goes_on)
        }
    })
}

/// Begins the body of the answer, if it has not begun.
fn begin(reading: &Weak<Reading>) {
    if let Some(begun) = reading.upgrade().and_then(|reading| reading.begun.take()) {
        // The answer may have been given up.
        let _ = begun.send(());
    }
}
