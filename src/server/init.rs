//! Life as PID 1, as in a managed plugin or a container: whatever dies there without a parent is left to us.
//!
//! The work is done by a child, which is this same command. What remains reaps, passes signals on, and ends when the
//! child ends; so whoever waits for children of its own (tokio) never has one taken away.

use super::signals::{Signal, Signals};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, kill_process, wait};
use std::env;
use std::io;
use std::process::Command;
use tokio::runtime;
use tokio::signal::unix::{self, SignalKind};

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
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(look_after())
}

async fn look_after() -> io::Result<u8> {
    // Before there is a child, so that no death and no signal is missed.
    let (mut signals, mut deaths) = (Signals::listen()?, unix::signal(SignalKind::child())?);
    let child = start()?;
    loop {
        tokio::select! {
            signal = signals.next() => pass_on(child, signal),
            _ = deaths.recv() => if let Some(code) = reap(child)? {
                return Ok(code);
            },
        }
    }
}

fn start() -> io::Result<Pid> {
    let child = Command::new(env::current_exe()?).args(env::args_os().skip(1)).spawn()?;
    Ok(Pid::from_child(&child))
}

fn pass_on(child: Pid, signal: Signal) {
    let signal = match signal {
        Signal::Reload => rustix::process::Signal::HUP,
        Signal::End { number: 2, .. } => rustix::process::Signal::INT,
        Signal::End { .. } => rustix::process::Signal::TERM,
    };
    // A child that has just ended needs no signal.
    let _ = kill_process(child, signal);
}

/// Takes all that is dead; the code of `child` when it is among them.
fn reap(child: Pid) -> io::Result<Option<u8>> {
    let mut code = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => code = Some(code_of(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(code),
            Err(error) => return Err(error.into()),
        }
    }
}

fn code_of(status: WaitStatus) -> u8 {
    let signalled = || status.terminating_signal().map(|signal| 128 + signal);
    let code = status.exit_status().or_else(signalled).unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}
