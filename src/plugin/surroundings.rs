//! What is special about where a plugin runs: nothing for a service; a managed plugin has a root file system of its own.

use super::settings::Variables;
use crate::authz::{HIDDEN, HostMount, Refusal};
use crate::sys::files::paths;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What is special about where a plugin runs; by default, nothing.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The variables that may set settings.
    pub variables: Variables,
    /// The engine started the process itself, as that of a managed plugin: it never asks `Plugin.Activate`.
    pub managed: bool,
    /// Of a managed plugin, the host's paths that it sees at the same place, with all below; it sees no others.
    pub host_paths: Vec<PathBuf>,
}

impl Surroundings {
    /// Settles a mount whose path is what it seems, as far as the kernel tells at once.
    pub(super) fn lead_nowhere_else(&self, mount: &mut HostMount) -> bool {
        let source = Path::new(&mount.source);
        let climbs = source.components().any(|part| part == Component::ParentDir);
        if climbs || !self.shows(source) || !paths::is_known_without_links(source) {
            return false;
        }
        mount.resolved = Some(source.components().collect());
        true
    }

    /// Reads a link of the host.
    ///
    /// # Errors
    /// Those of [`paths::read_link`], and `Unsupported` for what is not seen.
    pub(super) fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match () {
            () if self.shows(path) => paths::read_link(path),
            // The engine has followed what leads to the paths that it mounted.
            () if self.host_paths.iter().any(|shown| shown.starts_with(path)) => Ok(None),
            () => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Refuses a mount that leads to what is not seen.
    pub(super) fn refuse_hidden(&self, mounts: &[HostMount]) -> Result<(), Refusal> {
        let hidden = |mount: &&HostMount| {
            mount
                .resolved
                .as_deref()
                .is_some_and(|path| !self.shows(path))
        };
        match mounts.iter().find(hidden) {
            Some(mount) => Err(Refusal::HostPath {
                via: mount.via.clone(),
                reason: HIDDEN,
            }),
            None => Ok(()),
        }
    }

    /// Whether `path` here is the host's `path`.
    fn shows(&self, path: &Path) -> bool {
        !self.managed || self.host_paths.iter().any(|shown| path.starts_with(shown))
    }
}
