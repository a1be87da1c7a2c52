//! Finds shared libraries as the GNU loader does (ld.so(8)), without running the program.

use super::RootfsError;
use super::elf::{self, Elf, Machine};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The default directories of loaders in common distributions.
const DEFAULT: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
const CONFIGURATION: &str = "/etc/ld.so.conf";
/// The limit on nested configuration files.
const MAX_INCLUDES: usize = 8;

/// The library directories of this machine, in the loader's order.
#[derive(Debug)]
pub struct Libraries {
    directories: Vec<PathBuf>,
}

/// A file whose dependencies are being resolved.
struct Loaded {
    elf: Elf,
    /// `$ORIGIN`.
    origin: PathBuf,
    /// The `DT_RPATH`s of the files that need it, the nearest first.
    inherited: Vec<PathBuf>,
}

impl Libraries {
    /// Reads the configuration of this machine.
    pub fn of_host() -> Self {
        let mut directories = Vec::new();
        configured(Path::new(CONFIGURATION), MAX_INCLUDES, &mut directories);
        directories.extend(DEFAULT.map(PathBuf::from));
        Self { directories }
    }

    /// Finds the loader of the program `path` and all libraries that it needs, directly and
    /// indirectly. Finds nothing for a static program.
    ///
    /// # Errors
    /// Fails if a library is missing.
    pub fn needed_by(&self, path: &Path, elf: Elf) -> Result<BTreeSet<PathBuf>, RootfsError> {
        let mut found: BTreeSet<PathBuf> = elf.interpreter.iter().cloned().collect();
        let loader = elf
            .interpreter
            .as_deref()
            .and_then(Path::file_name)
            .map(OsStr::to_owned);
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut names = BTreeSet::new();
        let mut open = vec![Loaded {
            elf,
            origin: origin_of(&real),
            inherited: Vec::new(),
        }];
        while let Some(loaded) = open.pop() {
            for name in &loaded.elf.needed {
                if loader.as_ref() == Some(name) || !names.insert(name.clone()) {
                    continue;
                }
                let missing = || RootfsError::NoLibrary {
                    program: path.to_owned(),
                    name: name.clone(),
                };
                let (library, elf) = self.find(name, &loaded).ok_or_else(missing)?;
                let origin = origin_of(&library);
                found.insert(library);
                open.push(Loaded {
                    elf,
                    origin,
                    inherited: loaded.rpath(),
                });
            }
        }
        Ok(found)
    }

    fn find(&self, name: &OsStr, by: &Loaded) -> Option<(PathBuf, Elf)> {
        let machine = by.elf.machine;
        if name.as_bytes().contains(&b'/') {
            return library_at(PathBuf::from(name), machine);
        }
        let own = by.search_path();
        own.iter()
            .chain(&self.directories)
            .find_map(|directory| library_at(directory.join(name), machine))
    }
}

impl Loaded {
    fn search_path(&self) -> Vec<PathBuf> {
        match &self.elf.runpath {
            Some(runpath) => self.expand(runpath),
            None => self.rpath(),
        }
    }

    /// Returns the search path that its libraries inherit.
    fn rpath(&self) -> Vec<PathBuf> {
        let own = self.elf.rpath.iter().filter(|_| self.elf.runpath.is_none());
        own.flat_map(|rpath| self.expand(rpath))
            .chain(self.inherited.iter().cloned())
            .collect()
    }

    /// Splits a search path and expands `$ORIGIN`. Directories with `$LIB` or `$PLATFORM`, which
    /// differ between distributions, are left out.
    fn expand(&self, path: &OsString) -> Vec<PathBuf> {
        let origin = self.origin.to_string_lossy();
        let path = path
            .to_string_lossy()
            .replace("${ORIGIN}", &origin)
            .replace("$ORIGIN", &origin);
        path.split(':')
            .filter(|part| part.starts_with('/') && !part.contains('$'))
            .map(PathBuf::from)
            .collect()
    }
}

fn origin_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Returns the library at `path`, unless it is for another machine.
fn library_at(path: PathBuf, machine: Machine) -> Option<(PathBuf, Elf)> {
    let elf = elf::parse(&std::fs::read(&path).ok()?)?;
    (elf.machine == machine).then_some((path, elf))
}

/// Reads `ld.so.conf(5)`, and ignores files that cannot be read.
fn configured(file: &Path, depth: usize, directories: &mut Vec<PathBuf>) {
    let Ok(text) = std::fs::read_to_string(file) else {
        return;
    };
    for line in text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
    {
        match line.split_once(char::is_whitespace) {
            Some(("include", pattern)) if depth > 0 => {
                for file in matching(&file.with_file_name("").join(pattern.trim())) {
                    configured(&file, depth - 1, directories);
                }
            }
            Some(("hwcap", _)) => {}
            _ if line.starts_with('/') => directories.push(line.into()),
            _ => {}
        }
    }
}

/// Returns the files that match `DIRECTORY/*.conf`, sorted. A `*` elsewhere is not supported.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name()) else {
        return Vec::new();
    };
    let name = name.to_string_lossy();
    let Some((head, tail)) = name.split_once('*') else {
        return vec![pattern.to_owned()];
    };
    let fits = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(fits).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(rpath: Option<&str>, runpath: Option<&str>, inherited: &[&str]) -> Loaded {
        let mut elf = elf::parse(&std::fs::read("/proc/self/exe").unwrap()).unwrap();
        (elf.rpath, elf.runpath) = (rpath.map(Into::into), runpath.map(Into::into));
        Loaded {
            elf,
            origin: "/opt/app".into(),
            inherited: inherited.iter().map(PathBuf::from).collect(),
        }
    }

    #[test]
    fn paths_are_searched_in_the_loaders_order() {
        let paths = |loaded: Loaded| (loaded.search_path(), loaded.rpath());
        let list = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let both = list(&["/opt/app/../lib", "/a", "/in"]);
        assert_eq!(
            paths(loaded(
                Some("$ORIGIN/../lib:/a:rel:/x/$LIB"),
                None,
                &["/in"]
            )),
            (both.clone(), both)
        );
        let run = (list(&["/opt/app/r"]), list(&["/in"]));
        assert_eq!(
            paths(loaded(Some("/a"), Some("${ORIGIN}/r"), &["/in"])),
            run
        );
    }

    #[test]
    fn configuration_files_include_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("d")).unwrap();
        std::fs::write(path("ld.so.conf"), "include d/*.conf\n/last # a comment\n").unwrap();
        std::fs::write(path("d/b.conf"), "/b\n").unwrap();
        std::fs::write(path("d/a.conf"), "# only\n/a\nhwcap 0 nosegneg\n").unwrap();
        std::fs::write(path("d/c.txt"), "/never\n").unwrap();
        let mut found = Vec::new();
        configured(&path("ld.so.conf"), MAX_INCLUDES, &mut found);
        assert_eq!(found, ["/a", "/b", "/last"].map(PathBuf::from));
    }
}
