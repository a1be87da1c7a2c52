//! Files whose names are near that of an interface's script, but not it.

use super::misplaced::misplaced;
use super::{Diagnostic, Sources, TokenKind, tokens};
use crate::host::nearest;
use crate::protocol::Interface;
use std::path::Path;

/// Returns a warning for each script in the plugin's directory that is not served, that no other
/// requires, and whose name is near that of an interface's script which does not exist; and for other
/// files that mean nothing where they are.
pub fn misnamed(sources: &Sources) -> Vec<Diagnostic> {
    let names = sources.files.keys().filter_map(|file| {
        let extension = file.extension()?.to_str()?.to_ascii_lowercase();
        let stem = file.file_stem()?.to_str()?;
        let is_script = matches!(extension.as_str(), "lua" | "luau");
        let is_at_top = file.parent() == Some(Path::new(""));
        (is_script && is_at_top).then_some((file, stem))
    });
    let misnamed = names.filter_map(|(file, stem)| {
        let expected = intended(stem)?.file();
        let is_alone = !sources.has(&expected);
        (is_alone && !is_required(sources, stem)).then(|| warning(file, &expected))
    });
    misnamed.chain(misplaced(sources)).collect()
}

/// Returns the interface whose name is nearest to `stem`.
fn intended(stem: &str) -> Option<Interface> {
    let near = nearest(
        stem,
        Interface::ALL.iter().map(|interface| interface.name()),
    )?;
    let mut all = Interface::ALL.into_iter();
    all.find(|interface| interface.name() == near)
}

/// Returns whether a file has the text `./stem` or `../stem`, which is how it would be required.
pub(super) fn is_required(sources: &Sources, stem: &str) -> bool {
    let requires = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        let is_path = |kind| matches!(kind, TokenKind::Text(path) if path.rsplit_once('/').is_some_and(|(_, name)| name == stem));
        tokens(&text).iter().any(|token| is_path(token.kind))
    };
    sources.files.values().any(|text| requires(text))
}

fn warning(file: &Path, expected: &str) -> Diagnostic {
    let message = format!("this file is not served: an interface's script is named `{expected}`");
    let diagnostic = Diagnostic::of_file(file.display().to_string(), message);
    diagnostic.cure(format!("rename it to `{expected}`"))
}
