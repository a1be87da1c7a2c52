//! The delivery of batches to the script, with retries.

use super::STATE_DIR;
use super::cursor::Batch;
use super::drops::Drops;
use super::entry::to_table;
use super::info::StreamInfo;
use super::registry::Registry;
use super::settings::OnSlow;
use crate::plugin::CallError;
use crate::plugin::outcome::Outcome;
use crate::plugin::slot::Live;
use crate::protocol::{Interface, Method, WRITE_ENTRIES, WRITE_ENTRY};
use crate::script::Diagnostic;
use crate::sys::blocking;
use crate::sys::state::journal::{Mark, MarkFile};
use bytes::Bytes;
use mlua::{IntoLuaMulti, Lua, Table};
use std::fmt::Display;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The pause before a failed batch is delivered again: at first, doubled with each failure.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest pause before a failed batch is delivered again.
const LAST_RETRY: Duration = Duration::from_secs(10);

/// The result of a delivery.
pub(super) enum Delivered {
    /// The script took all entries.
    All,
    /// The script took the first entries; the others are dropped.
    Some(usize),
    /// The process shuts down before the script took the batch.
    Interrupted,
}

/// The delivery of the batches of one stream.
pub(super) struct Delivery {
    registry: Rc<Registry>,
    info: Rc<StreamInfo>,
    /// The file that records which batch the script has.
    mark: MarkFile,
}

impl Delivery {
    /// Creates the delivery of a stream.
    pub fn new(registry: Rc<Registry>, info: Rc<StreamInfo>, mark: MarkFile) -> Self {
        Self {
            registry,
            info,
            mark,
        }
    }

    /// Delivers a batch, and retries without limit unless entries may be dropped.
    pub async fn deliver(&self, batch: &Batch, drops: &Drops) -> Delivered {
        let (mut pause, mut taken) = (FIRST_RETRY, 0);
        loop {
            let Err(problem) = self.attempt(batch, &mut taken).await else {
                return Delivered::All;
            };
            self.registry.counters.failures.fetch_add(1, Relaxed);
            if self.registry.settings().on_slow == OnSlow::Drop {
                drops.report_failure(&problem);
                return Delivered::Some(taken);
            }
            self.report_retry(pause, &problem);
            if self.registry.shut_down_within(pause).await {
                return Delivered::Interrupted;
            }
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// Delivers a batch once. A script that accepts entries one by one does not get the first
    /// `taken` again.
    async fn attempt(&self, batch: &Batch, taken: &mut usize) -> Result<(), Diagnostic> {
        let live = self.registry.slot.live().map_err(in_script)?;
        self.note(batch.mark).await?;
        if live.script.has(WRITE_ENTRIES) {
            self.write_batch(&live, batch).await
        } else {
            self.write_each(&live, batch, taken).await
        }
    }

    async fn note(&self, mark: Mark) -> Result<(), Diagnostic> {
        let file = self.mark.clone();
        let noted = blocking(move || file.set(&mark)).await;
        noted.map_err(|error| Diagnostic::of_file(STATE_DIR, error.to_string()))
    }

    async fn write_batch(&self, live: &Live, batch: &Batch) -> Result<(), Diagnostic> {
        let lua = live.script.lua();
        let tables = batch.entries.iter().zip(batch.mark.seq..);
        let list = tables
            .map(|(entry, seq)| to_table(lua, entry, seq))
            .collect::<mlua::Result<Vec<_>>>()
            .and_then(|list| lua.create_sequence_from(list))
            .map_err(in_script)?;
        self.call(live, WRITE_ENTRIES, (list, self.table(lua)?))
            .await
    }

    async fn write_each(
        &self,
        live: &Live,
        batch: &Batch,
        taken: &mut usize,
    ) -> Result<(), Diagnostic> {
        let lua = live.script.lua();
        while let Some(entry) = batch.entries.get(*taken) {
            let seq = batch.mark.seq + *taken as u64;
            let table = to_table(lua, entry, seq).map_err(in_script)?;
            self.call(live, WRITE_ENTRY, (table, self.table(lua)?))
                .await?;
            *taken += 1;
        }
        Ok(())
    }

    fn table(&self, lua: &Lua) -> Result<Table, Diagnostic> {
        self.info.table(lua).map_err(in_script)
    }

    async fn call(
        &self,
        live: &Live,
        method: &'static Method,
        args: impl IntoLuaMulti,
    ) -> Result<(), Diagnostic> {
        let slot = &self.registry.slot;
        let ongoing = slot.begin(method, Bytes::new());
        let deadline = live.manifest.deadline(method);
        let result = live.script.call_for_value(method, args, deadline).await;
        let result = result.map(drop);
        let reply = result.clone().map(|()| Vec::new());
        let reply = reply.map_err(CallError::Failed);
        // The stream reports failures itself, with what becomes of the entries.
        let outcome = Outcome::of(reply, String::new()).unlogged();
        slot.finish(ongoing, Some(live), &outcome).await;
        result
    }

    fn report_retry(&self, pause: Duration, problem: &Diagnostic) {
        let (plugin, container) = (self.registry.slot.name(), &self.info.name);
        tracing::warn!(
            plugin,
            container,
            "log stream waits for its script, next attempt in {pause:?}:\n{problem}"
        );
    }
}

fn in_script(problem: impl Display) -> Diagnostic {
    Diagnostic::of_file(Interface::Log.file(), problem.to_string())
}
