//! Resuming the log streams of a previous process.

use super::control::{Control, Order, Progress};
use super::info::StreamInfo;
use super::queue::Queue;
use super::registry::Registry;
use super::stream::Stream;
use crate::sys::blocking;
use crate::sys::files::fifo::Fifo;
use crate::sys::state::journal::MarkFile;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

/// The pause before another attempt to open a stream that is still there.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Resumes the streams that are noted in the journal, but not running.
pub(super) async fn resume(registry: &Rc<Registry>) {
    let journal = registry.journal.clone();
    match blocking(move || journal.open_streams()).await {
        Ok(streams) => {
            for (id, text) in streams {
                resume_stream(registry, id, text).await;
            }
        }
        Err(error) => {
            let plugin = registry.slot.name();
            tracing::error!(plugin, %error, "cannot read which log streams were open");
        }
    }
}

async fn resume_stream(registry: &Rc<Registry>, id: String, text: io::Result<Vec<u8>>) {
    let path = registry.journal.note(&id);
    let noted = text.and_then(|text| {
        StreamInfo::of(id, text).ok_or_else(|| io::Error::other("it is not a log stream's note"))
    });
    match noted {
        Ok(info) => {
            // Fails only for a caller that holds other locks.
            let _held = registry.lock(&info.file).await;
            if registry.is_running(&info.file) {
                return;
            }
            let control = registry.register(&info);
            let reopening = reopen(registry.clone(), info, control);
            registry.slot.spawn(reopening);
        }
        Err(error) => {
            let plugin = registry.slot.name();
            tracing::error!(plugin, path = %path.display(), %error, "cannot read the note of a log stream");
        }
    }
}

/// Opens a stream and runs it. Retries if files or memory are short: the stream has not ended, and
/// its container would block without end.
async fn reopen(registry: Rc<Registry>, info: StreamInfo, control: Rc<Control>) {
    let (plugin, container) = (registry.slot.name().to_owned(), info.name.clone());
    let mut is_reported = false;
    loop {
        let error = match open(&registry, &info, &control).await {
            Ok((queue, mark)) => {
                return Stream::new(registry, info, control, queue, mark)
                    .run()
                    .await;
            }
            Err(error) => error,
        };
        if !std::mem::replace(&mut is_reported, true) {
            tracing::error!(plugin, container, %error, "cannot resume the log stream yet");
        }
        if registry.shut_down_within(RETRY_INTERVAL).await {
            return control.reach(Progress::Ended);
        }
    }
}

async fn open(
    registry: &Rc<Registry>,
    info: &StreamInfo,
    control: &Rc<Control>,
) -> io::Result<(Queue, MarkFile)> {
    let (plugin, container) = (registry.slot.name(), &info.name);
    let fifo = open_fifo(registry, info)?;
    let file = registry.journal.mark_file(&info.id)?;
    let (mark, is_there) = (file.get()?, fifo.is_some());
    let queue = Queue::open(registry, &info.id, control.clone(), fifo, mark).await?;
    if is_there || queue.has_spilled() {
        tracing::info!(plugin, container, "log stream resumed");
    } else {
        tracing::info!(plugin, container, "log stream ended meanwhile");
    }
    if !is_there {
        control.order(Order::Stop);
    }
    Ok((queue, file))
}

/// Opens the FIFO of a stream. Returns `None` if it is gone.
fn open_fifo(registry: &Registry, info: &StreamInfo) -> io::Result<Option<Fifo>> {
    match registry.open_fifo(&info.file) {
        Ok(fifo) => Ok(Some(fifo)),
        Err(error) if has_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the FIFO is gone: the engine removes it when its container has ended.
fn has_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
    )
}
