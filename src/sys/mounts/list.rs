//! The mounts that the kernel lists.

use crate::sys::files::At;
use crate::sys::files::paths::PathError;
use crate::sys::files::places::Place;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, PathError>;

/// A mount in the kernel's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The device, the image's loop device, or a name.
    pub source: PathBuf,
    /// The mount point.
    pub target: PathBuf,
    /// The file system's type.
    pub kind: String,
    /// The options of the mount and of the file system.
    pub options: Vec<String>,
}

/// Where the kernel lists this process's mounts.
const LIST: &str = "/proc/self/mountinfo";

/// Returns whether something is mounted at `target` itself. The target is not touched, so a dead
/// server does not block this.
pub fn is_mounted(target: &Place) -> Result<bool> {
    Ok(list()?.iter().any(|mount| mount.target == target.real))
}

/// Returns the mounts at and below `path`, which contains no links.
pub fn at_or_below(path: &Path) -> Result<Vec<Mount>> {
    Ok(list()?
        .into_iter()
        .filter(|mount| mount.target.starts_with(path))
        .collect())
}

/// Returns the first mount point at or below `path`, which contains no links.
pub fn first_at_or_below(path: &Path) -> Result<Option<PathBuf>> {
    Ok(at_or_below(path)?
        .into_iter()
        .next()
        .map(|mount| mount.target))
}

/// Returns all mounts that this process sees, in the order in which they were made.
pub fn list() -> Result<Vec<Mount>> {
    let text = std::fs::read(LIST).at(Path::new(LIST))?;
    Ok(text
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .collect())
}

/// Parses a line of `mountinfo`, see proc(5):
/// `id parent major:minor root target options [tags] - type source options`.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let target = fields.nth(4)?;
    let own = fields.next()?;
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, source, shared) = (rest.next()?, rest.next()?, rest.next()?);
    let mut options: Vec<String> = Vec::new();
    for option in own
        .split(|byte| *byte == b',')
        .chain(shared.split(|byte| *byte == b','))
    {
        let option = String::from_utf8_lossy(&unescape(option)).into_owned();
        if !options.contains(&option) {
            options.push(option);
        }
    }
    let path = |field| PathBuf::from(OsString::from_vec(unescape(field)));
    let kind = String::from_utf8_lossy(kind).into_owned();
    Some(Mount {
        source: path(source),
        target: path(target),
        kind,
        options,
    })
}

/// Unescapes spaces, tabs, newlines and backslashes, which are written as a backslash and three
/// octal digits.
pub(super) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                plain.push(byte);
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files::places::End;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line =
            b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = parse(line).unwrap();
        assert_eq!(
            (mount.target, mount.source),
            ("/mnt 2".into(), "/dev/root".into())
        );
        assert_eq!(
            (mount.kind.as_str(), mount.options.join(",")),
            ("ext3", "rw,noatime,errors=continue".into())
        );
        assert_eq!(parse(b"garbage"), None);
        assert_eq!(unescape(b"\\134x\\9\\"), b"\\x\\9\\");
        let mounted =
            |path: &str| is_mounted(&Place::find(Path::new(path), End::Itself).unwrap()).unwrap();
        assert!(mounted("/proc") && !mounted("/proc/self"));
    }
}
