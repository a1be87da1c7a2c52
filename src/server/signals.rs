//! The signals that the process handles, also as PID 1, for which signals have no default action.

use rustix::process::{Pid, kill_process};
use std::io;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind, signal};

/// The meaning of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Reload all scripts.
    Reload {
        /// Whether to accept new grants in `plugin.toml`.
        accept_grants: bool,
    },
    /// Shut down.
    Shutdown {
        /// The signal's number.
        number: u8,
        /// The signal's name.
        name: &'static str,
    },
}

/// The signals with their meanings.
const SIGNALS: [(rustix::process::Signal, Signal); 4] = [
    (
        rustix::process::Signal::TERM,
        Signal::Shutdown {
            number: 15,
            name: "SIGTERM",
        },
    ),
    (
        rustix::process::Signal::INT,
        Signal::Shutdown {
            number: 2,
            name: "SIGINT",
        },
    ),
    (
        rustix::process::Signal::HUP,
        Signal::Reload {
            accept_grants: false,
        },
    ),
    (
        rustix::process::Signal::USR1,
        Signal::Reload {
            accept_grants: true,
        },
    ),
];

/// A stream of the signals that arrive after it is created.
pub struct Signals(Vec<(unix::Signal, Signal)>);

impl Signals {
    /// Replaces the signals' default actions.
    pub fn listen() -> io::Result<Signals> {
        let taken = SIGNALS.iter().map(|(number, meaning)| {
            let stream = signal(SignalKind::from_raw(number.as_raw()))?;
            Ok((stream, *meaning))
        });
        taken.collect::<io::Result<_>>().map(Signals)
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (stream, meaning) in &mut self.0 {
                if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                    return Poll::Ready(*meaning);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Sends the signal of that meaning to another Moondock process.
pub fn send(process: Pid, meaning: Signal) -> io::Result<()> {
    let row = SIGNALS.iter().find(|(_, other)| *other == meaning);
    row.map_or(Err(io::ErrorKind::InvalidInput.into()), |(number, _)| {
        Ok(kill_process(process, *number)?)
    })
}
