//! The files of a case, in a temporary directory.

#![expect(
    clippy::disallowed_methods,
    reason = "the temporary directory of a test, whose path must have no links"
)]

use std::env;
use std::path::Path;
use tempfile::TempDir;

/// A memory file system, where a test's store is on no disk.
const MEMORY_FILES: &str = "/dev/shm";

/// Makes a directory for the files of a case, where writing to it costs least.
pub fn directory() -> std::io::Result<TempDir> {
    let prefix = "moondock-test-";
    let on_disk = || TempDir::with_prefix_in(prefix, env::temp_dir().canonicalize()?);
    TempDir::with_prefix_in(prefix, MEMORY_FILES).or_else(|_| on_disk())
}

/// Makes a directory, with those that lead to it.
pub fn create(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Whether there is something at the path.
pub fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Removes a directory that is empty.
pub fn remove_empty(path: &Path) -> std::io::Result<()> {
    std::fs::remove_dir(path)
}

/// Writes a file.
pub fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, text)
}

/// Makes a symbolic link.
pub fn link(path: &Path, target: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}
