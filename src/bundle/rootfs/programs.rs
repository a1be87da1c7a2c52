//! Programs of this machine, with everything that is needed to start them elsewhere.

use super::RootfsError;
use super::elf;
use super::libraries::Libraries;
use crate::sys::processes::programs;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The limit on interpreters that are scripts themselves, as in the kernel.
const MAX_INTERPRETERS: usize = 4;
/// The length of a script's first line that the kernel reads, in bytes.
const FIRST_LINE: u64 = 256;

/// A program and its dependencies, by their paths on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program itself.
    pub path: PathBuf,
    /// The interpreters of a script, the nearest first.
    pub interpreters: Vec<PathBuf>,
    /// The loader and the libraries.
    pub libraries: BTreeSet<PathBuf>,
}

/// Finds the program `name`, an absolute path or a name in the directories of the engine's default
/// `PATH` (protocol 2.3), which are those of [`programs::find`].
///
/// # Errors
/// Fails if there is no such program.
pub fn find(name: &str) -> Result<PathBuf, RootfsError> {
    match programs::find(OsStr::new(name)) {
        Some(path) if programs::is_program(&path) => Ok(path),
        Some(_) => Err(RootfsError::NotExecutable(name.to_owned())),
        None => Err(RootfsError::NotOnPath(name.to_owned())),
    }
}

impl Program {
    /// Finds the dependencies of the program at `path`.
    ///
    /// # Errors
    /// Fails if it cannot be read, if the kernel could not start it, or if a dependency is missing.
    pub fn at(path: PathBuf, libraries: &Libraries) -> Result<Self, RootfsError> {
        let mut program = Self {
            path: path.clone(),
            interpreters: Vec::new(),
            libraries: BTreeSet::new(),
        };
        let mut now = path;
        for _ in 0..=MAX_INTERPRETERS {
            let Some(next) = interpreters_of(&now)? else {
                let bytes = std::fs::read(&now).map_err(RootfsError::at(&now))?;
                let elf =
                    elf::parse(&bytes).ok_or_else(|| RootfsError::NotAProgram(now.clone()))?;
                program.libraries.extend(libraries.needed_by(&now, elf)?);
                return Ok(program);
            };
            program.add_interpreters(next, libraries)?;
            now = program.interpreters.last().cloned().unwrap_or_default();
        }
        Err(RootfsError::NotAProgram(program.path))
    }

    /// Adds interpreters. `env`, which finds the next one, has libraries of its own.
    fn add_interpreters(
        &mut self,
        next: Vec<PathBuf>,
        libraries: &Libraries,
    ) -> Result<(), RootfsError> {
        if let [env, _] = &next[..] {
            self.libraries
                .extend(Program::at(env.clone(), libraries)?.libraries);
        }
        self.interpreters.extend(next);
        Ok(())
    }
}

/// Returns the interpreter in a script's first line; for `env`, also the program that it finds.
/// Returns `None` if `path` is not a script.
fn interpreters_of(path: &Path) -> Result<Option<Vec<PathBuf>>, RootfsError> {
    let Some(line) = first_line(path)? else {
        return Ok(None);
    };
    let mut words = line.split_whitespace();
    let interpreter = words.next().filter(|word| word.starts_with('/'));
    let interpreter = interpreter.ok_or_else(|| RootfsError::NotAProgram(path.to_owned()))?;
    let interpreter = find(interpreter)?;
    if interpreter.file_name().is_none_or(|name| name != "env") {
        return Ok(Some(vec![interpreter]));
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='));
    let name = name.ok_or_else(|| RootfsError::NotAProgram(path.to_owned()))?;
    Ok(Some(vec![interpreter, find(name)?]))
}

fn first_line(path: &Path) -> Result<Option<String>, RootfsError> {
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(RootfsError::at(path))?;
    file.take(FIRST_LINE)
        .read_to_end(&mut head)
        .map_err(RootfsError::at(path))?;
    let Some(rest) = head.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (dir, path)
    }

    fn program(path: PathBuf) -> Result<Program, String> {
        Program::at(path, &Libraries::of_host()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_dynamic_program_has_its_loader_and_all_libraries() {
        let sh = program(find("sh").unwrap()).unwrap();
        let names: Vec<_> = sh
            .libraries
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy())
            .collect();
        assert!(
            names.iter().any(|name| name.starts_with("ld-")),
            "{names:?}"
        );
        assert!(
            names.iter().any(|name| name.starts_with("libc.")),
            "{names:?}"
        );
    }

    #[test]
    fn a_script_takes_its_interpreters_along() {
        let (_dir, path) = script("#!/bin/sh -e\n");
        let seen = program(path).unwrap();
        assert_eq!(seen.interpreters, [PathBuf::from("/bin/sh")]);
        assert!(!seen.libraries.is_empty());
        let (_dir, path) = script("#! /usr/bin/env -S A=1 sh\n");
        let seen = program(path).unwrap();
        assert_eq!(
            seen.interpreters,
            [PathBuf::from("/usr/bin/env"), find("sh").unwrap()]
        );
    }

    #[test]
    fn what_cannot_be_started_is_refused() {
        for (text, part) in [
            ("no program", "is neither an ELF program nor a script"),
            ("#!sh\n", "is neither an ELF program nor a script"),
            ("#!/usr/bin/env\n", "is neither an ELF program nor a script"),
            ("#!/no/such/program\n", "`/no/such/program` is missing"),
            (
                "#!/usr/bin/env nonsuch\n",
                "`nonsuch` was not found on the path of a managed plugin (/usr/local/sbin:",
            ),
        ] {
            let (_dir, path) = script(text);
            let error = program(path).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
