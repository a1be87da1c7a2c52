//! The binary as a command that ends by itself, in a directory with files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
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

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
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
        Ended::from(child.wait_with_output().unwrap())
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

/// Runs `moondock COMMAND` on a file system of a size, after a script that may call it as `$0`. The
/// code is another one, and stdout has the difference, if files were added, removed or changed.
pub fn run_on_small_disk(size: &str, prepare: &str, command: &str) -> Ended {
    let script = format!(
        "mount -t tmpfs -o size={size} none \"$1\" && cd \"$1\" || exit 9
         {{ {prepare}
         }} > /dev/null 2>&1
         before=$(find . -type f -exec sha256sum '{{}}' +; find . -type d)
         \"$0\" {command}; code=$?
         after=$(find . -type f -exec sha256sum '{{}}' +; find . -type d)
         [ \"$before\" = \"$after\" ] || {{ echo \"$before -- $after\"; exit 8; }}
         exit $code"
    );
    let dir = TempDir::new().unwrap();
    let ended = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_moondock"))
        .arg(dir.path())
        .output();
    Ended::from(ended.unwrap())
}
