//! Checks a grant against this machine.

use super::{Finding, Severity};
use crate::grants::Grant;
use crate::host::MANIFEST;
use crate::script::Diagnostic;
use crate::sys::files::paths::{exists, holds};
use crate::sys::processes::programs;
use std::ffi::OsStr;
use std::path::Path;

/// Describes a grant, and returns the finding about it, if there is one. `all` are the plugin's
/// grants and `dir` is its directory. May block on a disk or a server.
pub fn check(grant: &Grant, all: &[Grant], dir: &Path) -> (String, Option<Finding>) {
    let description = grant.in_words();
    match grant {
        Grant::FsRead(path) | Grant::FsWrite(path) if !exists(path) => {
            (description, Some(missing_path(path)))
        }
        Grant::FsWrite(path) if holds(path, dir) => (description, Some(writable_plugin(path))),
        Grant::Exec(program) => check_program(program, all, description),
        _ => (description, None),
    }
}

/// Adds the path of the program to the description.
fn check_program(program: &str, all: &[Grant], description: String) -> (String, Option<Finding>) {
    let found = programs::find(OsStr::new(program));
    match found.filter(|file| programs::is_program(file)) {
        None => (description, Some(missing_program(program))),
        Some(file) if is_writable(all, &file) => (description, Some(writable_program(program))),
        Some(file) if file == Path::new(program) => (description, None),
        Some(file) => (format!("{description} ({})", file.display()), None),
    }
}

fn is_writable(all: &[Grant], file: &Path) -> bool {
    all.iter()
        .any(|grant| matches!(grant, Grant::FsWrite(path) if holds(path, file)))
}

fn missing_path(path: &Path) -> Finding {
    let message = format!("`{}` does not exist", path.display());
    finding(Severity::Note, message)
}

fn writable_plugin(path: &Path) -> Finding {
    let message = format!(
        "`{}` contains the plugin itself: its scripts can add any grant, which the next start accepts",
        path.display()
    );
    finding(Severity::Warning, message)
}

fn writable_program(program: &str) -> Finding {
    let message = format!(
        "`{program}` is where the plugin may write: its scripts can replace it with any program"
    );
    finding(Severity::Warning, message)
}

fn missing_program(program: &str) -> Finding {
    let message = if program.starts_with('/') {
        format!("`{program}` is not a program")
    } else {
        let dirs = programs::PLACES.join(", ");
        format!("there is no program `{program}` in {dirs}")
    };
    finding(Severity::Warning, message)
}

fn finding(severity: Severity, message: String) -> Finding {
    Finding {
        severity,
        diagnostic: Diagnostic::of_file(MANIFEST, message),
    }
}
