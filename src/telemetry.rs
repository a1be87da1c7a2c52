//! What the process says about itself: one line per event, for people or for machines.

mod chain;
mod line;
mod sink;

pub use self::chain::chain;

use self::line::Lines;
use self::sink::Sink;
use clap::ValueEnum;
use std::fmt::Display;
use std::io::{IsTerminal, stderr, stdout};
use std::panic::{PanicHookInfo, set_hook};
use tracing::level_filters::LevelFilter;
use tracing::{Subscriber, error};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// From which level on events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing at all
    Off,
    /// Only what fails
    Error,
    /// And what somebody should look at
    Warn,
    /// And one line for each call
    Info,
    /// And what helps to find a fault
    Debug,
    /// Everything
    Trace,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line of text for each event
    Pretty,
    /// A line of JSON for each event
    Json,
}

/// Where events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Apart from what a verb prints.
    Stderr,
    /// The engine takes what a managed plugin writes there for information, and what it writes to stderr for errors
    /// (protocol 2.3).
    Stdout,
}

/// Keeps events flowing; what is still to be written is written when it is dropped.
#[must_use = "events are lost once this is dropped"]
pub struct Telemetry {
    sink: Sink,
    format: Format,
}

/// Starts writing events. Later calls in one process change nothing.
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
        .with(filter(level))
        .with(layer)
        .try_init()
        .is_ok()
    {
        set_hook(Box::new(tell_of_panic));
    }
    Telemetry { sink, format }
}

impl Telemetry {
    /// Says what ends the process: to a person whatever the level is, to a machine as an event.
    pub fn fail(&self, error: &impl Display) {
        self.sink.flush();
        match self.format {
            Format::Pretty => eprintln!("moondock: {error:#}"),
            Format::Json => error!("{error:#}"),
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

/// The level is for us and for scripts; of libraries, only what somebody should look at.
fn filter(level: Level) -> Targets {
    let level = LevelFilter::from(level);
    Targets::new()
        .with_targets([("moondock", level), ("script", level)])
        .with_default(level.min(LevelFilter::WARN))
}

fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let at = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("no message");
    error!(at, "a fault in moondock itself (panic): {message}");
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
