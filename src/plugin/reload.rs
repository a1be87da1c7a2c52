//! Loading and reloading: a new generation takes over only when nothing is wrong with it.

use super::link::Link;
use super::slot::{Lost, Release};
use super::{Manifest, OpenError, Plugin, never_asked};
use crate::grants::{Grant, Granted};
use crate::host::MANIFEST;
use crate::protocol::Interface;
use crate::script::{Diagnostic, Sources, misnamed};
use crate::sys::scripts::watch::Watcher;
use crate::telemetry::chain;
use futures_util::future::join_all;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a reload does besides loading the files that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terms {
    /// Nothing more, because a file was saved.
    Changed,
    /// Loads everything anew, changed or not.
    All,
    /// Loads everything anew, and accepts all grants of `plugin.toml`.
    AllAndAccept,
}

/// How long to wait for a moment in which no file is being written.
const CALM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a file that became empty counts as being written.
const TRUNCATION_GRACE: Duration = Duration::from_millis(200);

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
        // The first reading sees what changed before the watch was in place.
        watcher.follow(&self.watched());
        loop {
            let sources = self.read_calmly(&mut watcher).await;
            let turn = self.reloading.lock().await;
            self.take_over(sources, Terms::Changed).await;
            drop(turn);
            // Only another reading sees what came into a directory before it was followed.
            if !watcher.follow(&self.watched()) {
                watcher.changed().await;
                watcher.follow(&self.watched());
            }
        }
    }

    /// Loads everything again, changed or not. New grants are taken over only with `accept_grants`.
    pub async fn reload(&self, accept_grants: bool) {
        let terms = if accept_grants {
            Terms::AllAndAccept
        } else {
            Terms::All
        };
        let _turn = self.reloading.lock().await;
        let sources = self.core.spec.read_sources().await;
        self.take_over(sources, terms).await;
    }

    fn watched(&self) -> Vec<PathBuf> {
        self.sources.borrow().watch.clone()
    }

    fn has_emptied_file(&self, sources: &Result<Sources, OpenError>) -> bool {
        let before = self.sources.borrow();
        let was_empty = |file| before.files.get(file).is_some_and(Vec::is_empty);
        let mut files = sources.iter().flat_map(|sources| &sources.files);
        files.any(|(file, text)| text.is_empty() && !was_empty(file))
    }

    /// Reads the scripts once no file is being written, or after [`CALM_TIMEOUT`] at the latest.
    async fn read_calmly(&self, watcher: &mut Watcher) -> Result<Sources, OpenError> {
        let begun = Instant::now();
        let mut empty_since = None;
        while begun.elapsed() < CALM_TIMEOUT {
            let sources = self.core.spec.read_sources().await;
            // A file is empty before the kernel reports that it was truncated.
            empty_since = self
                .has_emptied_file(&sources)
                .then(|| empty_since.unwrap_or_else(Instant::now));
            let is_truncated = empty_since.is_some_and(|since| since.elapsed() < TRUNCATION_GRACE);
            if !watcher.saw_writing() && !is_truncated {
                return sources;
            }
            if watcher.settled().await {
                // Another save may have emptied it again: that is not the same emptiness.
                empty_since = None;
            }
        }
        self.core.spec.read_sources().await
    }

    /// Loads all scripts for the first time, each on its thread: the first, which is the policy if
    /// there is one, on this thread, where connections are accepted.
    pub(super) async fn load_first(&self, sources: &Arc<Sources>) -> Result<(), OpenError> {
        self.report_problems(sources);
        let release = self.manifest_of(sources).map(|manifest| {
            self.accept(&manifest);
            release(manifest, sources)
        });
        for (number, interface) in present(sources).enumerate() {
            let link = if number == 0 {
                Link::here(self.core.clone(), interface)
            } else {
                self.thread_for(interface)?
            };
            self.links[interface as usize].replace(Some(Rc::new(link)));
        }
        let loading =
            present(sources).map(|interface| self.load_script(interface, release.clone()));
        for (interface, loaded) in present(sources).zip(join_all(loading).await) {
            match loaded.map_err(|Lost| OpenError::Panicked(interface.file()))? {
                Err(diagnostic) if interface == Interface::Authz => tracing::error!(
                    plugin = self.name(),
                    "every request is denied until this is fixed:\n{diagnostic}"
                ),
                loaded => loaded.map_err(OpenError::Script)?,
            }
        }
        match self.interfaces().next() {
            Some(_) => Ok(()),
            None => Err(OpenError::Empty(self.core.spec.dir.display().to_string())),
        }
    }

    fn thread_for(&self, interface: Interface) -> Result<Link, OpenError> {
        Link::thread(self.core.clone(), interface).map_err(|source| OpenError::Thread {
            script: interface.file(),
            source,
        })
    }

    async fn load_script(
        &self,
        interface: Interface,
        release: Result<Release, Diagnostic>,
    ) -> Result<Result<(), Diagnostic>, Lost> {
        let link = self.link(interface).ok_or(Lost)?;
        link.run(move |runner| async move { runner.slot.load_first(release).await })
            .await
    }

    async fn take_over(&self, sources: Result<Sources, OpenError>, terms: Terms) {
        let sources = match sources {
            Ok(sources) => Arc::new(sources),
            Err(error) => return self.core.report_kept(&chain(&error)),
        };
        let before = self.sources.replace(sources.clone());
        if terms == Terms::Changed && before.files == sources.files {
            return;
        }
        self.report_problems(&sources);
        match self.agreed(&sources, terms) {
            Ok(manifest) => {
                let release = release(manifest, &sources);
                let taking_over = Interface::ALL
                    .into_iter()
                    .map(|interface| self.take_over_script(interface, release.clone(), terms));
                join_all(taking_over).await;
            }
            Err(diagnostic) => self.core.report_kept(&diagnostic.to_string()),
        }
    }

    async fn take_over_script(&self, interface: Interface, release: Release, terms: Terms) {
        let Some(link) = self.link(interface) else {
            if has_script(&release.sources, interface) {
                self.add_script(interface, release).await;
            }
            return;
        };
        let only_changed = terms == Terms::Changed;
        let job = link.run(move |runner| async move {
            runner.slot.take_over(release, only_changed).await;
        });
        // A panic has been logged.
        let _ = job.await;
    }

    /// Serves an interface that the plugin did not have, if its script can be loaded.
    async fn add_script(&self, interface: Interface, release: Release) {
        let link = match self.thread_for(interface) {
            Ok(link) => Rc::new(link),
            Err(error) => return self.core.report_kept(&chain(&error)),
        };
        let loading =
            link.run(move |runner| async move { runner.slot.take_over(release, true).await });
        if !loading.await.unwrap_or(false) {
            return;
        }
        self.links[interface as usize].replace(Some(link));
        if interface == Interface::Log {
            self.resume_logs().await;
        }
        if self.core.is_activated() {
            tracing::warn!(
                plugin = self.name(),
                "{} is new: restart Docker, which asks for interfaces only once",
                interface.file()
            );
        }
    }

    /// Returns the manifest unless it has grants that are not accepted. Its grants apply from now
    /// on, also to scripts that are running.
    fn agreed(&self, sources: &Sources, terms: Terms) -> Result<Manifest, Diagnostic> {
        let manifest = self.manifest_of(sources)?;
        if terms == Terms::AllAndAccept {
            let grants: Vec<_> = manifest.grants.iter().map(ToString::to_string).collect();
            tracing::info!(plugin = self.name(), ?grants, "accepted");
            self.accept(&manifest);
            return Ok(manifest);
        }
        let accepted = self.accepted.borrow();
        if let Some((line, grants)) = manifest.grants_beyond(&accepted) {
            let declared = Granted::from(manifest.grants.clone());
            self.core.shared.await_acceptance(&declared);
            let text_of = |file: &Path| sources.files.get(file).map(Vec::as_slice);
            return Err(unaccepted(line, &grants).excerpt_from(text_of));
        }
        let granted = manifest.grants.clone().into();
        self.core.shared.grant_within(&accepted, granted);
        Ok(manifest)
    }

    fn manifest_of(&self, sources: &Sources) -> Result<Manifest, Diagnostic> {
        Manifest::read_with(sources, &self.core.spec.surroundings.variables)
    }

    fn accept(&self, manifest: &Manifest) {
        let granted = Granted::from(manifest.grants.clone());
        self.accepted.replace(granted.clone());
        self.core.shared.grant(granted);
    }

    fn report_problems(&self, sources: &Sources) {
        for (file, problem) in &sources.problems {
            tracing::warn!(plugin = self.name(), "{}: {problem}", file.display());
        }
        for diagnostic in misnamed(sources) {
            tracing::warn!(plugin = self.name(), "{diagnostic}");
        }
        if !self.core.spec.surroundings.managed {
            for diagnostic in never_asked(self.name(), sources) {
                tracing::warn!(plugin = self.name(), "{diagnostic}");
            }
        }
    }
}

fn release(manifest: Manifest, sources: &Arc<Sources>) -> Release {
    Release {
        manifest: Arc::new(manifest),
        sources: sources.clone(),
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

fn has_script(sources: &Sources, interface: Interface) -> bool {
    sources.files.contains_key(Path::new(&interface.file()))
}

fn present(sources: &Sources) -> impl Iterator<Item = Interface> + '_ {
    Interface::ALL
        .into_iter()
        .filter(|interface| has_script(sources, *interface))
}
