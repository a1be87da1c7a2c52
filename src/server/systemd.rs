//! What systemd hands over, and what it wants to be told; nothing of it without systemd.

use super::socket::listens;
use crate::config::{PluginDir, Transport};
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

/// Sockets that listened before this process began (`LISTEN_FDS`), each of a plugin.
#[derive(Debug, Default)]
pub struct Activation(Vec<(String, UnixListener)>);

/// Why sockets that systemd hands over cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ActivationError {
    #[error(
        "systemd hands over a socket named `{name}`, and no plugin has that name: \
         set `FileDescriptorName=` in its unit to one of {plugins}"
    )]
    Nameless { name: String, plugins: String },
    #[error("systemd hands over two sockets for the plugin `{0}`: stop one of their units")]
    Twice(String),
    #[error("systemd hands over a socket for the plugin `{plugin}` that is no Unix stream socket")]
    NotUnix { plugin: String, source: io::Error },
    #[error(
        "systemd hands over a socket for the plugin `{0}` that does not listen: leave `Accept=yes` out of its unit"
    )]
    NotListening(String),
    #[error(
        "systemd hands over a socket for the plugin `{0}`, and its `--listen` says something else: leave that out \
         (mode and group belong into the socket's unit, as `SocketMode=` and `SocketGroup=`)"
    )]
    Contradiction(String),
}

/// Where systemd wants to be told how things go (`NOTIFY_SOCKET`), if it does.
#[derive(Debug)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// What is served, in words.
    serving: String,
}

impl Activation {
    /// Takes what was handed over to this process and no other.
    pub fn take(
        plugins: &[PluginDir],
        transports: &[Transport],
    ) -> Result<Activation, ActivationError> {
        let mut handed = ListenFd::from_env();
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets: Vec<(String, UnixListener)> = Vec::new();
        for index in 0..handed.len() {
            let name = names.next().unwrap_or_default();
            let at = owner(name, handed.len(), plugins)?;
            let plugin = plugins[at].name.clone();
            if transports[at] != Transport::default() {
                return Err(ActivationError::Contradiction(plugin));
            }
            if sockets.iter().any(|(other, _)| *other == plugin) {
                return Err(ActivationError::Twice(plugin));
            }
            sockets.push((plugin.clone(), listener(&mut handed, index, plugin)?));
        }
        Ok(Activation(sockets))
    }

    /// Whether the plugin's socket was handed over.
    pub fn has(&self, plugin: &str) -> bool {
        self.0.iter().any(|(name, _)| name == plugin)
    }

    /// The plugin's socket, if it was handed over.
    pub fn socket(&mut self, plugin: &str) -> Option<UnixListener> {
        let at = self.0.iter().position(|(name, _)| name == plugin)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// The plugin that a socket is for; the only socket of the only plugin needs no name.
fn owner(name: &str, sockets: usize, plugins: &[PluginDir]) -> Result<usize, ActivationError> {
    let unit = name.strip_suffix(".socket").unwrap_or(name);
    let wanted = unit.rsplit('@').next().unwrap_or(unit);
    match plugins.iter().position(|plugin| plugin.name == wanted) {
        Some(at) => Ok(at),
        None if sockets == 1 && plugins.len() == 1 => Ok(0),
        None => {
            let plugins: Vec<_> = plugins
                .iter()
                .map(|plugin| format!("`{}`", plugin.name))
                .collect();
            Err(ActivationError::Nameless {
                name: name.to_owned(),
                plugins: plugins.join(", "),
            })
        }
    }
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
    /// To whoever started this process as a service that tells, if anybody did.
    pub fn from_env(plugins: &[PluginDir]) -> Notifier {
        let address = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let manager = address.and_then(|address| match connect(&address) {
            Ok(manager) => Some(manager),
            Err(error) => {
                warn!("cannot tell systemd how things go (`NOTIFY_SOCKET`): {error}");
                None
            }
        });
        let names: Vec<_> = plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        Notifier {
            manager,
            serving: format!("Serving {}", names.join(", ")),
        }
    }

    /// All plugins can be called.
    pub fn ready(&self) {
        self.tell(&format!("READY=1\nSTATUS={}", self.serving));
    }

    /// Scripts are being loaded again; [`Notifier::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!(
            "RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=Loading scripts"
        ));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=Finishing calls in flight");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, manager)) = &self.manager
            && let Err(error) = socket.send_to_addr(state.as_bytes(), manager)
        {
            warn!("cannot tell systemd how things go: {error}");
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
