//! Transports of plugins: `--listen` as one [`Transport`] for each plugin.

use super::PluginDir;
use std::net::SocketAddr;
use std::path::{Path, PathBuf, absolute};
use thiserror::Error;

/// The mode of a socket for its owner.
const OWNER_MODE: u32 = 0o600;

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
#[derive(Debug, Error)]
#[error("`--listen {listen}`: {reason}")]
pub struct ListenError {
    listen: String,
    reason: String,
}

/// A `--listen`, for one plugin or for all plugins without their own.
struct Listen<'a> {
    text: &'a str,
    plugin: Option<&'a str>,
    transport: Transport,
}

impl Default for Transport {
    fn default() -> Self {
        Transport::Unix(Access {
            mode: OWNER_MODE,
            group: None,
        })
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

/// Chooses the transport of each plugin, in the order of `plugins`.
pub fn transports(
    plugins: &[PluginDir],
    listens: &[String],
) -> Result<Vec<Transport>, ListenError> {
    let listens = listens
        .iter()
        .map(|text| Listen::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    for (index, listen) in listens.iter().enumerate() {
        listen.fits(plugins, &listens[..index])?;
    }
    let chosen: Vec<_> = plugins
        .iter()
        .map(|plugin| choose(&listens, &plugin.name))
        .collect();
    for (index, listen) in chosen.iter().enumerate() {
        refuse_taken(*listen, &chosen[..index])?;
    }
    Ok(chosen
        .into_iter()
        .map(|l| l.map(|l| l.transport.clone()).unwrap_or_default())
        .collect())
}

fn choose<'a>(listens: &'a [Listen<'a>], plugin: &str) -> Option<&'a Listen<'a>> {
    let own = listens.iter().find(|listen| listen.plugin == Some(plugin));
    own.or_else(|| listens.iter().find(|listen| listen.plugin.is_none()))
}

/// Rejects an address that another plugin has. Port 0 is a different port for each plugin.
fn refuse_taken(listen: Option<&Listen>, before: &[Option<&Listen>]) -> Result<(), ListenError> {
    let address = |l: &Listen| l.transport.address().filter(|address| address.port() != 0);
    let Some((listen, mine)) = listen.and_then(|l| Some((l, address(l)?))) else {
        return Ok(());
    };
    let mut others = before.iter().flatten();
    if others.any(|other| address(other) == Some(mine)) {
        return Err(listen.error(format!(
            "two plugins would listen on `{mine}`: give each its own port"
        )));
    }
    Ok(())
}

impl Listen<'_> {
    fn parse(text: &str) -> Result<Listen<'_>, ListenError> {
        let (plugin, place) = match text.split_once('=') {
            Some((name, place)) if !name.contains([',', ':', '/']) => (Some(name), place),
            _ => (None, text),
        };
        match parse_transport(place) {
            Ok(transport) => Ok(Listen {
                text,
                plugin,
                transport,
            }),
            Err(reason) => Err(ListenError {
                listen: text.into(),
                reason,
            }),
        }
    }

    fn fits(&self, plugins: &[PluginDir], before: &[Listen]) -> Result<(), ListenError> {
        if before.iter().any(|other| other.plugin == self.plugin) {
            let target = self
                .plugin
                .map_or("all plugins".into(), |name| format!("`{name}`"));
            return Err(self.error(format!("this is the second one for {target}: remove one")));
        }
        match self.plugin {
            Some(name) if !plugins.iter().any(|plugin| plugin.name == name) => {
                let names: Vec<_> = plugins
                    .iter()
                    .map(|plugin| format!("`{}`", plugin.name))
                    .collect();
                Err(self.error(format!(
                    "unknown plugin `{name}`: use one of {}",
                    names.join(", ")
                )))
            }
            _ => Ok(()),
        }
    }

    fn error(&self, reason: String) -> ListenError {
        ListenError {
            listen: self.text.into(),
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
            None => OWNER_MODE,
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
    if mode != OWNER_MODE && mode != GROUP_MODE {
        return Err(format!(
            "mode `{text}` does not suit a socket: use `0600` or `0660`"
        ));
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], listens: &[&str]) -> Result<Vec<Transport>, String> {
        let plugin = |name: &&str| PluginDir {
            name: name.to_string(),
            dir: PathBuf::from("/p"),
        };
        let plugins: Vec<_> = names.iter().map(plugin).collect();
        let listens: Vec<_> = listens.iter().map(ToString::to_string).collect();
        transports(&plugins, &listens).map_err(|e| e.to_string())
    }

    fn unix(mode: u32, group: Option<&str>) -> Transport {
        Transport::Unix(Access {
            mode,
            group: group.map(str::to_owned),
        })
    }

    #[test]
    fn a_plugin_has_its_own_transport_or_that_of_all() {
        assert_eq!(
            of(&["a", "b"], &[]).unwrap(),
            [unix(0o600, None), unix(0o600, None)]
        );
        let mixed = of(
            &["a", "b", "c"],
            &[
                "unix,group=docker",
                "b=tcp://[::1]:0",
                "c=tls://10.0.0.1:9,certs=/c",
            ],
        );
        let tls = Tls {
            address: "10.0.0.1:9".parse().unwrap(),
            certificates: Some("/c".into()),
        };
        let expected = [
            unix(0o660, Some("docker")),
            Transport::Tcp("[::1]:0".parse().unwrap()),
            Transport::Tls(tls),
        ];
        assert_eq!(mixed.unwrap(), expected);
        assert_eq!(
            of(&["a"], &["a=unix,mode=0660"]).unwrap(),
            [unix(0o660, None)]
        );
        assert_eq!(of(&["a", "b"], &["tcp://127.0.0.1:0"]).unwrap().len(), 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_flag_and_the_cure() {
        for (listens, part) in [
            (
                &["vol=udp://127.0.0.1:1"][..],
                "`--listen vol=udp://127.0.0.1:1`: unknown transport `udp://127.0.0.1:1`: use `unix`",
            ),
            (&["vol="], "unknown transport ``"),
            (&[""], "unknown transport ``"),
            (
                &["nas=unix"],
                "unknown plugin `nas`: use one of `vol`, `net`",
            ),
            (
                &["vol=unix", "vol=tcp://127.0.0.1:1"],
                "the second one for `vol`",
            ),
            (
                &["unix", "tcp://127.0.0.1:1"],
                "the second one for all plugins",
            ),
            (
                &["tcp://127.0.0.1:1"],
                "two plugins would listen on `127.0.0.1:1`",
            ),
            (&["vol=tcp://10.0.0.1:1"], "use `tls://10.0.0.1:1`"),
            (
                &["vol=tls://0.0.0.0:1"],
                "the engine cannot connect to `0.0.0.0`",
            ),
            (&["vol=tcp://[::]:1"], "the engine cannot connect to `::`"),
            (
                &["vol=tcp://localhost:1"],
                "`localhost:1` is not an IP address with a port",
            ),
            (&["vol=tcp://127.0.0.1"], "such as `127.0.0.1:9000`"),
            (
                &["vol=tcp://127.0.0.1:1,mode=0600"],
                "unknown or repeated option `mode` of `tcp`",
            ),
            (&["vol=tls://127.0.0.1:1,certs"], "`certs` has no value"),
            (&["vol=unix,mode=0666"], "lets every user connect"),
            (&["vol=unix,mode=0400"], "use `0600` or `0660`"),
            (&["vol=unix,mode=rw"], "`rw` is not a mode"),
            (&["vol=unix,mode=0600,mode=0660"], "repeated option"),
            (&["vol=unix,user=x"], "whose options are `mode` and `group`"),
        ] {
            let error = of(&["vol", "net"], listens).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
