//! The FIFO of a log stream, which is peeked at before it is read. Bytes that are not consumed stay
//! in it, even if this process is killed; see `docs/decisions/0014-log-streams.md`.

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, tee,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;

/// The poll interval of a FIFO whose writers have all gone, and which is not reopened.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The result of peeking at a FIFO.
#[derive(Debug, PartialEq, Eq)]
pub enum Peek {
    /// Bytes were copied.
    Bytes,
    /// The FIFO is empty, and has a writer.
    Empty,
    /// The FIFO is empty, and has no writer.
    Deserted,
}

/// A pipe to copy into. The FIFOs of one thread share it, because it is empty between calls.
#[derive(Debug)]
pub struct Scratch {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// The reading end of a FIFO.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    fd: Receiver,
    scratch: Rc<Scratch>,
}

impl Scratch {
    /// Creates a pipe.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { reader, writer })
    }
}

impl Fifo {
    /// Opens the FIFO at `path`, with or without a writer, and sets its capacity in bytes if the
    /// system allows it.
    pub fn open(path: &Path, capacity: usize, scratch: Rc<Scratch>) -> io::Result<Self> {
        let fd = open(path)?;
        for pipe in [&fd, &scratch.writer] {
            if fcntl_getpipe_size(pipe)? < capacity
                && let Err(error) = fcntl_setpipe_size(pipe, capacity)
            {
                tracing::debug!("cannot resize the FIFO `{}`: {error}", path.display());
            }
        }
        let fd = Receiver::from_owned_fd(fd)?;
        Ok(Self {
            path: path.to_owned(),
            fd,
            scratch,
        })
    }

    /// Returns the capacity, in bytes.
    pub fn capacity(&self) -> io::Result<usize> {
        Ok(fcntl_getpipe_size(&self.fd)?)
    }

    /// Returns the number of bytes that [`Fifo::peek`] can copy at once, if they fill whole pages.
    pub fn sight(&self) -> io::Result<usize> {
        Ok(self
            .capacity()?
            .min(fcntl_getpipe_size(&self.scratch.writer)?))
    }

    /// Returns the number of bytes in it.
    pub fn waiting(&self) -> io::Result<usize> {
        Ok(usize::try_from(rustix::io::ioctl_fionread(&self.fd)?).unwrap_or(usize::MAX))
    }

    /// Copies at most `limit` bytes from its beginning into `bytes`, without consuming them.
    pub fn peek(&self, limit: usize, bytes: &mut Vec<u8>) -> io::Result<Peek> {
        bytes.clear();
        let copied = match tee(&self.fd, &self.scratch.writer, limit, SpliceFlags::NONBLOCK) {
            Ok(0) => return Ok(Peek::Deserted),
            Ok(copied) => copied,
            Err(Errno::AGAIN) => return Ok(Peek::Empty),
            Err(error) => return Err(error.into()),
        };
        bytes.resize(copied, 0);
        read_exactly(&self.scratch.reader, bytes)?;
        Ok(Peek::Bytes)
    }

    /// Consumes `count` bytes, all of which must be there. This is one system call, which a kill
    /// does not interrupt: the buffer is resident (zeroes would not be), so the copy never waits.
    pub fn consume(&self, count: usize) -> io::Result<()> {
        read_exactly(&self.fd, &mut vec![1; count])
    }

    /// Waits until bytes arrive or the last writer goes. May return early.
    pub async fn changed(&self) -> io::Result<()> {
        if self.fd.ready(Interest::READABLE).await?.is_read_closed() {
            // The system does not report new writers once all have gone, so poll.
            sleep(POLL_INTERVAL).await;
        }
        // Clears the readiness, so that the next call waits.
        let _ = self
            .fd
            .try_io(|| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        Ok(())
    }

    /// Reopens the FIFO, so that [`Fifo::changed`] waits for the next writer after all have gone.
    ///
    /// # Errors
    /// Fails if the path is gone.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.fd = Receiver::from_owned_fd(open(&self.path)?)?;
        Ok(())
    }
}

/// Opens the FIFO at `path` without following links. Checks its type first, because opening a
/// device or a file of a hung file system could block or have effects.
fn open(path: &Path) -> io::Result<OwnedFd> {
    let place = rustix::fs::open(
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if !FileType::from_raw_mode(fstat(&place)?.st_mode).is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a FIFO"));
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn read_exactly(fd: impl AsFd, bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::read(&fd, &mut bytes[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;

    fn fifo() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        (dir, path)
    }

    fn open(path: &Path) -> Fifo {
        Fifo::open(path, 1 << 20, Rc::new(Scratch::new().unwrap())).unwrap()
    }

    fn writer(path: &Path) -> std::fs::File {
        OpenOptions::new().write(true).open(path).unwrap()
    }

    #[tokio::test]
    async fn peeked_bytes_stay_in_the_fifo_until_consumed() {
        let (_dir, path) = fifo();
        let fifo = open(&path);
        let mut bytes = Vec::new();
        assert_eq!(fifo.peek(100, &mut bytes).unwrap(), Peek::Deserted);
        let mut writer = writer(&path);
        assert_eq!(fifo.peek(100, &mut bytes).unwrap(), Peek::Empty);
        writer.write_all(b"hello").unwrap();
        for _ in 0..3 {
            assert_eq!(fifo.peek(4, &mut bytes).unwrap(), Peek::Bytes);
            assert_eq!(bytes, b"hell");
        }
        fifo.consume(3).unwrap();
        fifo.peek(100, &mut bytes).unwrap();
        assert_eq!((&bytes[..], fifo.waiting().unwrap()), (&b"lo"[..], 2));
        drop(writer);
        assert_eq!(
            fifo.peek(100, &mut bytes).unwrap(),
            Peek::Bytes,
            "what a writer left is read after it went"
        );
        fifo.consume(2).unwrap();
        assert_eq!(fifo.peek(100, &mut bytes).unwrap(), Peek::Deserted);
    }

    #[tokio::test]
    async fn a_fifo_outlives_its_writers() {
        let (_dir, path) = fifo();
        let mut fifo = open(&path);
        let mut bytes = Vec::new();
        for text in ["one", "two"] {
            fifo.reopen().unwrap();
            let path = path.clone();
            let writing =
                std::thread::spawn(move || writer(&path).write_all(text.as_bytes()).unwrap());
            while fifo.peek(100, &mut bytes).unwrap() != Peek::Bytes {
                fifo.changed().await.unwrap();
            }
            writing.join().unwrap();
            assert_eq!(bytes, text.as_bytes());
            fifo.consume(3).unwrap();
        }
    }

    #[tokio::test]
    async fn large_batches_are_peeked_whole() {
        let (_dir, path) = fifo();
        let fifo = open(&path);
        let text = vec![7; fifo.capacity().unwrap()];
        let mut writer = writer(&path);
        writer.write_all(&text).unwrap();
        let mut bytes = Vec::new();
        fifo.peek(usize::MAX >> 1, &mut bytes).unwrap();
        assert_eq!(bytes, text);
    }

    #[tokio::test]
    async fn other_files_than_fifos_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let scratch = Rc::new(Scratch::new().unwrap());
        assert_eq!(
            Fifo::open(&path, 1, scratch.clone())
                .unwrap_err()
                .to_string(),
            "is not a FIFO"
        );
        assert!(Fifo::open(&dir.path().join("none"), 1, scratch.clone()).is_err());
        let (_other, fifo) = fifo();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        assert_eq!(
            Fifo::open(&link, 1, scratch).unwrap_err().to_string(),
            "is not a FIFO"
        );
    }
}
