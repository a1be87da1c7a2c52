//! Socket activation and notifications of systemd. Without systemd, neither does anything.

use super::socket::listens;
use crate::config::{Config, PluginDir, Transport};
use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use thiserror::Error;
use tracing::warn;

/// The sockets that systemd passes to this process (`LISTEN_FDS`), by plugin.
#[derive(Debug, Default)]
pub struct Activation(Vec<(String, UnixListener)>);

/// An error of a socket that systemd passes.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ActivationError {
    #[error(
        "systemd passes a socket named `{name}`, and no plugin has that name: \
         set `FileDescriptorName=` in its unit to one of {plugins}"
    )]
    UnknownName { name: String, plugins: String },
    #[error("systemd passes two sockets for the plugin `{0}`: stop one of their units")]
    Twice(String),
    #[error("systemd passes a socket for the plugin `{plugin}` that is not a Unix stream socket")]
    NotUnix { plugin: String, source: io::Error },
    #[error(
        "systemd passes a socket for the plugin `{0}` that does not listen: remove `Accept=yes` from its unit"
    )]
    NotListening(String),
    #[error(
        "systemd passes a socket for the plugin `{0}`, which contradicts its `--listen`: remove `--listen` \
         (set mode and group in the socket's unit, by `SocketMode=` and `SocketGroup=`)"
    )]
    Contradiction(String),
}

/// Notifies systemd of the state of the service, if `NOTIFY_SOCKET` is set.
#[derive(Debug)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
}

impl Activation {
    /// Takes the sockets that were passed to this process.
    pub fn take(config: &Config) -> Result<Activation, ActivationError> {
        let mut handed = ListenFd::from_env();
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets: Vec<(String, UnixListener)> = Vec::new();
        for index in 0..handed.len() {
            let name = names.next().unwrap_or_default();
            let plugin = owner(name, handed.len(), config)?;
            if config.listens.of(&plugin) != Transport::default() {
                return Err(ActivationError::Contradiction(plugin));
            }
            if sockets.iter().any(|(other, _)| *other == plugin) {
                return Err(ActivationError::Twice(plugin));
            }
            sockets.push((plugin.clone(), listener(&mut handed, index, plugin)?));
        }
        Ok(Activation(sockets))
    }

    /// Returns the plugins whose sockets were passed.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the plugin's socket, if it was passed. It stays bound when the plugin goes.
    pub fn socket(&self, plugin: &str) -> Option<io::Result<UnixListener>> {
        let (_, socket) = self.0.iter().find(|(name, _)| name == plugin)?;
        Some(socket.try_clone())
    }
}

/// Finds the plugin of a socket. A single socket of a single plugin needs no name. The directory of
/// a plugin may come later.
fn owner(name: &str, sockets: usize, config: &Config) -> Result<String, ActivationError> {
    let plugins = &config.found.plugins;
    let unit = name.strip_suffix(".socket").unwrap_or(name);
    let wanted = unit.rsplit('@').next().unwrap_or(unit);
    match plugins.as_slice() {
        _ if plugins.iter().any(|plugin| plugin.name == wanted) => Ok(wanted.to_owned()),
        [only] if sockets == 1 => Ok(only.name.clone()),
        _ if !config.strict && config.roster.place_of(wanted).is_some() => Ok(wanted.to_owned()),
        _ => Err(ActivationError::UnknownName {
            name: name.to_owned(),
            plugins: names_of(plugins),
        }),
    }
}

fn names_of(plugins: &[PluginDir]) -> String {
    let names = plugins.iter().map(|plugin| format!("`{}`", plugin.name));
    names.collect::<Vec<_>>().join(", ")
}

fn listener(
    handed: &mut ListenFd,
    index: usize,
    plugin: String,
) -> Result<UnixListener, ActivationError> {
    let taken = handed.take_unix_listener(index).and_then(|listener| {
        let listener = listener.ok_or(io::ErrorKind::NotFound)?;
        listener.set_nonblocking(true)?;
        Ok((listens(&listener)?, listener))
    });
    match taken {
        Ok((true, listener)) => Ok(listener),
        Ok((false, _)) => Err(ActivationError::NotListening(plugin)),
        Err(source) => Err(ActivationError::NotUnix { plugin, source }),
    }
}

impl Notifier {
    /// Connects to the service manager, if there is one.
    pub fn from_env() -> Notifier {
        let address = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let manager = address.and_then(|address| match connect(&address) {
            Ok(manager) => Some(manager),
            Err(error) => {
                warn!("cannot connect to `NOTIFY_SOCKET`: {error}");
                None
            }
        });
        Notifier { manager }
    }

    /// Reports that `plugins` can be called.
    pub fn ready<'a>(&self, plugins: impl Iterator<Item = &'a str>) {
        let plugins: Vec<_> = plugins.collect();
        let plugins = if plugins.is_empty() {
            "no plugin".to_owned()
        } else {
            plugins.join(", ")
        };
        self.notify(&format!("READY=1\nSTATUS=Serving {plugins}"));
    }

    /// Reports that scripts are being reloaded, until [`Notifier::ready`].
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.notify(&format!(
            "RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=Loading scripts"
        ));
    }

    /// Reports that the process is shutting down.
    pub fn stopping(&self) {
        self.notify("STOPPING=1\nSTATUS=Finishing calls in flight");
    }

    fn notify(&self, state: &str) {
        if let Some((socket, manager)) = &self.manager
            && let Err(error) = socket.send_to_addr(state.as_bytes(), manager)
        {
            warn!("cannot notify systemd: {error}");
        }
    }
}

fn connect(address: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, manager))
}
