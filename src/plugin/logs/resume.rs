//! Resuming the log streams of a previous process.

use super::control::{Control, Progress};
use super::info::StreamInfo;
use super::registry::Registry;
use super::stream::{Stream, finish_gone};
use crate::sys::blocking;
use crate::sys::files::fifo::Fifo;
use crate::sys::state::journal::{Mark, MarkFile};
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
        let error = match open(&registry, &info) {
            Ok((fifo, file, mark)) => {
                tracing::info!(plugin, container, "log stream resumed");
                let stream = Stream::new(registry, info, control, fifo, file);
                if let Some(mark) = mark {
                    stream.resume(&mark);
                }
                return stream.run().await;
            }
            Err(error) => error,
        };
        if has_gone(&error) {
            tracing::info!(plugin, container, %error, "log stream ended meanwhile");
            return finish_gone(&registry, &info, &control).await;
        }
        if !std::mem::replace(&mut is_reported, true) {
            tracing::error!(plugin, container, %error, "cannot resume the log stream yet");
        }
        if registry.shut_down_within(RETRY_INTERVAL).await {
            return control.reach(Progress::Ended);
        }
    }
}

fn open(registry: &Registry, info: &StreamInfo) -> io::Result<(Fifo, MarkFile, Option<Mark>)> {
    let fifo = registry.open_fifo(&info.file)?;
    let file = registry.journal.mark_file(&info.id)?;
    let mark = file.get()?;
    Ok((fifo, file, mark))
}

/// Whether the FIFO is gone: the engine removes it when its container has ended.
fn has_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
    )
}
