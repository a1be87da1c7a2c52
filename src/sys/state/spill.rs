//! What was taken out of a log stream's FIFO before the script had it: whole frames on disk, in
//! pieces. Each piece is a file, which appears at once and records how much of it was delivered, so
//! that a killed process leaves nothing ambiguous.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The length of a piece's header in bytes: `next`, `end` and `offset`.
const HEADER: usize = 24;
/// The end of the name of a piece that is being written.
const UNFINISHED: &str = "new";

/// The spill of one stream, a directory that exists while there are pieces.
#[derive(Debug, Clone)]
pub struct Spill {
    dir: PathBuf,
}

/// Consecutive entries of a stream, in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    path: PathBuf,
    /// The sequence number of the first entry that was not delivered.
    pub next: u64,
    /// The sequence number after the last entry.
    pub end: u64,
    /// Where the first entry that was not delivered begins in the file, in bytes.
    offset: u64,
    /// The length of the file in bytes.
    length: u64,
}

impl Spill {
    /// Creates a spill in the directory `dir`, which the first piece creates.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns the pieces in the order of their entries. Removes what a killed process has not
    /// finished writing, and what cannot be a piece.
    pub fn pieces(&self) -> io::Result<Vec<Piece>> {
        let names = match fs::read_dir(&self.dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut pieces = Vec::new();
        for entry in names {
            let path = entry?.path();
            match Piece::open(&path)? {
                Some(piece) => pieces.push(piece),
                None => fs::remove_file(&path)?,
            }
        }
        pieces.sort_by_key(|piece| piece.end);
        Ok(pieces)
    }

    /// Writes a piece of `count` entries that begins with number `first`. It is not synced: it must
    /// survive the process, and the FIFO does not survive the machine either.
    pub fn write(&self, first: u64, count: u64, frames: &[u8]) -> io::Result<Piece> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let piece = Piece {
            path: self.dir.join(format!("{first:020}")),
            next: first,
            end: first + count,
            offset: HEADER as u64,
            length: (HEADER + frames.len()) as u64,
        };
        let unfinished = piece.path.with_extension(UNFINISHED);
        let written = piece
            .create(&unfinished, frames)
            .and_then(|()| fs::rename(&unfinished, &piece.path));
        if let Err(error) = written {
            // What is left of it takes space that may be short.
            let _ = fs::remove_file(&unfinished);
            self.close();
            return Err(error);
        }
        Ok(piece)
    }

    /// Removes the directory if no piece is left.
    pub fn close(&self) {
        // It is not empty, or was never created.
        let _ = fs::remove_dir(&self.dir);
    }
}

impl Piece {
    /// Opens a piece. Returns `None` if the file is not a finished piece.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let (mut header, length) = ([0; HEADER], file.metadata()?.len());
        if path.extension().is_some() || length < HEADER as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut header, 0)?;
        let [next, end, offset] = numbers(&header);
        let is_sound = next < end && (HEADER as u64..length).contains(&offset);
        Ok(is_sound.then(|| Self {
            path: path.to_owned(),
            next,
            end,
            offset,
            length,
        }))
    }

    fn create(&self, path: &Path, frames: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(path)?;
        file.write_all(&self.header())?;
        file.write_all(frames)
    }

    fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        for (place, number) in header
            .chunks_exact_mut(8)
            .zip([self.next, self.end, self.offset])
        {
            place.copy_from_slice(&number.to_le_bytes());
        }
        header
    }

    /// Returns the number of bytes that were not delivered.
    pub fn rest(&self) -> u64 {
        self.length - self.offset
    }

    /// Reads at most `limit` of the bytes that were not delivered.
    pub fn read(&self, limit: usize) -> io::Result<Vec<u8>> {
        self.read_from(self.offset, limit as u64)
    }

    /// Reads all frames, also those that were delivered.
    pub fn read_all(&self) -> io::Result<Vec<u8>> {
        self.read_from(HEADER as u64, self.length)
    }

    fn read_from(&self, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Records that the next `count` entries, of `bytes` bytes, were delivered. Returns what is
    /// left; a piece without a rest is removed.
    pub fn take(mut self, count: u64, bytes: u64) -> io::Result<Option<Self>> {
        self.next += count;
        self.offset += bytes;
        if self.next >= self.end || self.offset >= self.length {
            self.remove()?;
            return Ok(None);
        }
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.write_all_at(&self.header(), 0)?;
        Ok(Some(self))
    }

    /// Removes the piece.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

fn numbers(header: &[u8; HEADER]) -> [u64; 3] {
    [0, 8, 16].map(|at| {
        let mut number = [0; 8];
        number.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn spill() -> (tempfile::TempDir, Spill) {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::new(dir.path().join("a.spill"));
        (dir, spill)
    }

    #[test]
    fn pieces_are_taken_bit_by_bit_and_found_again() {
        let (dir, spill) = spill();
        assert_eq!(spill.pieces().unwrap(), []);
        let first = spill.write(9, 3, b"onetwothree").unwrap();
        let second = spill.write(12, 1, b"four").unwrap();
        assert_eq!(
            spill.pieces().unwrap(),
            [first.clone(), second.clone()],
            "in the order of numbers"
        );
        assert_eq!(first.read(3).unwrap(), b"one");
        let first = first.take(1, 3).unwrap().unwrap();
        assert_eq!(spill.pieces().unwrap(), [first.clone(), second.clone()]);
        assert_eq!((first.next, first.end, first.rest()), (10, 12, 8));
        assert_eq!(first.read(99).unwrap(), b"twothree");
        assert_eq!(first.read_all().unwrap(), b"onetwothree");
        assert_eq!(first.take(2, 8).unwrap(), None);
        assert_eq!(spill.pieces().unwrap(), std::slice::from_ref(&second));
        spill.close();
        assert_eq!(second.take(1, 4).unwrap(), None);
        spill.close();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_unfinished_is_removed() {
        let (_dir, spill) = spill();
        let piece = spill.write(1, 1, b"one").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&spill.dir), mode(&piece.path)), (0o700, 0o600));
        fs::write(spill.dir.join("00000000000000000002.new"), "half").unwrap();
        fs::write(spill.dir.join("00000000000000000003"), "short").unwrap();
        fs::write(spill.dir.join("00000000000000000004"), [0; 99]).unwrap();
        assert_eq!(spill.pieces().unwrap(), [piece]);
        assert_eq!(fs::read_dir(&spill.dir).unwrap().count(), 1);
    }
}
