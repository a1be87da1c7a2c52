//! What to do about a directory that the process cannot use.

use std::io::{Error, ErrorKind};

/// Returns what to do about `error`, where `option` chooses another directory.
pub fn cure(error: &Error, option: &str) -> String {
    let other = format!("choose another directory with `{option}`");
    match error.kind() {
        ErrorKind::PermissionDenied => format!("run moondock as root, or {other}"),
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            format!("a file is in the way: {other}")
        }
        _ => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cure_fits_the_error() {
        for (kind, text) in [
            (
                ErrorKind::PermissionDenied,
                "run moondock as root, or choose",
            ),
            (ErrorKind::NotADirectory, "a file is in the way: choose"),
            (
                ErrorKind::StorageFull,
                "choose another directory with `--state`",
            ),
        ] {
            let told = cure(&kind.into(), "--state");
            assert!(told.starts_with(text), "{told}");
        }
    }
}
