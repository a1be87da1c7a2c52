//! From a saved file to the next generation, which takes over only when nothing is wrong with it.

use super::link::Link;
use super::open::{has_script, release};
use super::slot::{Lost, Release};
use super::{Loaded, News, OpenError, PANICKED, Plugin, Trial};
use crate::host::MANIFEST;
use crate::protocol::Interface;
use crate::script::{Diagnostic, Sources};
use crate::sys::scripts::watch::Watcher;
use crate::telemetry::chain;
use futures_util::future::join_all;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};

/// What a reload does besides loading the files that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terms {
    /// Nothing more, because a file was saved.
    Changed,
    /// Loads everything anew, changed or not.
    All,
    /// Loads everything anew, and accepts all grants of `plugin.toml`.
    AllAndAccept,
}

/// The scripts that are being loaded, each with its result.
type Loading = Vec<JoinHandle<Option<News>>>;

/// What is named as the place of a problem that no file of the plugin has by itself.
const TRIAL: &str = "tests";
const DIRECTORY: &str = "directory";

/// How long to wait for a moment in which no file is being written.
const CALM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a file that became empty counts as being written.
const TRUNCATION_GRACE: Duration = Duration::from_millis(200);

impl Plugin {
    /// Reloads what changes on disk, until dropped. For a stand-in, returns at the first change.
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
        if self.is_stand_in() {
            return watcher.changed().await;
        }
        loop {
            self.take_over_changes(&mut watcher).await;
            // Only another reading sees what came into a directory before it was followed.
            if !watcher.follow(&self.watched()) {
                watcher.changed().await;
                watcher.follow(&self.watched());
            }
        }
    }

    /// Reads the scripts, and passes those that changed to their threads.
    async fn take_over_changes(self: &Rc<Self>, watcher: &mut Watcher) {
        loop {
            let reloads = self.reloads.get();
            let sources = self.read_calmly(watcher).await;
            let _turn = self.reading.lock().await;
            // What was read before a reload read is older, and must not replace it.
            if reloads == self.reloads.get() {
                // What cannot be taken over has been logged.
                let _ = self.try_and_take_over(sources, Terms::Changed).await;
                return;
            }
        }
    }

    /// Loads everything again, changed or not. New grants are taken over only with `accept_grants`.
    /// Returns what became of each script.
    pub async fn reload(self: &Rc<Self>, accept_grants: bool) -> Vec<News> {
        if self.is_stand_in() {
            return self.standing().await;
        }
        let terms = if accept_grants {
            Terms::AllAndAccept
        } else {
            Terms::All
        };
        let loading = {
            let _turn = self.reading.lock().await;
            let sources = self.core.spec.read_sources().await;
            self.reloads.set(self.reloads.get() + 1);
            self.try_and_take_over(sources, terms).await
        };
        match loading {
            Ok(loading) => finish(loading).await,
            Err(result) => vec![result],
        }
    }

    /// Returns the present state of each script.
    pub async fn standing(&self) -> Vec<News> {
        if let Some(stand_in) = &self.stands_in_for {
            return vec![News::of_all(Loaded::Broken(stand_in.reason.clone()))];
        }
        let asking = self.interfaces().filter_map(|interface| {
            let link = self.link(interface)?;
            Some(async move {
                let standing = link.run(|runner| async move { runner.slot.standing() });
                News::of(
                    interface.file(),
                    standing.await.unwrap_or_else(|Lost| lost()),
                )
            })
        });
        join_all(asking).await
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

    /// Takes over the files if they pass the trial of the plugin, if it has one.
    async fn try_and_take_over(
        self: &Rc<Self>,
        sources: Result<Sources, OpenError>,
        terms: Terms,
    ) -> Result<Loading, News> {
        if let Ok(sources) = &sources {
            self.pass_trial(sources, terms).await?;
        }
        self.take_over(sources, terms)
    }

    async fn pass_trial(&self, sources: &Sources, terms: Terms) -> Result<(), News> {
        let Some(Trial(trial)) = self.core.spec.trial else {
            return Ok(());
        };
        if terms == Terms::Changed {
            let refused = self.refused.borrow();
            if refused
                .as_ref()
                .is_some_and(|refused| refused.is_same_as(sources))
            {
                // This has been logged.
                return Err(News::of_all(Loaded::Kept("its tests fail".to_owned())));
            }
            if self.sources.borrow().is_same_as(sources) {
                self.core.vitals.note_problem(TRIAL, None);
                return Ok(());
            }
        }
        let (spec, files) = (self.core.spec.clone(), Arc::new(sources.clone()));
        let trying = spawn_blocking(move || trial(&spec, &files));
        let Err(problem) = trying.await.unwrap_or_else(|_| Err(PANICKED.to_owned())) else {
            self.refused.take();
            self.core.vitals.note_problem(TRIAL, None);
            return Ok(());
        };
        self.refused.replace(Some(sources.clone()));
        self.core.report_kept(TRIAL, &problem);
        Err(News::of_all(Loaded::Kept(problem)))
    }

    /// Passes the files to the threads of their scripts. The caller holds `reading`, so that no
    /// script gets an older version after a newer one.
    fn take_over(
        self: &Rc<Self>,
        sources: Result<Sources, OpenError>,
        terms: Terms,
    ) -> Result<Loading, News> {
        let sources = match sources {
            Ok(sources) => {
                self.core.vitals.note_problem(DIRECTORY, None);
                Arc::new(sources)
            }
            Err(error) => return Err(News::of_all(self.keep_unreadable(&error))),
        };
        let before = self.sources.replace(sources.clone());
        let is_same = before.files == sources.files && before.problems == sources.problems;
        if terms == Terms::Changed && is_same {
            self.report_new_problems(&before, &sources);
            return Ok(Loading::new());
        }
        self.report_problems(&sources);
        match self.agreed(&sources, terms) {
            Ok(manifest) => {
                self.core.vitals.note_problem(MANIFEST, None);
                let release = release(manifest, &sources);
                let taking_over = |interface| {
                    let (plugin, release) = (self.clone(), release.clone());
                    spawn_local(plugin.take_over_script(interface, release, terms))
                };
                Ok(Interface::ALL.into_iter().map(taking_over).collect())
            }
            Err(refusal) => {
                let refused = self.refuse(&refusal);
                self.explain_broken(refusal.diagnostic());
                Err(News::of(MANIFEST, refused))
            }
        }
    }

    /// Keeps what runs because the directory cannot be read. This is no error if the plugin ends
    /// with its directory.
    fn keep_unreadable(&self, error: &OpenError) -> Loaded {
        let problem = chain(error);
        if self.core.spec.leaves && error.is_absence() {
            tracing::debug!(plugin = self.name(), "{problem}");
        } else {
            self.core.report_kept(DIRECTORY, &problem);
        }
        Loaded::Kept(problem)
    }

    /// Makes the scripts without a live generation answer with this problem.
    fn explain_broken(&self, diagnostic: &Diagnostic) {
        for link in self.interfaces().filter_map(|i| self.link(i)) {
            let diagnostic = diagnostic.clone();
            spawn_local(async move {
                // A panic has been logged.
                let _ = link
                    .run(|runner| async move { runner.slot.explain(diagnostic) })
                    .await;
            });
        }
    }

    /// Has a script load the release. Returns what became of it, or `None` if the plugin has no
    /// script of the interface.
    async fn take_over_script(
        self: Rc<Self>,
        interface: Interface,
        release: Release,
        terms: Terms,
    ) -> Option<News> {
        let file = interface.file();
        let link = match self.link_or_new(interface, &release.sources) {
            Ok(link) => link?,
            Err(error) => {
                let problem = chain(&error);
                self.core.report_kept(&file, &problem);
                return Some(News::of(file, Loaded::Broken(problem)));
            }
        };
        let only_changed = terms == Terms::Changed;
        let job = link
            .run(move |runner| async move { runner.slot.take_over(release, only_changed).await });
        let result = job.await.unwrap_or_else(|Lost| lost());
        match &result {
            Loaded::Gone if !has_script(&self.sources.borrow(), interface) => {
                self.links[interface as usize].replace(None);
            }
            Loaded::Live(_) if interface == Interface::Log => self.resume_logs().await,
            _ => {}
        }
        Some(News::of(file, result))
    }

    /// Returns the link to a script, which is made if the script is new.
    fn link_or_new(
        &self,
        interface: Interface,
        sources: &Sources,
    ) -> Result<Option<Rc<Link>>, OpenError> {
        let link = self.link(interface);
        if link.is_some() || !has_script(sources, interface) {
            return Ok(link);
        }
        let link = Rc::new(self.thread_for(interface)?);
        self.set_link(interface, link.clone());
        if self.core.is_activated() {
            tracing::warn!(
                plugin = self.name(),
                "{} is new: restart Docker, which asks for interfaces only once",
                interface.file()
            );
        }
        Ok(Some(link))
    }
}

async fn finish(loading: Loading) -> Vec<News> {
    let all = join_all(loading).await;
    all.into_iter()
        .filter_map(|news| news.unwrap_or(None))
        .collect()
}

/// The result of a script that panicked, which is restarted.
fn lost() -> Loaded {
    Loaded::Kept(PANICKED.to_owned())
}
