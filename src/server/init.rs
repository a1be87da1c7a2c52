//! Life as PID 1, as in a managed plugin or a container: whatever dies there without a parent is left to us.
//!
//! The work is done by a child, which is this same command. What remains reaps, passes signals on, and ends when the
//! child ends; so whoever waits for children of its own (tokio) never has one taken away.

#![expect(
    clippy::disallowed_types,
    reason = "PID 1 starts the process that serves"
)]

use super::signals::{Signal, Signals, send};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::env;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::timeout;
use tracing::warn;

/// A child that fails sooner would fail again at once.
const INFANCY: Duration = Duration::from_secs(15);
/// How long its failure is kept from whoever would start it again: longer than an engine waits for a plugin that it
/// enables (12.5 s), as one that ends meanwhile is started again and again, and on 20.10 can never be enabled once more.
const REST: Duration = Duration::from_secs(15);

/// How the child ended.
enum End {
    /// By itself, with this code.
    Exited(u8),
    /// By a signal, with this number.
    Killed(u8),
}

/// Whether this process is PID 1.
pub fn is_needed() -> bool {
    std::process::id() == 1
}

/// Runs this command once more, and stays until that ends; its exit code, or 128 and the number of the signal that
/// ended it.
///
/// # Errors
/// When it cannot be started.
pub fn run() -> io::Result<u8> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(look_after())
}

async fn look_after() -> io::Result<u8> {
    // Before there is a child, so that no death and no signal is missed.
    let (mut signals, mut deaths) = (Signals::listen()?, unix::signal(SignalKind::child())?);
    let (begun, child) = (Instant::now(), start()?);
    let mut told_to_end = false;
    loop {
        tokio::select! {
            signal = signals.next() => {
                told_to_end |= matches!(signal, Signal::End { .. });
                pass_on(child, signal);
            }
            _ = deaths.recv() => match reap(child)? {
                None => {}
                Some(End::Killed(signal)) => return Ok(128_u8.saturating_add(signal)),
                Some(End::Exited(code)) => {
                    if code != 0 && !told_to_end && begun.elapsed() < INFANCY {
                        rest(&mut signals).await;
                    }
                    return Ok(code);
                }
            },
        }
    }
}

/// Waits for a signal that asks for the end, or long enough.
async fn rest(signals: &mut Signals) {
    warn!(
        "failed at the start: ends in {} s, or when told to",
        REST.as_secs()
    );
    let asked = async { while !matches!(signals.next().await, Signal::End { .. }) {} };
    // Either way it is over.
    let _ = timeout(REST, asked).await;
}

fn start() -> io::Result<Pid> {
    let child = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .spawn()?;
    Ok(Pid::from_child(&child))
}

fn pass_on(child: Pid, asking: Signal) {
    // A child that has just ended needs no signal.
    let _ = send(child, asking);
}

/// Takes all that is dead; the end of `child` when it is among them.
fn reap(child: Pid) -> io::Result<Option<End>> {
    let mut end = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => end = Some(end_of(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(end),
            Err(error) => return Err(error.into()),
        }
    }
}

fn end_of(status: WaitStatus) -> End {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match status.terminating_signal() {
        Some(signal) => End::Killed(byte(signal)),
        None => End::Exited(status.exit_status().map_or(1, byte)),
    }
}
