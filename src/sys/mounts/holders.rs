//! Finds mounts of a directory in other mount namespaces, such as those of containers.

use super::list::unescape;
use crate::sys::files::At;
use crate::sys::files::paths::PathError;
use crate::sys::files::places::Place;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mount in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    /// The device number of the file system.
    device: Vec<u8>,
    /// The mounted part of the file system.
    root: PathBuf,
    /// The mount point.
    target: PathBuf,
    /// Whether mounts propagate here from another namespace.
    follows: bool,
}

/// Returns whether `place`, or a part of it, is mounted in another mount namespace. Returns `None`
/// if other namespaces are not visible, as in a container whose PID 1 is Moondock.
///
/// # Errors
/// Fails if the mounts of this process cannot be read.
pub fn mounted_elsewhere(place: &Place) -> Result<Option<bool>, PathError> {
    let program = |process: &str| fs::read_link(format!("/proc/{process}/exe")).ok();
    if program("1") == program("self") {
        return Ok(None);
    }
    let path = place.real.clone();
    let own = fs::read("/proc/self/mountinfo").at(&path)?;
    let Some((device, root)) = mounted_at(&path, &own) else {
        return Ok(None);
    };
    let mut seen = HashSet::from([namespace(Path::new("/proc/self"))]);
    for process in fs::read_dir("/proc").at(&path)?.flatten() {
        let process = process.path();
        // A process that has just ended has no namespace.
        let Some(namespace) = namespace(&process) else {
            continue;
        };
        if seen.insert(Some(namespace)) {
            let text = fs::read(process.join("mountinfo")).unwrap_or_default();
            if places(&text).any(|place| place.holds(&path, &device, &root)) {
                return Ok(Some(true));
            }
        }
    }
    Ok(Some(false))
}

/// Returns the mount namespace of a process.
fn namespace(process: &Path) -> Option<PathBuf> {
    fs::read_link(process.join("ns/mnt")).ok()
}

/// Returns the device at `path`, and its part that is mounted there.
fn mounted_at(path: &Path, mountinfo: &[u8]) -> Option<(Vec<u8>, PathBuf)> {
    let above = places(mountinfo).filter(|place| path.starts_with(&place.target));
    // A later mount hides an earlier one at the same path.
    let place = above.max_by_key(|place| place.target.as_os_str().len())?;
    let below = path.strip_prefix(&place.target).ok()?;
    Some((
        place.device,
        if below.as_os_str().is_empty() {
            place.root
        } else {
            place.root.join(below)
        },
    ))
}

impl Mounted {
    fn holds(&self, path: &Path, device: &[u8], root: &Path) -> bool {
        let is_copy = self.follows && self.target == path;
        self.device == device && self.root.starts_with(root) && !is_copy
    }
}

fn places(mountinfo: &[u8]) -> impl Iterator<Item = Mounted> + '_ {
    mountinfo.split(|byte| *byte == b'\n').filter_map(parse)
}

/// Parses a line of `mountinfo`, see proc(5):
/// `id parent major:minor root target options [tags] - …`.
fn parse(line: &[u8]) -> Option<Mounted> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescape(field)));
    let device = fields.get(2)?.to_vec();
    let root = path(fields.get(3)?);
    let target = path(fields.get(4)?);
    let mut tags = fields.get(6..)?.iter().take_while(|field| **field != b"-");
    let follows = tags.any(|tag| tag.starts_with(b"master:") || tag.starts_with(b"shared:"));
    Some(Mounted {
        device,
        root,
        target,
        follows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &[u8] = b"21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
        40 21 7:3 / /srv/v/data rw shared:9 - ext4 /dev/loop3 rw\n";

    fn held(path: &str, elsewhere: &[u8]) -> bool {
        let (device, root) = mounted_at(Path::new(path), HOST).unwrap();
        places(elsewhere).any(|place| place.holds(Path::new(path), &device, &root))
    }

    #[test]
    fn a_container_holds_a_volume_and_a_part_of_it() {
        let mount = b"90 80 7:3 / /data rw - ext4 /dev/loop3 rw";
        let directory = b"90 80 8:1 /srv/plain/data /data rw - ext4 /dev/sda1 rw";
        let part = b"90 80 8:1 /srv/plain/data/sub /data rw - ext4 /dev/sda1 rw";
        assert!(held("/srv/v/data", mount) && !held("/srv/plain/data", mount));
        assert!(held("/srv/plain/data", directory) && held("/srv/plain/data", part));
        assert!(!held("/srv/v/data", directory) && !held("/srv/plain/dat", directory));
    }

    #[test]
    fn propagated_mounts_do_not_hold_a_volume() {
        let copy = b"90 80 7:3 / /srv/v/data rw master:9 - ext4 /dev/loop3 rw";
        let own = b"90 80 7:3 / /srv/v/data rw - ext4 /dev/loop3 rw";
        assert!(!held("/srv/v/data", copy) && held("/srv/v/data", own));
        assert!(!held("/srv/plain/data", HOST));
    }
}
