//! The signals that the process answers, also as PID 1, where none has a default action.

use rustix::process::{Pid, kill_process};
use std::io;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Load all scripts again.
    Reload {
        /// With all that their `plugin.toml` grants now.
        accept_grants: bool,
    },
    /// Come to an end.
    End {
        /// The signal's number.
        number: u8,
        /// The signal's name.
        name: &'static str,
    },
}

/// Each signal, and what it asks for.
const SIGNALS: [(rustix::process::Signal, Signal); 4] = [
    (
        rustix::process::Signal::TERM,
        Signal::End {
            number: 15,
            name: "SIGTERM",
        },
    ),
    (
        rustix::process::Signal::INT,
        Signal::End {
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

/// The signals, taken from the moment this exists.
pub struct Signals(Vec<(unix::Signal, Signal)>);

impl Signals {
    /// Takes the signals over.
    pub fn listen() -> io::Result<Signals> {
        let taken = SIGNALS.iter().map(|(number, asks)| {
            let stream = signal(SignalKind::from_raw(number.as_raw()))?;
            Ok((stream, *asks))
        });
        taken.collect::<io::Result<_>>().map(Signals)
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (stream, asks) in &mut self.0 {
                if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                    return Poll::Ready(*asks);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Sends the signal that asks a process of ours for it.
pub fn send(process: Pid, asking: Signal) -> io::Result<()> {
    let row = SIGNALS.iter().find(|(_, asks)| *asks == asking);
    row.map_or(Err(io::ErrorKind::InvalidInput.into()), |(number, _)| {
        Ok(kill_process(process, *number)?)
    })
}
