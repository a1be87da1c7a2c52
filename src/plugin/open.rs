//! Opening a plugin, and the grants that its manifest may have.

use super::link::Link;
use super::reload::Terms;
use super::slot::Release;
use super::{CallError, Loaded, Manifest, OpenError, PANICKED, Plugin};
use crate::grants::{Grant, Granted};
use crate::host::MANIFEST;
use crate::protocol::Interface;
use crate::script::{Diagnostic, Sources, misnamed};
use futures_util::future::join_all;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Why a manifest is not taken over.
pub(super) enum Refusal {
    /// It cannot be read.
    Unreadable(Diagnostic),
    /// It has grants that nobody accepted.
    Unaccepted(Diagnostic),
}

impl Plugin {
    /// Loads all scripts for the first time, each on its thread: the first, which is the policy if
    /// there is one, on this thread, where connections are accepted. A script that cannot be loaded
    /// answers each call with its diagnostic; with `strict`, only a policy does.
    pub(super) async fn load_first(&self, sources: &Arc<Sources>) -> Result<(), OpenError> {
        self.report_problems(sources);
        let release = self
            .first_manifest(sources)
            .map(|manifest| release(manifest, sources));
        for (number, interface) in present(sources).enumerate() {
            let link = if number == 0 || self.core.shared.stage.is_some() {
                Link::here(self.core.clone(), interface)
            } else {
                self.thread_for(interface)?
            };
            self.set_link(interface, Rc::new(link));
        }
        let loading =
            present(sources).map(|interface| self.load_script(interface, release.clone()));
        for (interface, loaded) in present(sources).zip(join_all(loading).await) {
            match loaded {
                Ok(()) => {}
                Err(error) if self.core.spec.strict && interface != Interface::Authz => {
                    return Err(OpenError::Script(error));
                }
                Err(diagnostic) => self.core.report_broken(interface, &diagnostic),
            }
        }
        match self.interfaces().next() {
            Some(_) => Ok(()),
            None => Err(OpenError::Empty(self.core.spec.dir.display().to_string())),
        }
    }

    /// Returns the manifest of a plugin that is being opened. The first time, its grants are
    /// accepted; later it must stay within those.
    fn first_manifest(&self, sources: &Sources) -> Result<Manifest, Diagnostic> {
        let accepted = &self.core.spec.accepted;
        if accepted.get().is_some() {
            let agreed = self.agreed(sources, Terms::Changed);
            return agreed.map_err(|refusal| refusal.diagnostic().clone());
        }
        accepted.set(Granted::default());
        let manifest = self.manifest_of(sources)?;
        self.accept(&manifest);
        Ok(manifest)
    }

    /// Answers each call with the reason why the plugin cannot be opened.
    pub(super) async fn break_all(&self) {
        let Some(stand_in) = &self.stands_in_for else {
            return;
        };
        let sources = self.sources.borrow().clone();
        let is_present =
            |interface: &Interface| !stand_in.is_readable || has_script(&sources, *interface);
        for interface in Interface::ALL.into_iter().filter(is_present) {
            let link = Rc::new(Link::here(self.core.clone(), interface));
            let error = CallError::Unopened(stand_in.reason.clone());
            // This cannot panic.
            let _ = link
                .run(|runner| async move { runner.slot.break_with(error) })
                .await;
            self.set_link(interface, link);
        }
    }

    /// Reports why a manifest is not taken over. Returns what becomes of the scripts.
    pub(super) fn refuse(&self, refusal: &Refusal) -> Loaded {
        let text = refusal.diagnostic().to_string();
        match refusal {
            Refusal::Unaccepted(_) => {
                self.core.report_waiting(&text);
                Loaded::Unaccepted(text)
            }
            Refusal::Unreadable(_) if self.core.meters.has_live() => {
                self.core.report_kept(MANIFEST, &text);
                Loaded::Kept(text)
            }
            Refusal::Unreadable(_) => {
                self.core.report_unloaded(&text);
                Loaded::Broken(text)
            }
        }
    }

    pub(super) fn thread_for(&self, interface: Interface) -> Result<Link, OpenError> {
        Link::thread(self.core.clone(), interface).map_err(|source| OpenError::Thread {
            script: interface.file(),
            source,
        })
    }

    async fn load_script(
        &self,
        interface: Interface,
        release: Result<Release, Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let panicked = move || Diagnostic::of_file(interface.file(), PANICKED);
        let link = self.link(interface).ok_or_else(panicked)?;
        let loading = link.run(move |runner| async move { runner.slot.load_first(release).await });
        if let Ok(loaded) = loading.await {
            return loaded;
        }
        let breaking = link.run(move |runner| async move {
            runner.slot.break_with(CallError::Broken(panicked()));
        });
        // This cannot panic.
        let _ = breaking.await;
        Err(panicked())
    }

