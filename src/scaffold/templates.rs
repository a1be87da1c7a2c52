//! The files of a new plugin, by their paths below its directory.

use super::below;
use super::manifest;
use super::name::NewName;
use crate::protocol::Interface;
use crate::shipped::{KITS, ShippedPlugin, TEMPLATES, TYPES, files_of};
use crate::sys::files::whole::Contents;
use include_dir::Dir;
use regex_lite::{NoExpand, Regex};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The directory that belongs to Moondock.
pub(super) const OWN: &str = ".moondock";
/// The file in it that says which version the types are of.
pub(super) const VERSION_FILE: &str = "README.md";

/// The settings by which `require` finds the types.
pub(super) const LUAURC: &str = ".luaurc";

/// How strictly types are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everything must have a type that fits.
    Strict,
    /// For scripts that were written without regard to types.
    Nonstrict,
}

/// What templates have in place of the plugin's name.
const NAME: &str = "PLUGIN";

/// Returns a script, its test, and the manifest of them all.
pub(super) fn interface_files(
    name: &NewName,
    interfaces: &BTreeSet<Interface>,
    raw: bool,
) -> Contents {
    let named = |text: &str| text.replace(NAME, name.as_str()).into_bytes();
    let mut files = Contents::new();
    let mut parts = vec![template("plugin.toml").unwrap_or_default()];
    for interface in interfaces {
        let (file, interface) = (interface.file(), interface.name());
        let levels = if raw { &["raw"][..] } else { &["kit", "raw"] };
        let level = levels.iter().find_map(|level| {
            let script = template(&format!("{level}/{file}"))?;
            Some((script, template(&format!("{level}/{interface}.toml"))))
        });
        let Some((script, part)) = level else {
            continue;
        };
        parts.extend(part);
        files.insert(file.into(), named(script));
        let test = format!("{interface}_test.lua");
        if let Some(text) = template(&format!("tests/{test}")) {
            files.insert(test.into(), named(text));
        }
    }
    files.insert("plugin.toml".into(), named(&manifest::merge(&parts)));
    files
}

fn template(path: &str) -> Option<&'static str> {
    TEMPLATES.get_file(path)?.contents_utf8()
}

/// Returns the files of a shipped plugin, with its name replaced wherever it is a word.
pub(super) fn copy(name: &NewName, plugin: &'static ShippedPlugin) -> Contents {
    let word = Regex::new(&format!(r"\b{}\b", plugin.name)).ok();
    let named = |text: &[u8]| match &word {
        Some(word) => {
            let text = String::from_utf8_lossy(text);
            let text = word.replace_all(&text, NoExpand(name.as_str()));
            text.into_owned().into_bytes()
        }
        None => text.to_owned(),
    };
    let files = files_of(&plugin.dir).into_iter();
    files
        .map(|(path, text)| (path.to_owned(), named(text)))
        .collect()
}

/// Returns the settings of editors, and those of the types.
pub(super) fn editor_files(mode: Mode) -> Contents {
    let editor = TEMPLATES.get_dir("editor");
    let files = editor.into_iter().flat_map(owned);
    let mut files: Contents = files
        .filter_map(|(path, text)| Some((path.strip_prefix("editor").ok()?.to_owned(), text)))
        .collect();
    files.insert(LUAURC.into(), luaurc(mode).into_bytes());
    files
}

/// Returns the text of [`LUAURC`].
pub(super) fn luaurc(mode: Mode) -> String {
    let text = template("editor/.luaurc").unwrap_or_default();
    match mode {
        Mode::Strict => text.to_owned(),
        Mode::Nonstrict => text.replace("\"strict\"", "\"nonstrict\""),
    }
}

/// Returns the files of [`OWN`], by their paths below it: the stubs of std modules, and the kits
/// themselves.
pub(super) fn types_files() -> Contents {
    let is_kit = |path: &Path| KITS.get_dir(path.with_extension("")).is_some();
    let stubs = owned(&TYPES).into_iter().filter(|(path, _)| !is_kit(path));
    let mut files = below("types", stubs.chain(owned(&KITS)));
    files.insert(VERSION_FILE.into(), readme().into_bytes());
    files
}

/// Returns the text that says which version the types are of.
fn readme() -> String {
    let text = template("types.md").unwrap_or_default();
    text.replace("VERSION", env!("CARGO_PKG_VERSION"))
}

fn owned(dir: &'static Dir<'static>) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files_of(dir).into_iter();
    files
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect()
}
