//! The signals that the process answers, also as PID 1, where none has a default action.

use std::io;
use tokio::signal::unix::{self, SignalKind, signal};

/// The signals, taken from the moment this exists.
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// SIGHUP: load all scripts again.
    Reload,
    /// SIGTERM or SIGINT: come to an end.
    End {
        /// The signal's number.
        number: u8,
        /// The signal's name.
        name: &'static str,
    },
}

impl Signals {
    /// Takes the signals over.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End { number: 15, name: "SIGTERM" },
            _ = self.interrupt.recv() => Signal::End { number: 2, name: "SIGINT" },
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
