//! Transports of plugins: `--listen` as a [`Transport`] for each plugin.

use super::PluginDir;
use std::net::SocketAddr;
use std::path::{Path, PathBuf, absolute};
use thiserror::Error;

/// The mode of a socket for its owner.
const PRIVATE: u32 = 0o600;

/// The mode of a socket for its owner and its group.
const GROUP_MODE: u32 = 0o660;

/// The transport by which the engine reaches a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A Unix socket, which the engine finds by its name (protocol 1.1).
    Unix(Access),
    /// TCP without encryption on a loopback address, with a `.spec` file (protocol 1.2).
    Tcp(SocketAddr),
    /// TLS with certificates on both sides, with a `.json` file (protocol 1.2).
    Tls(Tls),
}

/// The mode and the group of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The mode of the socket's file, 0600 or 0660.
    pub mode: u32,
    /// The group of the socket's file: a name, or a number.
    pub group: Option<String>,
}

/// The address and the certificates of a TLS endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The address, which the server's certificate must name.
    pub address: SocketAddr,
    /// The directory of certificates and keys, absolute. Without it, Moondock generates them.
    pub certificates: Option<PathBuf>,
}

/// An error of a `--listen`.
#[derive(Debug, Clone, Error)]
#[error("`--listen {listen}`: {reason}")]
pub struct ListenError {
    listen: String,
    reason: String,
}

/// All `--listen` of the command line.
#[derive(Debug, Clone, Default)]
pub struct Listens(Vec<Listen>);

/// A `--listen`, for one plugin or for all plugins without their own.
#[derive(Debug, Clone)]
struct Listen {
    text: String,
    plugin: Option<String>,
    transport: Transport,
}

impl Default for Access {
    /// For the owner alone.
    fn default() -> Self {
        Access {
            mode: PRIVATE,
            group: None,
        }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Transport::Unix(Access::default())
    }
}

impl Transport {
    /// Returns the address of a TCP or TLS transport.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Transport::Unix(_) => None,
            Transport::Tcp(address) | Transport::Tls(Tls { address, .. }) => Some(*address),
        }
    }
}

impl Listens {
    /// Parses the values, of which no two are for the same plugins.
    pub fn parse(texts: &[String]) -> Result<Listens, ListenError> {
        let mut listens = Listens::default();
        for text in texts {
            let listen = Listen::parse(text)?;
            listens.refuse_second(&listen)?;
            listens.0.push(listen);
        }
        Ok(listens)
    }

    /// Returns an error for the first one whose plugin is not among `plugins`.
    pub fn unknown(&self, plugins: &[PluginDir]) -> Option<ListenError> {
        let is_known = |name: &str| plugins.iter().any(|plugin| plugin.name == name);
        let mut named = self
            .0
            .iter()
            .filter_map(|listen| Some((listen, listen.plugin.as_deref()?)));
        let (listen, name) = named.find(|(_, name)| !is_known(name))?;
        let names: Vec<_> = plugins
            .iter()
            .map(|plugin| format!("`{}`", plugin.name))
            .collect();
        Some(listen.error(format!(
            "unknown plugin `{name}`: use one of {}",
            names.join(", ")
        )))
    }

    /// Returns the transport of a plugin.
    pub fn of(&self, plugin: &str) -> Transport {
        let listen = self.choose(plugin);
        listen
            .map(|listen| listen.transport.clone())
            .unwrap_or_default()
    }

    /// Returns the transport of a plugin that is served beside `others`. Port 0 is a different port
    /// for each plugin.
    ///
    /// # Errors
    /// Fails if one of the others has the same address.
    pub fn beside<'a>(
        &self,
        plugin: &str,
        mut others: impl Iterator<Item = &'a str>,
    ) -> Result<Transport, ListenError> {
        let address = |l: &Listen| l.transport.address().filter(|address| address.port() != 0);
        if let Some(listen) = self.choose(plugin)
            && let Some(mine) = address(listen)
            && others.any(|other| self.choose(other).and_then(address) == Some(mine))
        {
            return Err(listen.error(format!(
                "two plugins would listen on `{mine}`: give each its own port"
            )));
        }
        Ok(self.of(plugin))
    }

    fn choose(&self, plugin: &str) -> Option<&Listen> {
        let own = |listen: &&Listen| listen.plugin.as_deref() == Some(plugin);
        let common = |listen: &&Listen| listen.plugin.is_none();
        self.0
            .iter()
            .find(own)
            .or_else(|| self.0.iter().find(common))
    }

    fn refuse_second(&self, listen: &Listen) -> Result<(), ListenError> {
        if !self.0.iter().any(|other| other.plugin == listen.plugin) {
            return Ok(());
        }
        let target = listen.plugin.as_ref();
        let target = target.map_or("all plugins".into(), |name| format!("`{name}`"));
        Err(listen.error(format!("this is the second one for {target}: remove one")))
    }
}

