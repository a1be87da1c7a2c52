//! Files that were probably meant to be the script of an interface.

#![expect(
    clippy::disallowed_methods,
    reason = "the directories that the command line names"
)]

use crate::protocol::Interface;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// How many letters of a file's name may be wrong.
const EDITS: usize = 2;

/// Describes the first file in a directory, or in one of its children, that is nearly the script of
/// an interface: misspelt, or no file. If there is none, says how to make a plugin.
pub fn near_script(dir: &Path) -> String {
    let below = || children(dir).iter().find_map(|child| near_script_in(child));
    let found = near_script_in(dir).or_else(below);
    let cure = found.unwrap_or_else(|| "make one with `moondock new NAME INTERFACE`".to_owned());
    format!("; {cure}")
}

/// Describes the first file in a directory that is nearly the script of an interface. Beside plugins,
/// a directory of `.luau` files is a library.
pub fn near_plugin(dir: &Path) -> Option<String> {
    near_script_among(dir, |name| {
        Path::new(name).extension().is_none_or(|end| end != "luau")
    })
}

/// Returns what a directory contains, sorted; nothing if it cannot be read.
fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    let mut children: Vec<_> = entries.map(|entry| entry.path()).collect();
    children.sort();
    children
}

/// Describes the first file in a directory that is nearly the script of an interface.
pub fn near_script_in(dir: &Path) -> Option<String> {
    near_script_among(dir, |_| true)
}

fn near_script_among(dir: &Path, counts: fn(&str) -> bool) -> Option<String> {
    children(dir).iter().find_map(|path| {
        let (shown, name) = (path.display(), path.file_name()?.to_str()?);
        if !counts(name) {
            return None;
        }
        let meant = Interface::ALL.map(Interface::file);
        let meant = meant.iter().find(|file| is_near(name, file))?;
        match what_it_is(path) {
            Some(what) => Some(format!("`{shown}` {what}")),
            None => (name != meant).then(|| format!("rename `{shown}` to `{meant}`")),
        }
    })
}

/// Says what a path leads to, unless that is a file.
fn what_it_is(path: &Path) -> Option<String> {
    let kind = match path.metadata() {
        Ok(found) => found.file_type(),
        Err(error) => return Some(why_it_leads_nowhere(path, &error)),
    };
    let kinds = [
        (kind.is_dir(), "a directory"),
        (kind.is_fifo(), "a FIFO"),
        (kind.is_socket(), "a socket"),
        (!kind.is_file(), "a device"),
    ];
    let (_, what) = kinds.into_iter().find(|(is_it, _)| *is_it)?;
    Some(format!("is {what}, not a script"))
}

fn why_it_leads_nowhere(path: &Path, error: &io::Error) -> String {
    match path.read_link() {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => {
            format!("is a link to `{}`, which does not exist", target.display())
        }
        _ => format!("cannot be read: {error}"),
    }
}

fn is_near(name: &str, file: &str) -> bool {
    let parts = |name: &str| {
        let (stem, extension) = name.rsplit_once('.')?;
        Some((stem.to_lowercase(), extension.to_lowercase()))
    };
    let Some(((stem, extension), (meant, _))) = parts(name).zip(parts(file)) else {
        return false;
    };
    let edits = EDITS.min(meant.len() / 3);
    ["lua", "luau"].contains(&extension.as_str()) && strsim::osa_distance(&stem, &meant) <= edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_near_and_others_are_not() {
        for (name, file) in [
            ("volumes.lua", "volume.lua"),
            ("Volume.lua", "volume.lua"),
            ("volume.luau", "volume.lua"),
            ("auhtz.lua", "authz.lua"),
            ("logs.lua", "log.lua"),
        ] {
            assert!(is_near(name, file), "{name}");
        }
        for name in [
            "rules.lua",
            "volume.toml",
            "lib.lua",
            "log_test.lua",
            "README",
        ] {
            let files = Interface::ALL.map(Interface::file);
            assert!(!files.iter().any(|file| is_near(name, file)), "{name}");
        }
    }
}
