//! The mounts that scripts may make. No mount may expose paths that are not granted.

use thiserror::Error;

/// File systems that consist of a single block device or image. `erofs` and `f2fs` are missing
/// because their first block may name other devices by path, which the kernel opens. `btrfs` is
/// missing because it spans all devices that claim to belong together.
const ON_A_DEVICE: [&str; 10] = [
    "exfat", "ext2", "ext3", "ext4", "iso9660", "ntfs3", "squashfs", "udf", "vfat", "xfs",
];

/// File systems that are empty at first.
const EMPTY: [&str; 2] = ["ramfs", "tmpfs"];

/// Options that change what is mounted or where, or do something other than mounting. A `*` matches
/// any suffix.
const REFUSED: [&str; 19] = [
    "remount",
    "move",
    "loop*",
    "offset*",
    "sizelimit*",
    "encryption*",
    "helper*",
    "uhelper*",
    "make-*",
    "shared",
    "rshared",
    "private*",
    "rprivate",
    "slave*",
    "unbindable*",
    "journal_dev*",
    "verity.*",
    "x-*",
    "X-*",
];

/// An error of a mount that is not allowed.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum MountRefused {
    #[error(
        "cannot mount the type `{kind}`: use one of {}, or the option `bind`; for other types, run `mount` by `process`",
        types()
    )]
    Type { kind: String },
    #[error("the option `{0}` is not allowed")]
    Option(String),
    #[error(
        "the option `{0}` names a path, which no grant covers: only `source` and `target` may name paths"
    )]
    Path(String),
}

/// Returns whether the source of this type of file system is a path.
pub fn needs_source(kind: &str) -> bool {
    !EMPTY.contains(&kind)
}

/// Returns whether the mount never writes to its source. Of contradicting options, `mount(8)` uses
/// the last.
pub fn is_read_only(options: &[String]) -> bool {
    // With `ro=vfs`, the file system itself may be written, for example to replay its journal.
    let undoes = |option: &String| {
        option.starts_with("rw") || option.starts_with("ro=") || option == "defaults"
    };
    options.iter().any(|option| option == "ro") && !options.iter().any(undoes)
}

/// Checks that the type and the options use no path but the source and the target.
///
/// # Errors
/// Fails for the first that does.
pub fn check(kind: &str, bind: bool, options: &[String]) -> Result<(), MountRefused> {
    if !bind && !ON_A_DEVICE.contains(&kind) && !EMPTY.contains(&kind) {
        return Err(MountRefused::Type {
            kind: kind.to_owned(),
        });
    }
    for option in options {
        if option.contains('/') {
            return Err(MountRefused::Path(option.clone()));
        }
        let refused = |word: &&str| match word.strip_suffix('*') {
            Some(start) => option.starts_with(start),
            None => option == word,
        };
        if REFUSED.iter().any(refused) {
            return Err(MountRefused::Option(option.clone()));
        }
    }
    Ok(())
}

fn types() -> String {
    ON_A_DEVICE
        .iter()
        .chain(&EMPTY)
        .map(|kind| format!("`{kind}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_options_and_types_that_reach_other_files_are_refused() {
        let check = |kind: &str, options: &[&str]| {
            let options: Vec<_> = options.iter().map(ToString::to_string).collect();
            check(
                kind,
                options.iter().any(|option| option == "bind"),
                &options,
            )
        };
        assert_eq!(
            check(
                "ext4",
                &["ro", "nosuid", "data=journal", "errors=remount-ro"]
            ),
            Ok(())
        );
        assert_eq!(check("tmpfs", &["size=1m", "mode=0700"]), Ok(()));
        assert_eq!(check("", &["bind", "ro"]), Ok(()));
        for kind in [
            "proc",
            "sysfs",
            "devtmpfs",
            "overlay",
            "fuse",
            "nfs",
            "f2fs",
            "erofs",
            "auto",
            "ext4,proc",
            "",
        ] {
            assert_eq!(
                check(kind, &[]),
                Err(MountRefused::Type { kind: kind.into() }),
                "{kind}"
            );
        }
        for option in [
            "remount",
            "move",
            "loop=x",
            "offset=512",
            "X-mount.mkdir",
            "journal_dev=0x801",
            "verity.hashdevice=x",
            "make-rshared",
        ] {
            assert_eq!(
                check("ext4", &[option]),
                Err(MountRefused::Option(option.into())),
                "{option}"
            );
        }
        for option in ["journal_path=/dev/sda", "lowerdir=/etc", "logdev=/dev/sda"] {
            assert_eq!(
                check("ext4", &[option]),
                Err(MountRefused::Path(option.into())),
                "{option}"
            );
        }
    }
}
