//! Running as PID 1, as in a managed plugin or a container, which must reap orphaned processes.
//!
//! A child with the same command does the work. The parent reaps, forwards signals, and exits when
//! the child does. In the child, tokio can therefore wait for its own children.

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

/// A child that fails sooner than this after its start counts as failed at the start.
const STARTUP_PERIOD: Duration = Duration::from_secs(15);
/// The delay before exiting after a failed start. It is longer than an engine waits while it
/// enables a plugin (12.5 s): one that exits meanwhile is restarted repeatedly, and 20.10 can never
/// enable it again.
const EXIT_DELAY: Duration = Duration::from_secs(15);

/// How the child ended.
enum Exit {
    /// It exited with this code.
    Exited(u8),
    /// This signal killed it.
    Killed(u8),
}

/// Returns whether this process is PID 1.
pub fn is_needed() -> bool {
    std::process::id() == 1
}

/// Runs this command in a child and waits for it. Returns its exit code, or 128 plus the number of
/// the signal that killed it.
///
/// # Errors
/// Fails if the child cannot be started.
pub fn run() -> io::Result<u8> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(supervise())
}

async fn supervise() -> io::Result<u8> {
    // Both listen before there is a child, so that no signal is missed.
    let mut signals = Signals::listen()?;
    let mut exits = unix::signal(SignalKind::child())?;
    let started = Instant::now();
    let child = start()?;
    let mut shutting_down = false;
    loop {
        tokio::select! {
            signal = signals.next() => {
                shutting_down |= matches!(signal, Signal::Shutdown { .. });
                forward(child, signal);
            }
            _ = exits.recv() => match reap(child)? {
                None => {}
                Some(Exit::Killed(signal)) => return Ok(128_u8.saturating_add(signal)),
                Some(Exit::Exited(code)) => {
                    if code != 0 && !shutting_down && started.elapsed() < STARTUP_PERIOD {
                        delay_exit(&mut signals).await;
                    }
                    return Ok(code);
                }
            },
        }
    }
}

/// Waits for [`EXIT_DELAY`], or for a signal to shut down.
async fn delay_exit(signals: &mut Signals) {
    warn!(
        "start failed, exiting in {} s or at a signal",
        EXIT_DELAY.as_secs()
    );
    let shutdown = async { while !matches!(signals.next().await, Signal::Shutdown { .. }) {} };
    // Both outcomes mean that it is time to exit.
    let _ = timeout(EXIT_DELAY, shutdown).await;
}

fn start() -> io::Result<Pid> {
    let child = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .spawn()?;
    Ok(Pid::from_child(&child))
}

fn forward(child: Pid, signal: Signal) {
    // Fails if the child has just ended, which needs no signal.
    let _ = send(child, signal);
}

/// Reaps all dead processes. Returns how `child` ended, if it is among them.
fn reap(child: Pid) -> io::Result<Option<Exit>> {
    let mut exit = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => exit = Some(exit_of(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(exit),
            Err(error) => return Err(error.into()),
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match status.terminating_signal() {
        Some(signal) => Exit::Killed(byte(signal)),
        None => Exit::Exited(status.exit_status().map_or(1, byte)),
    }
}
