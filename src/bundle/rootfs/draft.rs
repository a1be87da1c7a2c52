//! A bundle that appears all at once: made beside its place, and renamed.

use super::{MARKER, RootfsError, Tree};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CONFIG: &str = "config.json";
const ROOTFS: &str = "rootfs";

/// A bundle in the making; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    directory: TempDir,
    out: PathBuf,
}

/// Why a bundle cannot be put in its place.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum DraftError {
    #[error("`{}` is not empty: choose another directory, or replace the bundle in it with `--force`", .0.display())]
    NotEmpty(PathBuf),
    #[error("`{}` holds something else than a bundle, so it is left alone: choose another directory", .0.display())]
    NotABundle(PathBuf),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
}

impl Draft {
    /// A draft of what will be `out`: a directory that is absent, empty, or with `force` an older bundle.
    ///
    /// # Errors
    /// When `out` is something else, or nothing can be made beside it.
    pub fn beside(out: &Path, force: bool) -> Result<Self, DraftError> {
        let out = std::path::absolute(out).map_err(RootfsError::at(out))?;
        check(&out, force)?;
        let parent = out.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(RootfsError::at(parent))?;
        let directory = tempfile::Builder::new()
            .prefix(".moondock-bundle-")
            .tempdir_in(parent);
        Ok(Self {
            directory: directory.map_err(RootfsError::at(parent))?,
            out,
        })
    }

    /// Writes both parts.
    ///
    /// # Errors
    /// When the disk is full, or a file cannot be read any more.
    pub fn fill(&self, config: &str, tree: &Tree) -> Result<(), DraftError> {
        let root = self.directory.path().join(ROOTFS);
        fs::create_dir(&root).map_err(RootfsError::at(&root))?;
        tree.write(&root)?;
        let mut whole = Tree::default();
        whole.text(Path::new("/").join(CONFIG), format!("{config}\n"));
        Ok(whole.write(self.directory.path())?)
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When something has come there meanwhile.
    pub fn publish(self) -> Result<(), DraftError> {
        let made = self.directory.path();
        let failed = RootfsError::at(&self.out);
        let readable = fs::set_permissions(made, Permissions::from_mode(0o755));
        let older = self.directory.path().with_extension("old");
        let placed = readable.and_then(|()| replace(made, &self.out, &older));
        Ok(placed.map_err(failed)?)
    }
}

fn check(out: &Path, force: bool) -> Result<(), DraftError> {
    let names = match fs::read_dir(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.and_then(|entries| {
            entries
                .map(|e| e.map(|e| e.file_name()))
                .collect::<io::Result<Vec<_>>>()
        }),
    };
    let names = names.map_err(RootfsError::at(out))?;
    let is_ours = || {
        out.join(ROOTFS)
            .join(MARKER.trim_start_matches('/'))
            .is_file()
    };
    let is_bundle = names.iter().all(|name| name == CONFIG || name == ROOTFS) && is_ours();
    match (names.is_empty(), force) {
        (true, _) => Ok(()),
        (false, false) => Err(DraftError::NotEmpty(out.to_owned())),
        (false, true) if is_bundle => Ok(()),
        (false, true) => Err(DraftError::NotABundle(out.to_owned())),
    }
}

/// An empty directory is replaced by the rename itself, a full one goes out of the way first.
fn replace(made: &Path, out: &Path, older: &Path) -> io::Result<()> {
    match fs::rename(made, out) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        renamed => return renamed,
    }
    fs::rename(out, older)?;
    if let Err(error) = fs::rename(made, out) {
        fs::rename(older, out)?;
        return Err(error);
    }
    fs::remove_dir_all(older)
}