impl Listen {
    fn parse(text: &str) -> Result<Listen, ListenError> {
        let (plugin, place) = match text.split_once('=') {
            Some((name, place)) if !name.contains([',', ':', '/']) => (Some(name), place),
            _ => (None, text),
        };
        match parse_transport(place) {
            Ok(transport) => Ok(Listen {
                text: text.into(),
                plugin: plugin.map(str::to_owned),
                transport,
            }),
            Err(reason) => Err(ListenError {
                listen: text.into(),
                reason,
            }),
        }
    }

    fn error(&self, reason: String) -> ListenError {
        ListenError {
            listen: self.text.clone(),
            reason,
        }
    }
}

fn parse_transport(text: &str) -> Result<Transport, String> {
    let (place, options) = text.split_once(',').unwrap_or((text, ""));
    let options = Options::parse(options)?;
    match place.split_once("://") {
        None if place == "unix" => options.unix(),
        Some(("tcp", address)) => options.tcp(parse_address(address)?),
        Some(("tls", address)) => options.tls(parse_address(address)?),
        _ => Err(format!(
            "unknown transport `{place}`: use `unix`, `tcp://127.0.0.1:9000` or `tls://127.0.0.1:9000`"
        )),
    }
}

/// The options after a transport, as `,key=value`.
struct Options<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Options<'a> {
    fn parse(text: &'a str) -> Result<Options<'a>, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let parts = parts
            .map(|part| part.split_once('=').ok_or(part))
            .collect::<Result<_, _>>();
        parts
            .map(Options)
            .map_err(|part| format!("`{part}` has no value: write `{part}=…`"))
    }

    fn unix(mut self) -> Result<Transport, String> {
        let group = self.take("group").map(str::to_owned);
        let mode = match self.take("mode") {
            Some(mode) => parse_mode(mode)?,
            None if group.is_some() => GROUP_MODE,
            None => PRIVATE,
        };
        self.finish("unix", "`mode` and `group`")?;
        Ok(Transport::Unix(Access { mode, group }))
    }

    fn tcp(self, address: SocketAddr) -> Result<Transport, String> {
        self.finish("tcp", "none")?;
        if address.ip().is_loopback() {
            return Ok(Transport::Tcp(address));
        }
        Err(format!(
            "`{address}` is reachable from other hosts, and a client of a plugin may become root: \
             use `tls://{address}`, or a loopback address such as `127.0.0.1`"
        ))
    }

    fn tls(mut self, address: SocketAddr) -> Result<Transport, String> {
        let certificates = self.take("certs").map(|dir| absolute(Path::new(dir)));
        let certificates = certificates
            .transpose()
            .map_err(|error| format!("`certs`: {error}"))?;
        self.finish("tls", "`certs`")?;
        Ok(Transport::Tls(Tls {
            address,
            certificates,
        }))
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(found, _)| *found == key)?;
        Some(self.0.remove(at).1)
    }

    fn finish(&self, transport: &str, known: &str) -> Result<(), String> {
        match self.0.first() {
            Some((key, _)) => Err(format!(
                "unknown or repeated option `{key}` of `{transport}`, whose options are {known}"
            )),
            None => Ok(()),
        }
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| {
        format!(
            "`{text}` is not an IP address with a port, such as `127.0.0.1:9000` or `[::1]:9000`"
        )
    })?;
    if address.ip().is_unspecified() {
        return Err(format!(
            "the engine cannot connect to `{}`: use one of this host's addresses",
            address.ip()
        ));
    }
    Ok(address)
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8)
        .map_err(|_| format!("`{text}` is not a mode: use `0600` or `0660`"))?;
    if mode & 0o007 != 0 {
        return Err(format!(
            "mode `{text}` lets every user connect, and a client of a plugin may become root: \
             use `mode=0660,group=…`"
        ));
    }
    if mode != PRIVATE && mode != GROUP_MODE {
        return Err(format!(
            "mode `{text}` does not suit a socket: use `0600` or `0660`"
        ));
    }
    Ok(mode)
}

#[cfg(test)]
mod tests;
