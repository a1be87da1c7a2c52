//! The contents of a plugin's root file system.

use super::derive::{BINARY, PROPAGATED};
use super::reference::Reference;
use super::rootfs::{Libraries, MARKER, Program, RootfsError, Tree, find, size_of};
use super::{BundleError, Part, Subject};
use crate::grants::Grant;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The loader's index of libraries outside its default directories.
const LOADER_CACHE: &str = "/etc/ld.so.cache";

/// The running program, even if another file has replaced it on disk.
const OWN: &str = "/proc/self/exe";

const DIRECTORIES: &[(&str, u32)] = &[
    ("/dev", 0o755),
    ("/proc", 0o755),
    ("/root", 0o700),
    ("/run/docker/plugins", 0o755),
    ("/sys", 0o755),
    ("/tmp", 0o1777),
    (PROPAGATED, 0o755),
];

const FILES: &[(&str, &str)] = &[
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    (
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
];

/// A root file system, and its parts.
pub(super) struct Contents {
    pub tree: Tree,
    pub parts: Vec<Part>,
    /// Notes for the author.
    pub notes: Vec<String>,
}

/// Collects everything that `subject` needs.
///
/// # Errors
/// Fails if a file is missing on this machine, or if a granted path would hide one.
pub(super) fn collect(subject: &Subject, name: &Reference) -> Result<Contents, BundleError> {
    let mut contents = Contents {
        tree: Tree::default(),
        parts: Vec::new(),
        notes: Vec::new(),
    };
    contents.add_base(name);
    contents.add_moondock()?;
    contents.add_scripts(subject);
    contents.add_needed_programs(subject)?;
    contents.add_granted_programs(subject)?;
    if subject.needs.iter().any(|need| need.certificates) {
        contents.add_certificates()?;
    }
    contents.refuse_hiding(subject)?;
    Ok(contents)
}

impl Contents {
    fn add_base(&mut self, name: &Reference) {
        for (path, mode) in DIRECTORIES {
            self.tree.directory(path, *mode);
        }
        for (path, text) in FILES {
            self.tree.text(*path, *text);
        }
        self.tree.text(
            MARKER,
            format!("{name}\nmoondock {}\n", env!("CARGO_PKG_VERSION")),
        );
        self.tree.link("/var/run", "../run");
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a file of the machine that the bundle is made on"
    )]
    fn add_moondock(&mut self) -> Result<(), BundleError> {
        let own = PathBuf::from(OWN);
        let program = Program::at(own.clone(), &Libraries::of_host())?;
        self.tree.copy(&own, BINARY)?;
        self.add_files("moondock", &[own], &program.libraries)?;
        if !program.libraries.is_empty() && Path::new(LOADER_CACHE).exists() {
            self.tree.mirror(Path::new(LOADER_CACHE))?;
        }
        Ok(())
    }

    fn add_scripts(&mut self, subject: &Subject) {
        if subject.scripts_mounted {
            self.tree
                .directory(&subject.scripts.display().to_string(), 0o755);
            return;
        }
        let before = self.tree.size();
        for (path, text) in &subject.sources.files {
            self.tree.text(subject.scripts.join(path), text.clone());
        }
        self.parts.push(Part {
            name: "scripts".to_owned(),
            files: subject.sources.files.len(),
            libraries: 0,
            size: self.tree.size() - before,
        });
    }

    fn add_needed_programs(&mut self, subject: &Subject) -> Result<(), BundleError> {
        for program in subject.needs.iter().flat_map(|need| need.programs) {
            self.add_program(program)
                .map_err(|source| BundleError::Host { program, source })?;
        }
        Ok(())
    }

    fn add_granted_programs(&mut self, subject: &Subject) -> Result<(), BundleError> {
        for (grant, line) in subject.manifest.grants_by_line() {
            if let Grant::Exec(name) = grant {
                self.add_program(name).map_err(|source| BundleError::Exec {
                    line,
                    grant: grant.to_string(),
                    source,
                })?;
            }
        }
        Ok(())
    }

    fn add_program(&mut self, name: &str) -> Result<(), RootfsError> {
        let program = Program::at(find(name)?, &Libraries::of_host())?;
        let own: Vec<PathBuf> = std::iter::once(&program.path)
            .chain(&program.interpreters)
            .cloned()
            .collect();
        own.iter().try_for_each(|path| self.tree.mirror(path))?;
        if let Some(interpreter) = program.interpreters.last() {
            self.notes.push(format!(
                "`{name}` is a script for `{}`: the bundle includes the interpreter, but not its modules nor the programs that the script runs; grant those by `exec:NAME`",
                interpreter.display()
            ));
        }
        self.add_files(name, &own, &program.libraries)
    }

    /// Adds the libraries, and records the part.
    fn add_files(
        &mut self,
        name: &str,
        own: &[PathBuf],
        libraries: &BTreeSet<PathBuf>,
    ) -> Result<(), RootfsError> {
        libraries
            .iter()
            .try_for_each(|path| self.tree.mirror(path))?;
        let size = own.iter().chain(libraries).map(|path| size_of(path)).sum();
        let name = name.to_owned();
        self.parts.push(Part {
            name,
            files: own.len(),
            libraries: libraries.len(),
            size,
        });
        Ok(())
    }

    fn add_certificates(&mut self) -> Result<(), BundleError> {
        let path = Path::new(CERTIFICATES);
        self.tree.mirror(path).map_err(BundleError::Certificates)?;
        self.parts.push(Part {
            name: "certificates".to_owned(),
            files: 1,
            libraries: 0,
            size: size_of(path),
        });
        Ok(())
    }

    /// Rejects a granted path whose mount would hide a file of the bundle.
    fn refuse_hiding(&self, subject: &Subject) -> Result<(), BundleError> {
        let mounted = subject
            .manifest
            .grants
            .iter()
            .filter_map(|grant| match grant {
                Grant::FsRead(path) | Grant::FsWrite(path) => Some((grant, path)),
                _ => None,
            });
        let outside = |path: &Path| !path.starts_with(PROPAGATED) && !path.starts_with("/dev");
        let clash = mounted
            .filter(|(_, path)| outside(path))
            .find_map(|(grant, path)| {
                let hidden = self.tree.at_or_below(path)?;
                Some((grant, hidden))
            });
        match clash {
            None => Ok(()),
            Some((grant, hidden)) => Err(BundleError::Path {
                grant: grant.to_string(),
                reason: format!(
                    "it would hide `{}`, which the plugin needs: grant a path below it",
                    hidden.display()
                ),
            }),
        }
    }
}
