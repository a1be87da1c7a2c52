//! A batch on its way to the script: tried again, or given up.

use super::entry::to_table;
use super::hook;
use super::room::REPORT;
use super::settings::OnSlow;
use super::stream::Stream;
use crate::metrics::Verdict;
use crate::plugin::core::Live;
use crate::protocol::{Interface, LogEntry, Method};
use crate::script::Diagnostic;
use crate::sys::state::journal::Mark;
use mlua::{IntoLuaMulti, Lua, Table};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

/// How soon a batch that failed is handed over again: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What became of a batch.
pub(super) enum Delivery {
    Taken,
    /// Given up, but for the first ones.
    Failed {
        /// How many were taken.
        taken: usize,
    },
    Interrupted,
}

impl Stream {
    pub(super) async fn deliver(&self, entries: &[LogEntry], mark: Mark) -> Delivery {
        let (mut pause, mut done) = (RETRY.0, 0);
        loop {
            let Err(problem) = self.attempt(entries, mark, &mut done).await else {
                return Delivery::Taken;
            };
            self.logs().counters.failures.fetch_add(1, Relaxed);
            if self.settings().on_slow == OnSlow::Drop {
                self.tell_given_up(&problem);
                return Delivery::Failed { taken: done };
            }
            let (plugin, container) = (self.plugin.name(), &self.info.name);
            tracing::warn!(
                plugin,
                container,
                "its log waits, and is handed over again in {pause:?}:\n{problem}"
            );
            let mut resting = self.logs().resting.subscribe();
            if timeout(pause, resting.wait_for(|resting| *resting))
                .await
                .is_ok()
            {
                return Delivery::Interrupted;
            }
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// Tells why entries are given up, now and then: a script that fails always would fill the log.
    fn tell_given_up(&self, problem: &Diagnostic) {
        if self
            .failure_told
            .get()
            .is_none_or(|told| told.elapsed() > REPORT)
        {
            self.failure_told.set(Some(Instant::now()));
            let (plugin, container) = (self.plugin.name(), &self.info.name);
            tracing::warn!(
                plugin,
                container,
                "entries of its log are dropped:\n{problem}"
            );
        }
    }

    /// One try; of a script that takes entries one by one, those that it took are not handed over again.
    async fn attempt(
        &self,
        entries: &[LogEntry],
        mark: Mark,
        done: &mut usize,
    ) -> Result<(), Diagnostic> {
        let live = self
            .plugin
            .live(Interface::Log)
            .map_err(|e| Diagnostic::of_file("log.lua", e.to_string()))?;
        let place = self.place.clone();
        let set = spawn_blocking(move || place.set(&mark))
            .await
            .map_err(io::Error::other)
            .flatten();
        set.map_err(|e| Diagnostic::of_file("the state directory", e.to_string()))?;
        let batch = hook("write_batch").filter(|batch| live.script.has(batch));
        let result = match (batch, hook("write")) {
            (Some(batch), _) => self.write_batch(&live, batch, entries, mark.seq).await,
            (None, Some(write)) => self.write_each(&live, write, entries, mark.seq, done).await,
            (None, None) => Ok(()),
        };
        self.plugin.replace_if_worn(&live).await;
        result
    }

    async fn write_batch(
        &self,
        live: &Live,
        method: &'static Method,
        entries: &[LogEntry],
        seq: u64,
    ) -> Result<(), Diagnostic> {
        let lua = live.script.lua();
        let tables = entries
            .iter()
            .zip(seq..)
            .map(|(entry, seq)| to_table(lua, entry, seq));
        let list = tables
            .collect::<mlua::Result<Vec<_>>>()
            .and_then(|list| lua.create_sequence_from(list));
        let list = list.map_err(|e| Diagnostic::of_file("log.lua", e.to_string()))?;
        self.call(live, method, (list, self.table(lua)?)).await
    }

    async fn write_each(
        &self,
        live: &Live,
        method: &'static Method,
        entries: &[LogEntry],
        seq: u64,
        done: &mut usize,
    ) -> Result<(), Diagnostic> {
        let lua = live.script.lua();
        while let Some(entry) = entries.get(*done) {
            let table = to_table(lua, entry, seq + *done as u64);
            let table = table.map_err(|e| Diagnostic::of_file("log.lua", e.to_string()))?;
            self.call(live, method, (table, self.table(lua)?)).await?;
            *done += 1;
        }
        Ok(())
    }

    fn table(&self, lua: &Lua) -> Result<Table, Diagnostic> {
        self.info
            .table(lua)
            .map_err(|e| Diagnostic::of_file("log.lua", e))
    }

    async fn call(
        &self,
        live: &Live,
        method: &'static Method,
        args: impl IntoLuaMulti,
    ) -> Result<(), Diagnostic> {
        let begun = Instant::now();
        let result = live
            .script
            .call(method, args, live.manifest.deadline(method))
            .await;
        let verdict = if result.is_ok() {
            Verdict::Ok
        } else {
            Verdict::Failed
        };
        self.plugin.meters.call(method, verdict, begun.elapsed());
        self.plugin.weigh(&live.script);
        result.map(drop)
    }
}
