//! Loading and reloading: a new generation takes over only when nothing is wrong with it.

use super::core::{Live, Plugin, Slot, read};
use super::{Manifest, OpenError};
use crate::grants::{Grant, Granted};
use crate::host::MANIFEST;
use crate::metrics::Tally;
use crate::protocol::Interface;
use crate::script::{Diagnostic, Script, Sources};
use crate::sys::watch::Watcher;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a reload may do beside loading what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terms {
    /// Nothing more: a file was saved.
    Changed,
    /// Load everything anew, changed or not.
    All,
    /// The same, and give the scripts all that `plugin.toml` grants now.
    AllAndAccept,
}

/// How long scripts are read again and again that were written to meanwhile.
const ENDURANCE: Duration = Duration::from_secs(5);
/// How long a file that became empty may stay so before it is taken as it is.
const GRACE: Duration = Duration::from_millis(200);

impl Plugin {
    /// Reloads what changes on disk, until dropped.
    pub async fn watch(self: Rc<Self>) {
        let mut watcher = match Watcher::new() {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::error!(plugin = self.name(), %error, "cannot watch the scripts: send SIGHUP after a change");
                return std::future::pending().await;
            }
        };
        // What changed before the watch was in place is seen by the first reading.
        watcher.follow(&self.watched());
        loop {
            let sources = self.read_calmly(&mut watcher).await;
            let turn = self.turn.lock().await;
            self.take_over(sources, Terms::Changed).await;
            drop(turn);
            // What came into a directory before it was followed is seen only by reading it again.
            if !watcher.follow(&self.watched()) {
                watcher.changed().await;
                watcher.follow(&self.watched());
            }
        }
    }

    /// Loads everything again, changed or not. New grants are taken over only with `accept_grants`.
    pub async fn reload(self: &Rc<Self>, accept_grants: bool) {
        let terms = if accept_grants {
            Terms::AllAndAccept
        } else {
            Terms::All
        };
        let _turn = self.turn.lock().await;
        self.take_over(read(&self.spec).await, terms).await;
    }

    fn watched(&self) -> Vec<PathBuf> {
        self.sources.borrow().watch.clone()
    }

    fn is_emptied(&self, sources: &Result<Sources, OpenError>) -> bool {
        let before = self.sources.borrow();
        let was_empty = |file| before.files.get(file).is_some_and(Vec::is_empty);
        let files = sources.iter().flat_map(|sources| &sources.files);
        files
            .into_iter()
            .any(|(file, text)| text.is_empty() && !was_empty(file))
    }

    /// Reads the scripts while nobody writes to them, unless somebody never ceases to.
    async fn read_calmly(&self, watcher: &mut Watcher) -> Result<Sources, OpenError> {
        let (begun, mut empty_since) = (Instant::now(), None);
        while begun.elapsed() < ENDURANCE {
            let sources = read(&self.spec).await;
            // A file is empty before the kernel tells that it was truncated.
            empty_since = self
                .is_emptied(&sources)
                .then(|| empty_since.unwrap_or_else(Instant::now));
            let is_truncated = empty_since.is_some_and(|since| since.elapsed() < GRACE);
            if !watcher.saw_writing() && !is_truncated {
                return sources;
            }
            watcher.settled().await;
        }
        read(&self.spec).await
    }

    /// Loads all scripts for the first time.
    pub(super) async fn load_first(&self, sources: &Rc<Sources>) -> Result<(), OpenError> {
        self.report_problems(sources);
        let manifest = self.manifest_of(sources).map(Rc::new);
        if let Ok(manifest) = &manifest {
            self.accept(manifest);
        }
        for interface in present(sources) {
            let loaded = match &manifest {
                Ok(manifest) => self.load(interface, manifest, sources).await,
                Err(diagnostic) => Err(diagnostic.clone()),
            };
            let slot = match loaded {
                Ok(live) => self.go_live(live),
                Err(diagnostic) if interface == Interface::Authz => {
                    tracing::error!(
                        plugin = self.name(),
                        "every request is denied until this is mended:\n{diagnostic}"
                    );
                    self.meters.generation(interface, 0);
                    Slot::Broken(diagnostic)
                }
                Err(diagnostic) => return Err(OpenError::Script(diagnostic)),
            };
            self.slot(interface).replace(slot);
        }
        match self.interfaces().next() {
            Some(_) => Ok(()),
            None => Err(OpenError::Empty(self.spec.dir.display().to_string())),
        }
    }

    async fn take_over(&self, sources: Result<Sources, OpenError>, terms: Terms) {
        let sources = match sources {
            Ok(sources) => Rc::new(sources),
            Err(error) => return self.report_kept(&error.to_string()),
        };
        let before = self.sources.replace(sources.clone());
        if terms == Terms::Changed && before.files == sources.files {
            return;
        }
        self.report_problems(&sources);
        match self.agreed(&sources, terms) {
            Ok(manifest) => self.take_over_scripts(&manifest, &sources, terms).await,
            Err(diagnostic) => self.report_kept(&diagnostic.to_string()),
        }
    }

    /// The manifest, if it grants nothing that is yet to be accepted. What it grants counts from here on, for scripts that
    /// are running too.
    fn agreed(&self, sources: &Sources, terms: Terms) -> Result<Rc<Manifest>, Diagnostic> {
        let manifest = Rc::new(self.manifest_of(sources)?);
        if terms == Terms::AllAndAccept {
            let grants: Vec<_> = manifest.grants.iter().map(ToString::to_string).collect();
            tracing::info!(plugin = self.name(), ?grants, "accepted");
            self.accept(&manifest);
            return Ok(manifest);
        }
        let accepted = self.accepted.borrow();
        if let Some((line, grants)) = manifest.widening(&accepted) {
            return Err(unaccepted(line, &grants)
                .excerpt_from(|file| sources.files.get(file).map(Vec::as_slice)));
        }
        self.shared
            .grant_within(&accepted, manifest.grants.clone().into());
        Ok(manifest)
    }

    fn manifest_of(&self, sources: &Sources) -> Result<Manifest, Diagnostic> {
        Manifest::read_with(sources, &self.spec.surroundings.variables)
    }

    fn accept(&self, manifest: &Manifest) {
        let granted = Granted::from(manifest.grants.clone());
        self.accepted.replace(granted.clone());
        self.shared.grant(granted);
    }

    async fn take_over_scripts(
        &self,
        manifest: &Rc<Manifest>,
        sources: &Rc<Sources>,
        terms: Terms,
    ) {
        for interface in Interface::ALL {
            let is_there = sources.files.contains_key(Path::new(&interface.file()));
            let slot = self.slot(interface).borrow().clone();
            match slot {
                Slot::Live(_) if !is_there => {
                    self.report_kept(&format!("{} is gone", interface.file()));
                }
                Slot::Live(live)
                    if terms == Terms::Changed && !live.script.is_changed_by(sources) => {}
                Slot::Absent if !is_there => {}
                slot => {
                    self.take_over_script(interface, &slot, manifest, sources)
                        .await;
                }
            }
        }
    }

    async fn take_over_script(
        &self,
        interface: Interface,
        slot: &Slot,
        manifest: &Rc<Manifest>,
        sources: &Rc<Sources>,
    ) {
        match self.load(interface, manifest, sources).await {
            Ok(live) => {
                let generation = live.script.generation;
                self.slot(interface).replace(self.go_live(live));
                self.meters.add(Tally::TakenOver);
                tracing::info!(
                    plugin = self.name(),
                    script = interface.file(),
                    generation,
                    "live"
                );
                if matches!(slot, Slot::Absent) && self.activated.get() {
                    tracing::warn!(
                        plugin = self.name(),
                        "{} is new: Docker asks for interfaces only once, so restart it",
                        interface.file()
                    );
                }
            }
            Err(diagnostic) => {
                self.report_kept(&diagnostic.to_string());
                if let Slot::Broken(_) = slot {
                    self.slot(interface).replace(Slot::Broken(diagnostic));
                }
            }
        }
    }

    /// A state that ran out of memory gives way to a new one of the same program.
    pub(super) async fn replace_if_worn(&self, live: &Live) {
        let interface = live.script.interface;
        if !live.script.is_worn() {
            return;
        }
        let _turn = self.turn.lock().await;
        let is_current = matches!(&*self.slot(interface).borrow(), Slot::Live(now) if Rc::ptr_eq(&now.script, &live.script));
        if !is_current {
            return;
        }
        match self
            .load(interface, &live.manifest, live.script.sources())
            .await
        {
            Ok(new) => {
                let generation = new.script.generation;
                self.slot(interface).replace(self.go_live(new));
                self.meters.add(Tally::Restarted);
                tracing::warn!(
                    plugin = self.name(),
                    script = interface.file(),
                    generation,
                    "out of memory: started anew"
                );
            }
            Err(diagnostic) => self.report_kept(&diagnostic.to_string()),
        }
    }

    async fn load(
        &self,
        interface: Interface,
        manifest: &Rc<Manifest>,
        sources: &Rc<Sources>,
    ) -> Result<Live, Diagnostic> {
        let generation = self.generation.get() + 1;
        self.generation.set(generation);
        let script = Script::load(
            interface,
            generation,
            sources.clone(),
            self.shared.clone(),
            Rc::new(manifest.settings.clone()),
            manifest.limits(),
        );
        Ok(Live {
            script: Rc::new(script.await?),
            manifest: manifest.clone(),
        })
    }

    fn report_problems(&self, sources: &Sources) {
        for (file, problem) in &sources.problems {
            tracing::warn!(plugin = self.name(), "{}: {problem}", file.display());
        }
    }

    fn go_live(&self, live: Live) -> Slot {
        let script = &live.script;
        self.meters.generation(script.interface, script.generation);
        self.weigh(script);
        self.collector.notice(script.interface);
        Slot::Live(live)
    }

    /// Has the meters know how much memory a script holds.
    pub(super) fn weigh(&self, script: &Script) {
        self.meters.memory(
            script.interface,
            script.generation,
            script.lua().used_memory(),
        );
    }

    fn report_kept(&self, problem: &str) {
        self.meters.add(Tally::Refused);
        tracing::error!(
            plugin = self.name(),
            "not taken over, what ran before goes on:\n{problem}"
        );
    }
}

fn unaccepted(line: usize, grants: &[&Grant]) -> Diagnostic {
    let grants: Vec<_> = grants.iter().map(|grant| format!("`{grant}`")).collect();
    let message = format!(
        "{} must be accepted first: a saved file gives scripts no new grants",
        grants.join(", ")
    );
    Diagnostic::of_file(MANIFEST, message)
        .at(Some(line))
        .cure("run `moondock reload --accept-grants`, or start moondock again")
}

fn present(sources: &Sources) -> impl Iterator<Item = Interface> + '_ {
    Interface::ALL
        .into_iter()
        .filter(|interface| sources.files.contains_key(Path::new(&interface.file())))
}
