//! The environment of a plugin: a service has none to speak of, a managed plugin has a root file
//! system of its own.

use super::settings::Variables;
use crate::authz::{HIDDEN, HostMount, Refusal};
use crate::grants::Origin;
use crate::host::Stage;
use crate::sys::files::paths;
use crate::trace::Tap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The environment of a plugin. The default is that of a service.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment variables that override settings.
    pub variables: Variables,
    /// Whether the engine started the process, as a managed plugin. It then never calls
    /// `Plugin.Activate`.
    pub managed: bool,
    /// The host's paths that a managed plugin sees at the same place, with everything below them.
    /// It sees no other path of the host.
    pub host_paths: Vec<PathBuf>,
    /// What takes the place of the machine in a test.
    pub stage: Option<Stage>,
    /// Where those who watch see the calls.
    pub tap: Tap,
}

impl Surroundings {
    /// Returns where the plugin's grants come from.
    pub(super) fn grants_from(&self) -> Origin {
        if self.managed {
            Origin::Bundle
        } else {
            Origin::File
        }
    }

    /// Sets where a mount leads, if the kernel knows without waiting that its path has no links.
    /// Returns whether it did.
    pub(super) fn resolve_without_waiting(&self, mount: &mut HostMount) -> bool {
        let source = Path::new(&mount.source);
        let has_parent = source.components().any(|part| part == Component::ParentDir);
        if has_parent
            || !self.is_visible(source)
            || !paths::is_known_without_links(&self.located(source))
        {
            return false;
        }
        mount.resolved = Some(source.components().collect());
        true
    }

    /// Reads a symbolic link of the host.
    ///
    /// # Errors
    /// Those of [`paths::read_link`], and `Unsupported` for a path that is not visible.
    pub(super) fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        if self.is_visible(path) {
            return paths::read_link(&self.located(path));
        }
        // The engine followed the links on the way to the paths that it mounted.
        if self.host_paths.iter().any(|shown| shown.starts_with(path)) {
            return Ok(None);
        }
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Rejects mounts that lead to a path that is not visible.
    pub(super) fn reject_invisible(&self, mounts: &[HostMount]) -> Result<(), Refusal> {
        let is_invisible = |mount: &&HostMount| {
            let resolved = mount.resolved.as_deref();
            resolved.is_some_and(|path| !self.is_visible(path))
        };
        match mounts.iter().find(is_invisible) {
            Some(mount) => Err(Refusal::HostPath {
                via: mount.via.clone(),
                reason: HIDDEN,
            }),
            None => Ok(()),
        }
    }

    fn located(&self, path: &Path) -> PathBuf {
        let stage = self.stage.as_ref();
        stage.map_or_else(|| path.to_owned(), |stage| stage.path(path))
    }

    /// Whether `path` in this process is the host's `path`.
    fn is_visible(&self, path: &Path) -> bool {
        !self.managed || self.host_paths.iter().any(|shown| path.starts_with(shown))
    }
}
