//! The log of the process: one line for each event, for people or for machines.

mod chain;
mod line;
mod sink;

pub use self::chain::chain;
pub use self::line::Kept;

use self::chain::without_number;
use self::line::Lines;
use self::sink::Sink;
use clap::ValueEnum;
use std::fmt::Display;
use std::io::{IsTerminal, stderr, stdout};
use std::panic::{PanicHookInfo, set_hook};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Subscriber, error};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// The target of events that show a call with its request and its reply.
pub const CALLS: &str = "calls";

/// The lowest level of the events that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// No events
    Off,
    /// Errors
    Error,
    /// Errors and warnings
    Warn,
    /// Also one line for each call
    Info,
    /// Also details for debugging
    Debug,
    /// Everything
    Trace,
}

/// The format of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line of text for each event
    Pretty,
    /// A line of JSON for each event
    Json,
}

/// The stream to which events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard error, apart from the output of a verb.
    Stderr,
    /// Standard output. The engine logs this output of a managed plugin as information, and
    /// standard error as errors (protocol 2.3).
    Stdout,
}

/// Writes a time as RFC 3339 does, in UTC.
pub fn timestamp(time: SystemTime) -> String {
    let written = OffsetDateTime::from(time).format(&Rfc3339);
    written.unwrap_or_default()
}

/// The running log. Dropping it writes the remaining events.
#[must_use = "events are lost once this is dropped"]
pub struct Telemetry {
    sink: Sink,
    format: Format,
}

/// Starts the log. Later calls in the same process have no effect.
pub fn start(level: Level, format: Format, stream: Stream) -> Telemetry {
    let (sink, to_terminal) = match stream {
        Stream::Stderr => (Sink::start(stderr()), stderr().is_terminal()),
        Stream::Stdout => (Sink::start(stdout()), stdout().is_terminal()),
    };
    let layer = match format {
        Format::Pretty => pretty(sink.clone(), to_terminal),
        Format::Json => json(sink.clone()),
    };
    if registry()
        .with(filter(level).with_target(CALLS, level))
        .with(layer)
        .try_init()
        .is_ok()
    {
        set_hook(Box::new(log_panic));
    }
    Telemetry { sink, format }
}

/// Keeps the events of this thread in place of logging them, until the guard is dropped.
pub fn keep() -> (Kept, DefaultGuard) {
    let kept = Kept::default();
    let subscriber = registry().with(filter(Level::Debug)).with(kept.clone());
    (kept, set_default(subscriber))
}

impl Telemetry {
    /// Reports the error that ends the process, with its sources: as text whatever the level is, or
    /// as an event in JSON.
    pub fn fail(&self, error: &impl Display) {
        self.sink.flush();
        let text = format!("{error:#}");
        let text = without_number(&text);
        match self.format {
            Format::Pretty => eprintln!("moondock: {text}"),
            Format::Json => error!("{text}"),
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.sink.flush();
    }
}

fn pretty<S: Subscriber>(sink: Sink, to_terminal: bool) -> Box<dyn Layer<S> + Send + Sync> {
    let colours = to_terminal && std::env::var_os("NO_COLOR").is_none();
    Lines { sink, colours }.boxed()
}

fn json<S: Subscriber + for<'a> registry::LookupSpan<'a>>(
    sink: Sink,
) -> Box<dyn Layer<S> + Send + Sync> {
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_writer(sink)
        .boxed()
}

/// Applies the level to Moondock and to scripts. Libraries log warnings and errors only; notify warns
/// of every directory that was removed.
fn filter(level: Level) -> Targets {
    let level = LevelFilter::from(level);
    Targets::new()
        .with_targets([("moondock", level), ("script", level)])
        .with_target("notify", level.min(LevelFilter::ERROR))
        .with_default(level.min(LevelFilter::WARN))
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let at = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("no message");
    error!(at, "moondock panicked: {message}");
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> LevelFilter {
        match level {
            Level::Off => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        }
    }
}
