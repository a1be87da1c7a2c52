//! The journal of open log streams and of how far each has been delivered, from which streams are
//! resumed after a restart.

use crate::sys::files;
use crate::sys::files::paths::PathError;
use crate::sys::files::places::{End, Place};
use crate::sys::state::spill::Spill;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A journal in a directory.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: PathBuf,
}

/// The last delivered batch. If its bytes are still at the beginning of the FIFO, it was not
/// consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The sequence number of its first entry.
    pub seq: u64,
    /// The number of entries.
    pub count: u64,
    /// The number of bytes.
    pub length: u64,
    /// The SHA-256 digest of the bytes.
    pub digest: [u8; 32],
}

/// The file of a stream's mark. Clones share the file.
#[derive(Debug, Clone)]
pub struct MarkFile(Arc<File>);

const OPEN: &str = "json";
const MARK: &str = "mark";
const SPILL: &str = "spill";
const MARK_LENGTH: usize = 56;

impl Journal {
    /// Creates a journal in `dir`, which is created with the first stream.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Records a stream and its description durably.
    pub fn add(&self, id: &str, text: &[u8]) -> io::Result<MarkFile> {
        at(&self.dir, |dir| files::make_directory(dir, 0o700, false))?;
        let _ = fs::remove_file(self.path(id, MARK));
        let mark = self.mark_file(id)?;
        at(&self.path(id, OPEN), |path| {
            files::write(path, text, Some(0o600))
        })?;
        Ok(mark)
    }

    /// Opens the mark of a stream.
    pub fn mark_file(&self, id: &str) -> io::Result<MarkFile> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        Ok(MarkFile(Arc::new(options.open(self.path(id, MARK))?)))
    }

    /// Returns the spill of a stream.
    pub fn spill(&self, id: &str) -> Spill {
        Spill::new(self.path(id, SPILL))
    }

    /// Removes a stream, whose spill is empty.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        self.spill(id).close();
        at(&self.path(id, OPEN), files::remove)?;
        at(&self.path(id, MARK), files::remove)?;
        Ok(())
    }

    /// Returns the file with a stream's description.
    pub fn note(&self, id: &str) -> PathBuf {
        self.path(id, OPEN)
    }

    /// Returns the recorded streams and their descriptions, in the order in which they began.
    pub fn open_streams(&self) -> io::Result<Vec<(String, io::Result<Vec<u8>>)>> {
        let names = match fs::read_dir(&self.dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in names {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == OPEN)
                && let Some(id) = path.file_stem().and_then(|stem| stem.to_str())
            {
                let begun = fs::metadata(&path).and_then(|note| note.modified()).ok();
                found.push((begun, id.to_owned(), fs::read(&path)));
            }
        }
        found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        Ok(found.into_iter().map(|(_, id, text)| (id, text)).collect())
    }

    fn path(&self, id: &str, ending: &str) -> PathBuf {
        Path::new(&self.dir).join(format!("{id}.{ending}"))
    }
}

fn at<T>(path: &Path, work: impl FnOnce(&Place) -> Result<T, PathError>) -> io::Result<T> {
    Place::find(path, End::Itself)
        .and_then(|place| work(&place))
        .map_err(io::Error::other)
}

impl MarkFile {
    /// Sets the mark without syncing it. It survives the process, and need not survive the machine,
    /// because a FIFO does not either.
    pub fn set(&self, mark: &Mark) -> io::Result<()> {
        self.0.write_all_at(&mark.to_bytes(), 0)
    }

    /// Returns the mark, if one was set.
    pub fn get(&self) -> io::Result<Option<Mark>> {
        let mut bytes = [0; MARK_LENGTH];
        match self.0.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Some(Mark::of(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Mark {
    fn to_bytes(self) -> [u8; MARK_LENGTH] {
        let mut bytes = [0; MARK_LENGTH];
        for (place, number) in bytes
            .chunks_exact_mut(8)
            .zip([self.seq, self.count, self.length])
        {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[24..].copy_from_slice(&self.digest);
        bytes
    }

    fn of(bytes: &[u8; MARK_LENGTH]) -> Self {
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(&bytes[24..]);
        Self {
            seq: number(0),
            count: number(8),
            length: number(16),
            digest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_restores_streams_and_marks() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path().join("streams"));
        assert!(journal.open_streams().unwrap().is_empty());
        let place = journal.add("b", b"two").unwrap();
        journal.add("a", b"one").unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
        let note = File::open(journal.note("a")).unwrap();
        note.set_modified(later).unwrap();
        assert_eq!(place.get().unwrap(), None);
        for seq in [1, u64::MAX] {
            let mark = Mark {
                seq,
                count: 3,
                length: 99,
                digest: [7; 32],
            };
            place.set(&mark).unwrap();
            assert_eq!(
                Journal::new(dir.path().join("streams"))
                    .mark_file("b")
                    .unwrap()
                    .get()
                    .unwrap(),
                Some(mark)
            );
        }
        let open: Vec<_> = journal
            .open_streams()
            .unwrap()
            .into_iter()
            .map(|(id, text)| (id, text.unwrap()))
            .collect();
        assert_eq!(
            open,
            [("b".into(), b"two".to_vec()), ("a".into(), b"one".to_vec())],
            "in the order of their beginning"
        );
        journal.remove("b").unwrap();
        journal.remove("b").unwrap();
        assert_eq!(journal.open_streams().unwrap().len(), 1);
        assert_eq!(
            journal.add("b", b"").unwrap().get().unwrap(),
            None,
            "a new stream begins at its beginning"
        );
    }
}
