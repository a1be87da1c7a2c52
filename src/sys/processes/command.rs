//! Child processes without a shell, with a timeout and limited output. The whole process group is
//! killed if the caller gives up.

use super::{ProcessError, programs};
use crate::sys::blocking;
use crate::sys::memory::{Allowance, Buffer, Spent};
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

/// How much of the output is read at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// A program to run.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program, as in [`programs::find`], and its arguments.
    pub argv: Vec<OsString>,
    /// The standard input, by default empty.
    pub stdin: Option<Vec<u8>>,
    /// Variables in addition to Moondock's environment.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory, by default Moondock's.
    pub cwd: Option<PathBuf>,
    /// The timeout.
    pub timeout: Duration,
    /// The limit on stdout and on stderr, each in bytes.
    pub max_output: usize,
    /// What stdout and stderr count against.
    pub allowance: Allowance,
}

/// The result of a program.
#[derive(Debug)]
pub struct Output {
    /// The exit code or, as in shells, 128 plus the number of the signal that killed it.
    pub code: i32,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The standard output.
    pub stdout: Buffer,
    /// The standard error.
    pub stderr: Buffer,
}

/// A running program. Dropping it kills its process group, as when a call is abandoned.
struct Running {
    child: Child,
}

/// A pipe of the program's output, and the bytes so far.
struct Captured<R> {
    pipe: R,
    bytes: Buffer,
    limit: usize,
}

/// An error of reading the output.
enum OutputError {
    Full,
    Spent(Spent),
    Lost(io::Error),
}

impl Command {
    /// Creates a command with the defaults of `process.run`: 30 s, 1 MiB, empty input.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: None,
            env: Vec::new(),
            cwd: None,
            timeout: Duration::from_secs(30),
            max_output: 1 << 20,
            allowance: Allowance::default(),
        }
    }

    /// Sets the standard input.
    #[must_use]
    pub fn stdin(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            stdin: Some(bytes.into()),
            ..self
        }
    }

    /// Runs the program. An exit code other than 0 is not an error.
    pub async fn run(mut self) -> Result<Output, ProcessError> {
        self.validate()?;
        let stdin = self.stdin.take();
        let (program, timeout, limit) = (self.program(), self.timeout, self.max_output);
        let allowance = self.allowance.clone();
        let running = self.start(stdin.is_some()).await?;
        let finishing = running.finish(stdin.unwrap_or_default(), limit, &allowance);
        match tokio::time::timeout(timeout, finishing).await {
            Err(_) => Err(ProcessError::Timeout { program, timeout }),
            Ok(Err(OutputError::Full)) => Err(ProcessError::TooMuchOutput { program, limit }),
            Ok(Err(OutputError::Spent(cause))) => Err(ProcessError::Memory { program, cause }),
            Ok(Err(OutputError::Lost(cause))) => Err(ProcessError::Lost { program, cause }),
            Ok(Ok(output)) => Ok(output),
        }
    }

    /// Runs the program, and fails with the last line of its stderr unless it exits with 0.
    pub async fn check(self) -> Result<Buffer, ProcessError> {
        let program = self.program();
        self.run().await?.checked(program)
    }

    /// Returns the name of the program, for messages.
    pub fn program(&self) -> String {
        self.argv
            .first()
            .map(|p| p.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Validates the command without running it.
    ///
    /// # Errors
    /// Fails for text that cannot be passed to a program, and for variables that would make it run
    /// foreign code.
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
            if programs::injects_code(name) {
                return Err(ProcessError::Injecting(name.to_string_lossy().into_owned()));
            }
            no_nul(value, || format!("the variable `{}`", name.display()))?;
        }
        self.cwd
            .iter()
            .try_for_each(|cwd| no_nul(cwd.as_os_str(), || "the working directory".to_owned()))
    }

    /// Starts the program on the blocking pool, because the parent of a new process waits for
    /// `exec`, which may read from a file system that hangs.
    async fn start(self, with_stdin: bool) -> Result<Running, ProcessError> {
        let program = self.program();
        let lost = |cause| ProcessError::Start {
            program: program.clone(),
            cause,
        };
        let spawned = blocking(move || io::Result::Ok(self.spawn(with_stdin))).await;
        spawned.map_err(lost)?
    }

    fn spawn(self, with_stdin: bool) -> Result<Running, ProcessError> {
        self.check_directory()?;
        let missing = || ProcessError::Start {
            program: self.program(),
            cause: io::ErrorKind::NotFound.into(),
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
            .map_err(|cause| ProcessError::Start {
                program: self.program(),
                cause,
            })
    }

    /// Checks the working directory, because `spawn` returns the same error for a missing directory
    /// and a missing program.
    fn check_directory(&self) -> Result<(), ProcessError> {
        let Some(cwd) = &self.cwd else { return Ok(()) };
        let tried = match std::fs::metadata(cwd) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => io::ErrorKind::NotADirectory.into(),
            Err(source) => source,
        };
        Err(ProcessError::Directory {
            path: cwd.display().to_string(),
            cause: tried,
        })
    }
}

impl Running {
    async fn finish(
        mut self,
        stdin: Vec<u8>,
        limit: usize,
        allowance: &Allowance,
    ) -> Result<Output, OutputError> {
        let feed = feed(self.child.stdin.take(), stdin);
        let mut stdout = Captured::new(self.child.stdout.take(), limit, allowance)?;
        let mut stderr = Captured::new(self.child.stderr.take(), limit, allowance)?;
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
        // The ID cannot belong to another group until the child has been waited for. Killing a
        // group that has just ended fails, which does not matter.
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
    fn new(pipe: Option<R>, limit: usize, allowance: &Allowance) -> io::Result<Self> {
        let pipe = pipe.ok_or(io::ErrorKind::NotConnected)?;
        Ok(Self {
            pipe,
            bytes: Buffer::new(allowance),
            limit,
        })
    }

    /// Reads to the end or to the limit.
    async fn fill(&mut self) -> Result<(), OutputError> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match self.pipe.read(&mut chunk).await? {
                0 => return Ok(()),
                count => self.append(&chunk[..count])?,
            }
        }
    }

    /// Reads the remaining bytes after the program has exited. Does not wait for the end of the
    /// stream, because a daemon that it left behind may keep the pipe open.
    fn rest(mut self) -> Result<Buffer, OutputError> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match rustix::io::read(&self.pipe, &mut chunk) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(self.bytes),
                Ok(count) => self.append(&chunk[..count])?,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(OutputError::Lost(e.into())),
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(OutputError::Full);
        }
        self.bytes.extend(bytes).map_err(OutputError::Spent)
    }
}

impl From<io::Error> for OutputError {
    fn from(source: io::Error) -> Self {
        OutputError::Lost(source)
    }
}

impl Output {
    /// Returns the standard output of `program`, unless it failed.
    ///
    /// # Errors
    /// The exit code, if it is not 0, with the last line of the standard error.
    pub fn checked(self, program: String) -> Result<Buffer, ProcessError> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        let how = match self.signal {
            Some(signal) => format!("was killed by signal {signal}"),
            None => format!("exited with code {}", self.code),
        };
        Err(ProcessError::Failed {
            program,
            how,
            last_line: last_line(&self.stderr),
        })
    }

    fn new(status: ExitStatus, stdout: Buffer, stderr: Buffer) -> Self {
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

/// Writes the standard input. A program may close it early.
async fn feed(pipe: Option<ChildStdin>, bytes: Vec<u8>) -> Result<(), OutputError> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    match pipe.write_all(&bytes).await {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(OutputError::Lost(e)),
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
