//! The configuration of the process: flags and environment as one validated [`Config`].

#![expect(
    clippy::disallowed_methods,
    reason = "the directories that the command line names"
)]

mod listen;
mod local;
mod misnamed;

pub use self::listen::{Access, ListenError, Tls, Transport};
pub use self::local::{LocalAddress, LocalAddressError};

use crate::protocol::Interface;
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;
use thiserror::Error;

/// The limit on a plugin's name, in bytes.
pub const NAME_MAX: usize = 20;

/// The limit on a Unix socket's path, in bytes: `sun_path` has 108, and the last one is NUL.
pub const SOCKET_PATH_MAX: usize = 107;

/// The configuration of `moondock serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The plugins, in the order of the paths given and then of their names; at least one.
    pub plugins: Vec<PluginDir>,
    /// The transport of each plugin, in the same order.
    pub transports: Vec<Transport>,
    /// The directories, absolute.
    pub places: Places,
    /// The timeout for calls in flight at shutdown.
    pub drain: Duration,
    /// The address of Moondock's own metrics, if they are served.
    pub metrics: Option<LocalAddress>,
    /// Whether the process runs as a managed plugin.
    pub managed: bool,
    /// Whether environment variables override settings.
    pub settings_from_env: bool,
    /// The host's paths that a managed plugin sees at the same path.
    pub host_paths: Vec<PathBuf>,
}

/// The directories that the process shares with the engine, and its own.
#[derive(Debug, Clone)]
pub struct Places {
    /// The engine's directory of sockets.
    pub sockets: PathBuf,
    /// The engine's directory of spec files.
    pub specs: PathBuf,
    /// The state of plugins, which outlives the process.
    pub state: PathBuf,
}

/// Where what must outlive the process is by default, as a service and as a managed plugin.
pub const STATE: &str = "/var/lib/moondock";

/// The default timeout for calls in flight at shutdown.
pub const DRAIN: Duration = Duration::from_secs(5);

/// A directory with at least one interface file in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDir {
    /// The directory's name, which is Docker's name for the plugin.
    pub name: String,
    /// The directory, absolute.
    pub dir: PathBuf,
}

/// An error of a configuration.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ConfigError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is a file: pass the directory that contains it", .0.display())]
    File(PathBuf),
    #[error(
        "no plugin in `{}`: neither it nor a directory in it contains one of {}{}",
        .0.display(),
        interface_files(),
        misnamed::near_script(.0)
    )]
    NoPlugin(PathBuf),
    #[error("`{name}` cannot be the name of a plugin (`{}`): {reason}", dir.display())]
    Name {
        name: String,
        dir: PathBuf,
        reason: String,
    },
    #[error("two plugins are named `{name}`: `{}` and `{}`", first.display(), second.display())]
    Duplicate {
        name: String,
        first: PathBuf,
        second: PathBuf,
    },
    #[error(
        "the socket path `{}` has {} bytes, which exceeds the limit of {SOCKET_PATH_MAX}: \
         choose a shorter directory with `--sockets`",
        .0.display(),
        .0.as_os_str().len()
    )]
    SocketPath(PathBuf),
    #[error(transparent)]
    Listen(#[from] ListenError),
}

impl Config {
    /// Finds the plugins in `paths`, and checks that all can be served together with the transports
    /// in `listens`.
    pub fn new(
        paths: &[PathBuf],
        places: &Places,
        listens: &[String],
    ) -> Result<Config, ConfigError> {
        let plugins = find_plugins(paths)?;
        let transports = listen::transports(&plugins, listens)?;
        let config = Config {
            plugins,
            transports,
            places: places.absolute()?,
            drain: DRAIN,
            metrics: None,
            managed: false,
            settings_from_env: false,
            host_paths: Vec::new(),
        };
        for plugin in &config.plugins {
            check_socket_path(config.socket(&plugin.name))?;
        }
        Ok(config)
    }

    /// Returns the path at which the engine looks for a plugin's socket (protocol 1.1).
    pub fn socket(&self, plugin: &str) -> PathBuf {
        self.places.sockets.join(format!("{plugin}.sock"))
    }
}

impl Places {
    fn absolute(&self) -> Result<Places, ConfigError> {
        Ok(Places {
            sockets: make_absolute(&self.sockets)?,
            specs: make_absolute(&self.specs)?,
            state: make_absolute(&self.state)?,
        })
    }
}

/// Finds the plugins in `paths`, each of which is a plugin's directory or contains such
/// directories.
pub fn find_plugins(paths: &[PathBuf]) -> Result<Vec<PluginDir>, ConfigError> {
    let mut found: Vec<PluginDir> = Vec::new();
    for path in paths {
        for plugin in plugins_at(path)? {
            refuse_duplicate(&found, &plugin)?;
            found.push(plugin);
        }
    }
    Ok(found)
}

fn plugins_at(path: &Path) -> Result<Vec<PluginDir>, ConfigError> {
    let dir = make_absolute(path)?;
    if is_plugin(&dir) {
        return Ok(vec![PluginDir::new(dir)?]);
    }
    let plugins = visible_children(&dir)?
        .into_iter()
        .filter(|child| is_plugin(child))
        .map(PluginDir::new)
        .collect::<Result<Vec<_>, _>>()?;
    if plugins.is_empty() {
        Err(ConfigError::NoPlugin(path.to_owned()))
    } else {
        Ok(plugins)
    }
}

