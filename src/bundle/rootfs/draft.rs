//! A bundle that appears all at once: it is made beside its final path, and renamed.

use super::{MARKER, RootfsError, Tree};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CONFIG: &str = "config.json";
const ROOTFS: &str = "rootfs";

/// An unfinished bundle, which is removed when dropped.
#[derive(Debug)]
pub struct Draft {
    directory: TempDir,
    out: PathBuf,
}

/// An error that prevents a bundle at its path.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum DraftError {
    #[error("`{}` is not empty: choose another directory, or replace the bundle in it with `--force`", .0.display())]
    NotEmpty(PathBuf),
    #[error("`{}` contains something other than a bundle, and is left unchanged: choose another directory", .0.display())]
    NotABundle(PathBuf),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
}

impl Draft {
    /// Creates a draft beside `out`, which must be absent, empty or, with `force`, an older bundle.
    ///
    /// # Errors
    /// Fails if `out` is something else, or if nothing can be created beside it.
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

    /// Writes `config.json` and the root file system.
    ///
    /// # Errors
    /// Fails if the disk is full, or if a file can no longer be read.
    pub fn fill(&self, config: &str, tree: &Tree) -> Result<(), DraftError> {
        let root = self.directory.path().join(ROOTFS);
        fs::create_dir(&root).map_err(RootfsError::at(&root))?;
        tree.write(&root)?;
        let mut whole = Tree::default();
        whole.text(Path::new("/").join(CONFIG), format!("{config}\n"));
        Ok(whole.write(self.directory.path())?)
    }

    /// Renames the draft to its final path.
    ///
    /// # Errors
    /// Fails if something else has appeared there.
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

/// Renames `made` to `out`. The rename replaces an empty directory; a full one is renamed first.
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
