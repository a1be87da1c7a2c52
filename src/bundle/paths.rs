//! What a bundle says of the host's paths that its grants name.

use super::Subject;
use super::config::{Mount, PluginConfig};
use super::derive::{DEVICES, PROPAGATED};
use crate::grants::Grant;
use crate::protocol::{Method, methods};
use crate::sys::files::paths::exists;
use std::path::Path;

/// Returns a warning if a driver may write only where containers do not see its mounts.
pub fn warn_of_unreachable(subject: &Subject) -> Option<String> {
    let is_ours = |method: &&Method| subject.interfaces.contains(&method.interface);
    let method = methods()
        .filter(is_ours)
        .find(|method| method.reachable.is_some())?;
    let outside: Vec<_> = subject
        .manifest
        .grants
        .iter()
        .filter_map(written_outside)
        .collect();
    let file = method.interface.file();
    (!outside.is_empty()).then(|| {
        format!(
            "{file} may write {}, which containers do not see: keep volumes below `{PROPAGATED}`, with the grant `fs.write:{PROPAGATED}/…`",
            outside.join(", ")
        )
    })
}

fn written_outside(grant: &Grant) -> Option<String> {
    match grant {
        Grant::FsWrite(path) if !path.starts_with(PROPAGATED) => {
            Some(format!("`{}`", path.display()))
        }
        _ => None,
    }
}

/// Returns a note about the paths that the engine mounts, which must exist by then.
pub fn note_on_existence(config: &PluginConfig) -> Option<String> {
    let is_granted = |mount: &&Mount| mount.source == mount.destination && mount.source != DEVICES;
    let mounted: Vec<_> = config.mounts.iter().filter(is_granted).collect();
    let shown = |mount: &&Mount| {
        let missing = if exists(Path::new(&mount.source)) {
            ""
        } else {
            " (missing on this machine)"
        };
        format!("`{}`{missing}", mount.source)
    };
    let shown: Vec<_> = mounted.iter().map(shown).collect();
    (!shown.is_empty()).then(|| {
        format!(
            "must exist on the host when the plugin is enabled: {}",
            shown.join(", ")
        )
    })
}