    /// Returns the manifest unless it has grants that are not accepted. Its grants apply from now
    /// on, also to scripts that are running.
    pub(super) fn agreed(&self, sources: &Sources, terms: Terms) -> Result<Manifest, Refusal> {
        let manifest = self.manifest_of(sources).map_err(Refusal::Unreadable)?;
        if terms == Terms::AllAndAccept {
            let grants: Vec<_> = manifest.grants.iter().map(ToString::to_string).collect();
            tracing::info!(plugin = self.name(), ?grants, "accepted");
            self.accept(&manifest);
            return Ok(manifest);
        }
        let accepted = self.core.spec.accepted.get().unwrap_or_default();
        if let Some((line, grants)) = manifest.grants_beyond(&accepted) {
            let declared = Granted::from(manifest.grants.clone());
            self.core.shared.await_acceptance(&declared);
            self.core.vitals.note_waiting(&grants);
            let text_of = |file: &Path| sources.files.get(file).map(Vec::as_slice);
            let managed = self.core.spec.surroundings.managed;
            let diagnostic = unaccepted(line, &grants, managed).excerpt_from(text_of);
            return Err(Refusal::Unaccepted(diagnostic));
        }
        let granted = manifest.grants.clone().into();
        self.core.shared.grant_within(&accepted, granted);
        self.core.vitals.note_accepted(manifest.grants.iter());
        Ok(manifest)
    }

    /// Reads the manifest. One that was deleted is an error, as a script that was deleted is:
    /// without their settings, scripts would allow what those forbid.
    fn manifest_of(&self, sources: &Sources) -> Result<Manifest, Diagnostic> {
        let manifest = Manifest::read_with(sources, &self.core.spec.surroundings.variables)?;
        let is_there = sources.has(MANIFEST);
        if self.has_manifest.get() && !is_there {
            return Err(Diagnostic::of_file(MANIFEST, "the file was deleted")
                .cure("save it again, empty if need be, or start moondock again"));
        }
        self.has_manifest.set(is_there);
        Ok(manifest)
    }

    fn accept(&self, manifest: &Manifest) {
        let granted = Granted::from(manifest.grants.clone());
        self.core.spec.accepted.set(granted.clone());
        self.core.shared.grant(granted);
        self.core.vitals.note_accepted(manifest.grants.iter());
    }

    pub(super) fn report_problems(&self, sources: &Sources) {
        self.warn_of(&self.problems(sources));
    }

    /// Reports the problems of `sources` that `before` did not have.
    pub(super) fn report_new_problems(&self, before: &Sources, sources: &Sources) {
        if (&before.problems, &before.others) == (&sources.problems, &sources.others) {
            return;
        }
        let known = self.problems(before);
        let mut new = self.problems(sources);
        new.retain(|problem| !known.contains(problem));
        self.warn_of(&new);
    }

    fn warn_of(&self, problems: &[String]) {
        for problem in problems {
            tracing::warn!(plugin = self.name(), "{problem}");
        }
    }

    fn problems(&self, sources: &Sources) -> Vec<String> {
        let left_out = sources.problems.iter();
        let left_out = left_out.map(|(file, problem)| {
            Diagnostic::of_file(file.to_string_lossy(), problem).to_string()
        });
        let unasked = if self.core.spec.surroundings.managed {
            Vec::new()
        } else {
            let mut unasked = never_asked(self.name(), sources);
            unasked.extend(unannounced(sources));
            unasked
        };
        let diagnostics = misnamed(sources).into_iter().chain(unasked);
        let diagnostics = diagnostics.map(|diagnostic| diagnostic.to_string());
        left_out.chain(diagnostics).collect()
    }
}

impl Refusal {
    /// Returns what is wrong with the manifest.
    pub fn diagnostic(&self) -> &Diagnostic {
        match self {
            Self::Unreadable(diagnostic) | Self::Unaccepted(diagnostic) => diagnostic,
        }
    }
}

/// Returns what a script is loaded from.
pub(super) fn release(manifest: Manifest, sources: &Arc<Sources>) -> Release {
    Release {
        manifest: Arc::new(manifest),
        sources: sources.clone(),
    }
}

fn unaccepted(line: usize, grants: &[&Grant], managed: bool) -> Diagnostic {
    let grants: Vec<_> = grants.iter().map(|grant| format!("`{grant}`")).collect();
    let message = format!(
        "{} must be accepted first: a saved file gives scripts no new grants",
        grants.join(", ")
    );
    Diagnostic::of_file(MANIFEST, message)
        .at(Some(line))
        .cure(if managed {
            "make a new bundle: the grants of a managed plugin are those of its bundle"
        } else {
            "run `moondock reload --accept-grants`, or start moondock again"
        })
}

/// Returns a warning for each script that the engine will never ask, because the plugin has the name
/// of one of its own drivers.
pub fn never_asked(name: &str, sources: &Sources) -> Vec<Diagnostic> {
    let is_hidden = |interface: &Interface| interface.built_in().contains(&name);
    let hidden = present(sources).filter(is_hidden);
    let warning = |interface: Interface| {
        let message = format!(
            "Docker has a {} driver `{name}` of its own, and will never ask this one",
            interface.name()
        );
        Diagnostic::of_file(interface.file(), message).cure("rename the plugin's directory")
    };
    hidden.map(warning).collect()
}

/// Returns a warning for each script that is not announced on a socket: dockerd would hang.
pub fn unannounced(sources: &Sources) -> Option<Diagnostic> {
    let hidden = present(sources).find(|interface| !interface.is_announced())?;
    let message =
        "not served on a socket: a metrics collector there makes dockerd hang at its start";
    Some(Diagnostic::of_file(hidden.file(), message).cure("package it with `moondock bundle`"))
}

/// Whether there is a script of the interface.
pub(super) fn has_script(sources: &Sources, interface: Interface) -> bool {
    sources.has(&interface.file())
}

fn present(sources: &Sources) -> impl Iterator<Item = Interface> + '_ {
    Interface::ALL
        .into_iter()
        .filter(|interface| has_script(sources, *interface))
}
