//! The binary as a command that ends by itself, in a directory with files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A directory in which commands are run.
pub struct Workplace(TempDir);

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Workplace {
    /// With these files in it, by their paths.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let place = Self(TempDir::new().unwrap());
        files
            .iter()
            .for_each(|(path, text)| place.write(path, text));
        place
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs `moondock` with nothing on its stdin.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, "")
    }

    /// Runs `moondock` with a text on its stdin.
    pub fn run_with(&self, args: &[&str], stdin: &str) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_moondock"))
            .args(args)
            .current_dir(self.path())
            .env("COLUMNS", "100")
            .env("TMPDIR", self.temporary())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its stdin may have ended already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Where a command makes its temporary files.
    pub fn temporary(&self) -> PathBuf {
        let dir = self.path().join(".tmp");
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// All files and directories but the temporary one, by path.
    pub fn listing(&self) -> Vec<PathBuf> {
        let (mut found, mut open) = (Vec::new(), vec![self.path().to_owned()]);
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir)
                .unwrap()
                .map(|entry| entry.unwrap().path())
            {
                if entry.is_dir() {
                    open.push(entry.clone());
                }
                found.push(entry);
            }
        }
        found.retain(|path| !path.ends_with(".tmp"));
        found.sort();
        found
    }
}
