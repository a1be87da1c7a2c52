//! Child processes: no shell, a deadline, bounded output, and an end of the whole group when the caller gives up.

use super::{ProcessError, programs};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

/// One program to run, to its end.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program, as [`programs::find`] takes it, and its arguments.
    pub argv: Vec<OsString>,
    /// What it reads; without it, nothing.
    pub stdin: Option<Vec<u8>>,
    /// Variables on top of Moondock's own environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory, in place of Moondock's.
    pub cwd: Option<PathBuf>,
    /// How long it may take.
    pub timeout: Duration,
    /// How many bytes it may write to stdout, and as many to stderr.
    pub max_output: usize,
}

/// How a program ended, and what it wrote.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; 128 and the signal's number when a signal ended it, as shells have it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

/// A started program. Dropping it kills its whole group, which is what ends a call that is given up.
struct Running {
    child: Child,
}

/// One end of its output, and what came out of it so far.
struct Captured<R> {
    pipe: R,
    bytes: Vec<u8>,
    limit: usize,
}

/// Why its output could not be had.
enum Broken {
    Full,
    Lost(io::Error),
}

impl Command {
    /// A command with the defaults of `process.run`: 30 s, 1 MiB, nothing to read.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: None,
            env: Vec::new(),
            cwd: None,
            timeout: Duration::from_secs(30),
            max_output: 1 << 20,
        }
    }

    /// The same command with something to read.
    #[must_use]
    pub fn stdin(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            stdin: Some(bytes.into()),
            ..self
        }
    }

    /// Runs it to its end. A code other than 0 is no error here.
    pub async fn run(mut self) -> Result<Output, ProcessError> {
        self.validate()?;
        let stdin = self.stdin.take();
        let (program, timeout, limit) = (self.program(), self.timeout, self.max_output);
        let running = self.start(stdin.is_some()).await?;
        match tokio::time::timeout(timeout, running.finish(stdin.unwrap_or_default(), limit)).await
        {
            Err(_) => Err(ProcessError::Timeout { program, timeout }),
            Ok(Err(Broken::Full)) => Err(ProcessError::TooMuchOutput { program, limit }),
            Ok(Err(Broken::Lost(source))) => Err(ProcessError::Lost { program, source }),
            Ok(Ok(output)) => Ok(output),
        }
    }

    /// Runs it, and fails with the last line of its stderr unless it exits with 0.
    pub async fn check(self) -> Result<Vec<u8>, ProcessError> {
        let program = self.program();
        let output = self.run().await?;
        if output.code == 0 {
            return Ok(output.stdout);
        }
        let how = match output.signal {
            Some(signal) => format!("was ended by signal {signal}"),
            None => format!("exited with code {}", output.code),
        };
        Err(ProcessError::Failed {
            program,
            how,
            last_line: last_line(&output.stderr),
        })
    }

    fn program(&self) -> String {
        self.argv
            .first()
            .map(|p| p.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Whether it can be run at all, before anything is tried.
    ///
    /// # Errors
    /// What the operating system cannot pass on, and what would make another program of it.
    pub fn validate(&self) -> Result<(), ProcessError> {
        if self.argv.first().is_none_or(|program| program.is_empty()) {
            return Err(ProcessError::NoProgram);
        }
        if self.argv[0].as_bytes().contains(&b'/') && !self.argv[0].as_bytes().starts_with(b"/") {
            return Err(ProcessError::Relative(self.program()));
        }
        for (i, argument) in self.argv.iter().enumerate() {
            no_nul(argument, || format!("item {} of argv", i + 1))?;
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.as_bytes().iter().any(|b| matches!(b, 0 | b'=')) {
                return Err(ProcessError::VariableName(
                    name.to_string_lossy().into_owned(),
                ));
            }
            if programs::leads_astray(name) {
                return Err(ProcessError::Astray(name.to_string_lossy().into_owned()));
            }
            no_nul(value, || format!("the variable `{}`", name.display()))?;
        }
        self.cwd
            .iter()
            .try_for_each(|cwd| no_nul(cwd.as_os_str(), || "the working directory".to_owned()))
    }

    /// Starts it on the blocking pool: the parent of a new process waits until `exec` has read the program,
    /// which may lie on a file system that hangs.
    async fn start(self, with_stdin: bool) -> Result<Running, ProcessError> {
        let program = self.program();
        let lost = |source| ProcessError::Start {
            program: program.clone(),
            source,
        };
        tokio::task::spawn_blocking(move || self.spawn(with_stdin))
            .await
            .map_err(|e| lost(e.into()))?
    }

    fn spawn(self, with_stdin: bool) -> Result<Running, ProcessError> {
        self.enterable()?;
        let missing = || ProcessError::Start {
            program: self.program(),
            source: io::ErrorKind::NotFound.into(),
        };
        let mut command =
            tokio::process::Command::new(programs::find(&self.argv[0]).ok_or_else(missing)?);
        command
            .arg0(&self.argv[0])
            .args(&self.argv[1..])
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(if with_stdin {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        let child = command.spawn();
        child
            .map(|child| Running { child })
            .map_err(|source| ProcessError::Start {
                program: self.program(),
                source,
            })
    }

    /// A missing directory and a missing program look the same in `spawn`'s error, so the directory is tried first.
    fn enterable(&self) -> Result<(), ProcessError> {
        let Some(cwd) = &self.cwd else { return Ok(()) };
        let tried = match std::fs::metadata(cwd) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => io::ErrorKind::NotADirectory.into(),
            Err(source) => source,
        };
        Err(ProcessError::Directory {
            path: cwd.display().to_string(),
            source: tried,
        })
    }
}

impl Running {
    async fn finish(mut self, stdin: Vec<u8>, limit: usize) -> Result<Output, Broken> {
        let feed = feed(self.child.stdin.take(), stdin);
        let mut stdout = Captured::new(self.child.stdout.take(), limit)?;
        let mut stderr = Captured::new(self.child.stderr.take(), limit)?;
        let status = tokio::select! {
            status = self.child.wait() => status?,
            over = async { tokio::try_join!(feed, stdout.fill(), stderr.fill()) } => match over {
                Ok(_) => self.child.wait().await?,
                Err(over) => return Err(over),
            },
        };
        Ok(Output::new(status, stdout.rest()?, stderr.rest()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Until it has been waited for, its number cannot belong to another group. The failure to kill
        // what has just ended is none.
        if let Some(group) = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl<R: AsyncRead + AsFd + Unpin> Captured<R> {
    fn new(pipe: Option<R>, limit: usize) -> io::Result<Self> {
        let pipe = pipe.ok_or(io::ErrorKind::NotConnected)?;
        Ok(Self {
            pipe,
            bytes: Vec::new(),
            limit,
        })
    }

    /// Reads to the end, or to the limit.
    async fn fill(&mut self) -> Result<(), Broken> {
        while self.pipe.read_buf(&mut self.bytes).await? > 0 {
            self.within()?;
        }
        Ok(())
    }

    /// Reads what the pipe still holds once the program has ended. A daemon that it left behind may keep the pipe
    /// open for ever, so the end of the stream is not waited for.
    fn rest(mut self) -> Result<Vec<u8>, Broken> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            self.within()?;
            match rustix::io::read(&self.pipe, &mut chunk) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(self.bytes),
                Ok(n) => self.bytes.extend_from_slice(&chunk[..n]),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Broken::Lost(e.into())),
            }
        }
    }

    fn within(&self) -> Result<(), Broken> {
        if self.bytes.len() > self.limit {
            Err(Broken::Full)
        } else {
            Ok(())
        }
    }
}

impl From<io::Error> for Broken {
    fn from(source: io::Error) -> Self {
        Broken::Lost(source)
    }
}

impl Output {
    fn new(status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        let signal = status.signal();
        let code = status
            .code()
            .unwrap_or_else(|| 128 + signal.unwrap_or_default());
        Self {
            code,
            signal,
            stdout,
            stderr,
        }
    }
}

/// Writes what the program reads. One that does not want all of it is in its right.
async fn feed(pipe: Option<ChildStdin>, bytes: Vec<u8>) -> Result<(), Broken> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    match pipe.write_all(&bytes).await {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Broken::Lost(e)),
        _ => Ok(()),
    }
}

fn no_nul(text: &OsStr, what: impl FnOnce() -> String) -> Result<(), ProcessError> {
    if text.as_bytes().contains(&0) {
        Err(ProcessError::Nul { what: what() })
    } else {
        Ok(())
    }
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}
