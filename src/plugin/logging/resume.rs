//! Streams of a process before this one, taken up where it left them.

use super::control::{Control, State};
use super::info::StreamInfo;
use super::stream::Stream;
use crate::plugin::Plugin;
use crate::sys::files::fifo::Fifo;
use crate::sys::state::journal::{Mark, MarkFile};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::timeout;

/// How soon it is tried again to open a stream that is still there.
const AGAIN: Duration = Duration::from_secs(1);

impl Plugin {
    /// Takes up the streams that were open when the process ended. Called once, by whoever serves the plugin.
    pub async fn resume_logs(self: &Rc<Self>) {
        let journal = self.logs.journal.clone();
        match spawn_blocking(move || journal.open_streams())
            .await
            .map_err(io::Error::other)
            .flatten()
        {
            Ok(streams) => streams
                .into_iter()
                .for_each(|(id, text)| self.resume(id, text)),
            Err(error) => {
                tracing::error!(plugin = self.name(), %error, "cannot tell which log streams were open");
            }
        }
    }

    fn resume(self: &Rc<Self>, id: String, text: io::Result<Vec<u8>>) {
        let path = self.logs.journal.note(&id);
        let text = text.map_err(|error| {
            tracing::error!(plugin = self.name(), path = %path.display(), %error, "what is noted of a log stream cannot be read");
        });
        let Ok(text) = text else { return };
        match StreamInfo::of(id, text) {
            Some(info) => {
                let control = self.logs.register(&info);
                spawn_local(self.clone().take_up(info, control));
            }
            None => {
                tracing::error!(plugin = self.name(), path = %path.display(), "what is noted of a log stream makes no sense");
            }
        }
    }

    /// Goes on with a stream. One that cannot be opened for want of files or memory has not ended: its container would
    /// wait for ever.
    async fn take_up(self: Rc<Self>, info: StreamInfo, control: Rc<Control>) {
        let (mut resting, mut is_told) = (self.logs.resting.subscribe(), false);
        loop {
            let error = match self.open_left(&info) {
                Ok((fifo, place, mark)) => {
                    tracing::info!(
                        plugin = self.name(),
                        container = info.name,
                        "its log goes on"
                    );
                    return Stream::resumed(self, info, control, fifo, place, mark)
                        .run()
                        .await;
                }
                Err(error) => error,
            };
            if has_gone(&error) {
                tracing::info!(plugin = self.name(), container = info.name, %error, "its log ended meanwhile");
                return Stream::finish_gone(self, info, control).await;
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::error!(plugin = self.name(), container = info.name, %error, "its log cannot be taken up yet");
            }
            if timeout(AGAIN, resting.wait_for(|resting| *resting))
                .await
                .is_ok()
            {
                return control.reach(State::Ended);
            }
        }
    }

    fn open_left(&self, info: &StreamInfo) -> io::Result<(Fifo, MarkFile, Option<Mark>)> {
        let (fifo, place) = (
            self.open_fifo(&info.file)?,
            self.logs.journal.mark_file(&info.id)?,
        );
        let mark = place.get()?;
        Ok((fifo, place, mark))
    }
}

/// Whether there is no FIFO any more: the engine removes it when its container has ended.
fn has_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
    )
}
