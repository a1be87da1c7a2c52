//! The configuration of the process: flags and environment as one validated [`Config`].

mod listen;
mod local;
mod misnamed;
mod roster;

pub use self::listen::{Access, ListenError, Listens, Tls, Transport};
pub use self::local::{LocalAddress, LocalAddressError};
pub use self::roster::{Found, PluginDir, Roster, name_problem};

use crate::protocol::Interface;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// The limit on a plugin's name, in bytes.
pub const NAME_MAX: usize = 20;

/// The limit on a Unix socket's path, in bytes: `sun_path` has 108, and the last one is NUL.
pub const SOCKET_PATH_MAX: usize = 107;

/// The configuration of `moondock serve`.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of `serve`")]
pub struct Config {
    /// The directories of plugins.
    pub roster: Roster,
    /// What was found in them at the start; strictly, at least one plugin.
    pub found: Found,
    /// The transports of the plugins.
    pub listens: Listens,
    /// Whether everything must be right before anything is served.
    pub strict: bool,
    /// Whether a saved version must pass the tests of its plugin.
    pub test_on_reload: bool,
    /// The directories, absolute.
    pub places: Places,
    /// The timeout for calls in flight at shutdown.
    pub drain: Duration,
    /// The address of Moondock's own metrics, if they are served.
    pub metrics: Option<LocalAddress>,
    /// The control socket, if it is not in the state directory.
    pub control: Option<PathBuf>,
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

/// The control socket in the state directory. No plugin can have this name.
pub const STATE_CONTROL: &str = "control.sock";

/// The default timeout for calls in flight at shutdown.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Returns a path that was found, in which line ends are escaped.
fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().escape_debug().to_string()
}

/// An error of a configuration.
#[derive(Debug, Clone, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ConfigError {
    #[error("cannot read `{}`", shown(path))]
    Read {
        path: PathBuf,
        source: Arc<io::Error>,
    },
    #[error(
        "there is no directory `{}`: name the directory of a plugin, or of several; each contains one of {}; \
         make one with `moondock new NAME INTERFACE`",
        .0.display(),
        interface_files()
    )]
    Missing(PathBuf),
    #[error("`{}` is a file: pass the directory that contains it", .0.display())]
    File(PathBuf),
    #[error(
        "no plugin in `{}`: neither it nor a directory in it contains one of {}{}",
        .0.display(),
        interface_files(),
        misnamed::near_script(.0)
    )]
    NoPlugin(PathBuf),
    #[error(
        "`{}` cannot be the name of a plugin (`{}`): {reason}",
        shown(name),
        shown(dir)
    )]
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
    #[error("`{}` is not a regular file, so its directory is not served", shown(.0))]
    Irregular(PathBuf),
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
    /// Finds the plugins in `paths`, which are served by the transports in `listens`.
    ///
    /// # Errors
    /// Fails if something that the command line names is wrong, or, strictly, if there is no plugin.
    pub fn new(
        paths: &[PathBuf],
        places: &Places,
        listens: &[String],
        strict: bool,
    ) -> Result<Config, ConfigError> {
        let (roster, found) = if strict {
            let roster = Roster::new(paths)?;
            let found = roster.find_some()?;
            (roster, found)
        } else {
            let roster = Roster::waiting(paths)?;
            let found = roster.find();
            (roster, found)
        };
        let config = Config {
            found,
            listens: Listens::parse(listens)?,
            roster,
            strict,
            test_on_reload: false,
            places: places.absolute()?,
            drain: DRAIN,
            metrics: None,
            control: None,
            managed: false,
            settings_from_env: false,
            host_paths: Vec::new(),
        };
        match config.listens.unknown(&config.found.plugins) {
            Some(error) if !config.roster.may_grow() => Err(error.into()),
            _ => Ok(config),
        }
    }

    /// Returns the path at which the engine looks for a plugin's socket (protocol 1.1).
    ///
    /// # Errors
    /// Fails if the path is too long for a socket.
    pub fn socket(&self, plugin: &str) -> Result<PathBuf, ConfigError> {
        let path = self.places.sockets.join(format!("{plugin}.sock"));
        if path.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(ConfigError::SocketPath(path));
        }
        Ok(path)
    }
}

impl ConfigError {
    /// Returns the name of the directory that it is about, which may be no plugin's name.
    pub fn directory(&self) -> Option<&str> {
        match self {
            Self::Name { name, .. } | Self::Duplicate { name, .. } => Some(name),
            _ => None,
        }
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

fn make_absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    absolute(path).map_err(read_error(path))
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> ConfigError {
    let path = path.to_owned();
    move |error| match error.kind() {
        ErrorKind::NotFound => ConfigError::Missing(path),
        _ => ConfigError::Read {
            path,
            source: Arc::new(error),
        },
    }
}

fn interface_files() -> String {
    Interface::ALL.map(Interface::file).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_must_fit_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/authz.lua"), "").unwrap();
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
            Config::new(&[dir.path().join("a")], &places, &[], true).and_then(|c| c.socket("a"))
        };
        assert_eq!(at(107).unwrap().as_os_str().len(), 107);
        assert!(at(108).unwrap_err().to_string().contains("has 108 bytes"));
    }
}