impl PluginDir {
    fn new(dir: PathBuf) -> Result<PluginDir, ConfigError> {
        let name = match dir.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => real_name(&dir)?,
        };
        match name_problem(&name) {
            None => Ok(PluginDir { name, dir }),
            Some(reason) => Err(ConfigError::Name { name, dir, reason }),
        }
    }
}

/// Returns the name of a directory whose path ends in `..`.
fn real_name(dir: &Path) -> Result<String, ConfigError> {
    let real = dir.canonicalize().map_err(read_error(dir))?;
    Ok(real
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned())
}

fn name_problem(name: &str) -> Option<String> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.len() > NAME_MAX {
        return Some(format!(
            "it has {} bytes, which exceeds the limit of {NAME_MAX}",
            name.len()
        ));
    }
    let (head, rest) = name.as_bytes().split_first()?;
    if plain(*head) && rest.iter().all(|&c| plain(c) || b"_.-".contains(&c)) {
        return None;
    }
    Some(
        "a name must consist of a-z, 0-9, `_`, `.` and `-`, and begin with a letter or a digit"
            .into(),
    )
}

fn refuse_duplicate(found: &[PluginDir], plugin: &PluginDir) -> Result<(), ConfigError> {
    match found.iter().find(|other| other.name == plugin.name) {
        None => Ok(()),
        Some(other) => Err(ConfigError::Duplicate {
            name: plugin.name.clone(),
            first: other.dir.clone(),
            second: plugin.dir.clone(),
        }),
    }
}

fn check_socket_path(path: PathBuf) -> Result<(), ConfigError> {
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        Err(ConfigError::SocketPath(path))
    } else {
        Ok(())
    }
}

fn is_plugin(dir: &Path) -> bool {
    Interface::ALL
        .iter()
        .any(|interface| dir.join(interface.file()).is_file())
}

fn visible_children(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    if dir.is_file() {
        return Err(ConfigError::File(dir.to_owned()));
    }
    let mut children = Vec::new();
    for entry in dir.read_dir().map_err(read_error(dir))? {
        let entry = entry.map_err(read_error(dir))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            children.push(entry.path());
        }
    }
    children.sort();
    Ok(children)
}

fn make_absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    absolute(path).map_err(read_error(path))
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> ConfigError {
    let path = path.to_owned();
    move |source| ConfigError::Read { path, source }
}

fn interface_files() -> String {
    Interface::ALL.map(Interface::file).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn names(dir: &Path, paths: &[&str]) -> Result<Vec<String>, String> {
        let paths: Vec<_> = paths.iter().map(|p| dir.join(p)).collect();
        let found = find_plugins(&paths).map_err(|e| e.to_string())?;
        Ok(found.into_iter().map(|p| p.name).collect())
    }

    #[test]
    fn a_path_is_a_plugin_or_a_directory_of_plugins() {
        let dir = tree(&[
            "s/b/volume.lua",
            "s/a/authz.lua",
            "s/types/x.lua",
            "s/.git/authz.lua",
            "s/b/lib/x",
            "c/log.lua",
        ]);
        assert_eq!(names(dir.path(), &["s"]).unwrap(), ["a", "b"]);
        assert_eq!(names(dir.path(), &["s/b", "c"]).unwrap(), ["b", "c"]);
        assert_eq!(names(dir.path(), &["s/types/../b/."]).unwrap(), ["b"]);
        assert_eq!(names(dir.path(), &["s/b/lib/.."]).unwrap(), ["b"]);
    }

    #[test]
    fn unservable_directories_are_refused_with_a_reason() {
        let dir = tree(&[
            "s/a/authz.lua",
            "t/a/authz.lua",
            "Big/authz.lua",
            "-x/authz.lua",
            "e/x",
            "f",
        ]);
        let long = "a".repeat(21);
        fs::create_dir(dir.path().join(&long)).unwrap();
        fs::write(dir.path().join(&long).join("ipam.lua"), "").unwrap();
        for (paths, part) in [
            (&["s", "t"][..], "two plugins are named `a`"),
            (&["Big"], "`Big` cannot be the name of a plugin"),
            (&["-x"], "begin with a letter or a digit"),
            (&[&long], "it has 21 bytes, which exceeds the limit of 20"),
            (
                &["e"],
                "contains one of authz.lua, volume.lua, network.lua, ipam.lua, log.lua, metrics.lua, secret.lua",
            ),
            (&["f"], "is a file: pass the directory that contains it"),
            (&["none"], "cannot read"),
        ] {
            let error = names(dir.path(), paths).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_socket_path_must_fit_the_kernel() {
        let dir = tree(&["a/authz.lua"]);
        let at = |len: usize| {
            let sockets = PathBuf::from(format!(
                "/{}",
                "d".repeat(len - "/".len() - "/a.sock".len())
            ));
            let places = Places {
                sockets,
                specs: "/e".into(),
                state: "/s".into(),
            };
            Config::new(&[dir.path().join("a")], &places, &[]).map(|c| c.socket("a"))
        };
        assert_eq!(at(107).unwrap().as_os_str().len(), 107);
        assert!(at(108).unwrap_err().to_string().contains("has 108 bytes"));
    }
}
