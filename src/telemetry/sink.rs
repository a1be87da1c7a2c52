//! The sink of formatted events: a buffer, and a thread that writes it out.
//!
//! A call must never wait for the reader of the log, so a line is only copied into the buffer. If
//! the buffer is full, lines are dropped, and their number is logged once there is room.

use std::io::{self, Write};
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// The size of the buffer, in bytes, which suffices for some 7000 lines.
const CAPACITY: usize = 1 << 20;

/// The delay in which lines are collected and written together.
const BATCH_DELAY: Duration = Duration::from_millis(2);

/// The timeout of flushing a log that is not read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// A handle on the buffer.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
}

struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    text: Vec<u8>,
    lost: usize,
    writing: bool,
    urgent: bool,
}

impl Sink {
    /// Starts a sink that writes to `out`.
    pub fn start(out: impl Write + Send + 'static) -> Sink {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            changed: Condvar::new(),
        });
        let sink = Sink { shared };
        let writer = sink.clone();
        let started = thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.write_to(out));
        if let Err(error) = started {
            eprintln!(
                "moondock: cannot start the thread of the log, nothing will be logged: {error}"
            );
        }
        sink
    }

    /// Waits until all lines are written, for at most [`FLUSH_TIMEOUT`].
    pub fn flush(&self) {
        let mut pending = self.lock();
        pending.urgent = true;
        self.shared.changed.notify_all();
        let busy = |pending: &mut Pending| pending.writing || !pending.text.is_empty();
        drop(
            self.shared
                .changed
                .wait_timeout_while(pending, FLUSH_TIMEOUT, busy),
        );
    }

    /// Adds a line, or drops it if the buffer is full.
    pub fn push(&self, line: &[u8]) {
        let mut pending = self.lock();
        if pending.text.len() + line.len() > CAPACITY {
            pending.lost += 1;
            return;
        }
        let was_empty = pending.text.is_empty();
        pending.text.extend_from_slice(line);
        if was_empty && !pending.writing {
            self.shared.changed.notify_all();
        }
    }

    fn write_to(&self, mut out: impl Write) {
        loop {
            let (text, lost) = self.take_lines();
            // An error of writing the log cannot be logged.
            let _ = out.write_all(&text).and_then(|()| out.flush());
            if lost > 0 {
                warn!(
                    lost,
                    "log lines dropped because the log was not read in time"
                );
            }
            self.lock().writing = false;
            self.shared.changed.notify_all();
        }
    }

    /// Waits for a first line, then for [`BATCH_DELAY`], and takes all lines.
    fn take_lines(&self) -> (Vec<u8>, usize) {
        let empty = |pending: &mut Pending| pending.text.is_empty();
        let calm = |pending: &mut Pending| !pending.urgent;
        let changed = &self.shared.changed;
        let pending = changed
            .wait_while(self.lock(), empty)
            .unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(pending, BATCH_DELAY, calm);
        let (mut pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
        pending.writing = true;
        (take(&mut pending.text), take(&mut pending.lost))
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.shared
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Sink;

    fn make_writer(&'a self) -> Sink {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A terminal that accepts no output until its gate opens.
    struct Stuck {
        gate: mpsc::Receiver<()>,
        taken: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Stuck {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.gate.recv();
            let _ = self.taken.send(text.to_vec());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_log_drops_lines_instead_of_blocking() {
        let (open, gate) = mpsc::channel();
        let (taken, written) = mpsc::channel();
        let sink = Sink::start(Stuck { gate, taken });
        let lines = vec![[b'x'; 100]; 30_000];
        for line in &lines {
            sink.push(line);
        }
        drop(open);
        sink.flush();
        sink.push(b"again");
        sink.flush();
        let text = written.try_iter().flatten().collect::<Vec<u8>>();
        assert!(text.ends_with(b"again"));
        assert!(text.len() < lines.as_flattened().len(), "{}", text.len());
    }
}
