//! What is in the plugin's root file system.

use super::derive::{BINARY, PROPAGATED, needs_of};
use super::reference::Reference;
use super::rootfs::{Libraries, MARKER, Program, RootfsError, Tree, find, size_of};
use super::{BundleError, Part, Subject};
use crate::grants::Grant;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where the loader looks libraries up that are in none of its own directories.
const LOADER_CACHE: &str = "/etc/ld.so.cache";

/// This very program, also when another has come to its place.
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

/// A root file system, and what went into it.
pub(super) struct Contents {
    pub tree: Tree,
    pub parts: Vec<Part>,
    /// What the author should know.
    pub notes: Vec<String>,
}

/// Collects all that `subject` needs.
///
/// # Errors
/// When something is missing on this machine, or a grant would hide it.
pub(super) fn collect(subject: &Subject, name: &Reference) -> Result<Contents, BundleError> {
    let mut contents = Contents {
        tree: Tree::default(),
        parts: Vec::new(),
        notes: Vec::new(),
    };
    contents.add_base(name);
    contents.add_moondock()?;
    contents.add_scripts(subject);
    for name in needs_of(subject).iter().flat_map(|need| need.programs) {
        contents
            .add_program(name)
            .map_err(|source| BundleError::Host {
                program: name,
                source,
            })?;
    }
    for grant in &subject.manifest.grants {
        if let Grant::Exec(name) = grant {
            let line = subject.line_of(grant);
            let failed = |source| BundleError::Exec {
                line,
                grant: grant.to_string(),
                source,
            };
            contents.add_program(name).map_err(failed)?;
        }
    }
    if needs_of(subject).iter().any(|need| need.certificates) {
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
        let (files, size) = (subject.sources.files.len(), self.tree.size() - before);
        self.parts.push(Part {
            name: "scripts".to_owned(),
            files,
            libraries: 0,
            size,
        });
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
                "`{name}` is a script for `{}`: that is taken along, but none of its modules and no program that the script runs; grant those by `exec:NAME`",
                interpreter.display()
            ));
        }
        self.add_files(name, &own, &program.libraries)
    }

    /// Adds the libraries, and tells of all.
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

    /// A mount on a directory hides what the bundle has there.
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
                    "it would hide `{}`, which the plugin needs: name what lies below",
                    hidden.display()
                ),
            }),
        }
    }
}
