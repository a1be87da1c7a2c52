//! Files that mean nothing where they are: a misspelt manifest, and plugins inside of a plugin.

use super::misnamed::is_required;
use super::{Diagnostic, Sources};
use crate::host::MANIFEST;
use crate::protocol::Interface;
use std::path::Path;

/// How many letters of the manifest's name may be wrong.
const EDITS: usize = 2;

/// Returns a warning for each file that is nearly named like the manifest, which does not exist, and
/// for a script of an interface that makes a directory of plugins one plugin.
pub(super) fn misplaced(sources: &Sources) -> impl Iterator<Item = Diagnostic> {
    misnamed_manifests(sources).chain(stray(sources))
}

fn misnamed_manifests(sources: &Sources) -> impl Iterator<Item = Diagnostic> {
    let is_near = |name: &&String| strsim::osa_distance(&name.to_lowercase(), MANIFEST) <= EDITS;
    let near = sources.others.iter().filter(is_near);
    near.filter(|_| !sources.has(MANIFEST)).map(|name| {
        let message = format!("this file is not read: settings and grants are in `{MANIFEST}`");
        Diagnostic::of_file(name, message).cure(format!("rename it to `{MANIFEST}`"))
    })
}

/// Warns of a script beside directories that have scripts of interfaces too, which none requires.
fn stray(sources: &Sources) -> Option<Diagnostic> {
    let stray = Interface::ALL
        .map(Interface::file)
        .into_iter()
        .find(|file| sources.has(file))?;
    let mut hidden: Vec<_> = sources
        .files
        .keys()
        .filter_map(|file| hidden_plugin(sources, file))
        .collect();
    hidden.dedup();
    if hidden.is_empty() {
        return None;
    }
    let message = format!(
        "this file makes its directory a plugin, so those in it are not served: {}",
        hidden.join(", ")
    );
    let cure = format!("move `{stray}` into a directory of its own");
    Some(Diagnostic::of_file(stray, message).cure(cure))
}

/// Returns the directory of a script that would be that of an interface if it were served.
fn hidden_plugin(sources: &Sources, file: &Path) -> Option<String> {
    let dir = file.parent()?;
    let mut names = Interface::ALL.into_iter().map(|i| (i.file(), i.name()));
    let (_, stem) = names.find(|(name, _)| file.file_name() == Some(name.as_ref()))?;
    let is_child = dir.components().count() == 1;
    (is_child && !is_required(sources, stem)).then(|| dir.display().to_string())
}
