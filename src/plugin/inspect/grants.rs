//! What can be said of a grant on this machine.

use super::{Finding, Severity};
use crate::grants::Grant;
use crate::host::MANIFEST;
use crate::script::Diagnostic;
use crate::sys::files::paths::{exists, holds};
use crate::sys::processes::programs;
use std::ffi::OsStr;
use std::path::Path;

/// A grant in words, with the file that a program's name means, and what is wrong with it beside `all` that is granted. `own` is the
/// plugin's directory. May wait for a disk or a server.
pub fn look(grant: &Grant, all: &[Grant], own: &Path) -> (String, Option<Finding>) {
    let words = grant.in_words();
    match grant {
        Grant::FsRead(path) | Grant::FsWrite(path) if !exists(path) => (
            words,
            finding(
                Severity::Note,
                format!("`{}` does not exist", path.display()),
            ),
        ),
        Grant::FsWrite(path) if holds(path, own) => {
            (words, finding(Severity::Warning, rewrites_itself(path)))
        }
        Grant::Exec(name) => {
            match programs::find(OsStr::new(name)).filter(|file| programs::is_program(file)) {
                Some(file) if may_write(all, &file) => {
                    (words, finding(Severity::Warning, replaceable(name)))
                }
                Some(file) if file == Path::new(name) => (words, None),
                Some(file) => (format!("{words} ({})", file.display()), None),
                None => (words, finding(Severity::Warning, no_program(name))),
            }
        }
        _ => (words, None),
    }
}

fn may_write(all: &[Grant], file: &Path) -> bool {
    all.iter()
        .any(|grant| matches!(grant, Grant::FsWrite(path) if holds(path, file)))
}

fn finding(severity: Severity, message: String) -> Option<Finding> {
    Some(Finding {
        severity,
        diagnostic: Diagnostic::of_file(MANIFEST, message),
    })
}

fn rewrites_itself(path: &Path) -> String {
    format!(
        "`{}` holds the plugin itself: it can write itself any grant, for the next start",
        path.display()
    )
}

fn replaceable(program: &str) -> String {
    format!("`{program}` lies where the plugin may write: it can put any program in its place")
}

fn no_program(name: &str) -> String {
    if name.starts_with('/') {
        format!("`{name}` is no program")
    } else {
        format!(
            "there is no program `{name}` in {}",
            programs::PLACES.join(", ")
        )
    }
}
