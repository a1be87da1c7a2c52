//! Grants: the resources that `plugin.toml` lets the scripts of a plugin use.
//!
//! [`Grant`] says what a grant covers, by text alone. [`territory`] resolves paths and checks them
//! against the granted ones.

mod granted;
pub mod mount_rules;
pub mod territory;
mod words;

pub use granted::{Granted, Origin, Refused, Wanted};
pub use words::FORMS;

use std::fmt::{self, Display};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// A resource that scripts may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// `fs.read:PATH`: reading PATH and everything below it.
    FsRead(PathBuf),
    /// `fs.write:PATH`: reading and changing PATH and everything below it.
    FsWrite(PathBuf),
    /// `exec:NAME`: running a program, by its name or its absolute path.
    Exec(String),
    /// `http:HOST[:PORT]`: HTTP and HTTPS requests to a host.
    Http(HttpHost),
    /// `net`: links, addresses, routes, firewall rules.
    Net,
    /// `mount`: mounting and unmounting, on paths that `fs.write` covers.
    Mount,
    /// `docker`: the engine's own API.
    Docker,
    /// `env:NAME`: reading a variable of the process's environment.
    Env(String),
}

/// The host of an `http` grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHost {
    /// A name in lower case, an address (IPv6 in brackets), or `*.` and a name for all names below
    /// it.
    pub host: String,
    /// The only port; without it, 80 and 443.
    pub port: Option<u16>,
}

/// An error of a grant's text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum GrantError {
    #[error("unknown grant `{0}`: {1}")]
    Unknown(String, String),
    #[error("`{0}` has a wildcard, which no grant has: {1}")]
    Wildcard(String, &'static str),
    #[error("`{0}` needs an absolute path without `.` and `..`")]
    Path(String),
    #[error("`{0}` needs the name of a program, such as `exec:mkfs.ext4`, or its absolute path")]
    Program(String),
    #[error("`{0}` needs a host, such as `http:api.example.com` or `http:127.0.0.1:8080`")]
    Host(String),
    #[error("`{0}` needs the name of a variable, such as `env:TOKEN`")]
    Variable(String),
    #[error("`{0}` contains an invisible character")]
    Invisible(String),
    #[error("`{0}` takes no value: write `{1}`")]
    Valueless(String, &'static str),
}

const BELOW: &str = "a grant of a directory covers everything below it";
const EACH: &str = "write a grant for each name";

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (kind, value) = match text.split_once(':') {
            Some((kind, value)) => (kind, Some(value)),
            None => (text, None),
        };
        if text.contains(is_invisible) {
            return Err(GrantError::Invisible(text.escape_debug().to_string()));
        }
        let own = || text.to_owned();
        let valueless = |grant, word| {
            if value.is_none() {
                Ok(grant)
            } else {
                Err(GrantError::Valueless(own(), word))
            }
        };
        let is_wild = value.is_some_and(|value| value.contains('*'));
        match kind {
            "fs.read" | "fs.write" if is_wild => Err(GrantError::Wildcard(own(), BELOW)),
            "exec" | "env" if is_wild => Err(GrantError::Wildcard(own(), EACH)),
            "fs.read" => path(value)
                .map(Self::FsRead)
                .ok_or_else(|| GrantError::Path(own())),
            "fs.write" => path(value)
                .map(Self::FsWrite)
                .ok_or_else(|| GrantError::Path(own())),
            "exec" => program(value)
                .map(Self::Exec)
                .ok_or_else(|| GrantError::Program(own())),
            "http" => value
                .and_then(host)
                .map(Self::Http)
                .ok_or_else(|| GrantError::Host(own())),
            "env" => variable(value)
                .map(Self::Env)
                .ok_or_else(|| GrantError::Variable(own())),
            "net" => valueless(Self::Net, "net"),
            "mount" => valueless(Self::Mount, "mount"),
            "docker" => valueless(Self::Docker, "docker"),
            _ => Err(GrantError::Unknown(own(), words::expected(text))),
        }
    }
}

impl Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::FsRead(path) | Self::FsWrite(path) => write!(f, ":{}", path.display()),
            Self::Exec(name) | Self::Env(name) => write!(f, ":{name}"),
            Self::Http(HttpHost { host, port }) => {
                write!(f, ":{host}")?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Net | Self::Mount | Self::Docker => Ok(()),
        }
    }
}

impl Grant {
    /// Whether it has a form such as `fs.read:PATH`, or allows more.
    pub fn is_a(&self, form: &str) -> bool {
        let kind = form.split(':').next().unwrap_or_default();
        self.kind() == kind || (self.kind() == "fs.write" && kind == "fs.read")
    }

    /// Returns the word that its text begins with.
    fn kind(&self) -> &'static str {
        match self {
            Self::FsRead(_) => "fs.read",
            Self::FsWrite(_) => "fs.write",
            Self::Exec(_) => "exec",
            Self::Http(_) => "http",
            Self::Net => "net",
            Self::Mount => "mount",
            Self::Docker => "docker",
            Self::Env(_) => "env",
        }
    }

    /// Returns whether this grant allows everything that `other` allows.
    pub fn covers(&self, other: &Grant) -> bool {
        match (self, other) {
            (Self::FsRead(own), Self::FsRead(path))
            | (Self::FsWrite(own), Self::FsWrite(path) | Self::FsRead(path)) => {
                path.starts_with(own)
            }
            (Self::Http(own), Self::Http(other)) => own.covers(other),
            (own, other) => own == other,
        }
    }
}

impl HttpHost {
    fn covers(&self, other: &HttpHost) -> bool {
        let host = match self.host.strip_prefix('*') {
            Some(domain) => other.host.ends_with(domain) && !other.host.starts_with('.'),
            None => self.host == other.host,
        };
        host && (self.port == other.port
            || (self.port.is_none() && matches!(other.port, Some(80 | 443))))
    }
}

/// Returns whether a character is invisible, or changes how others look: line ends, escapes, marks
/// of direction.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn path(value: Option<&str>) -> Option<PathBuf> {
    let path = Path::new(value?);
    let plain = |part: Component| matches!(part, Component::RootDir | Component::Normal(_));
    let exact = path.components().collect::<PathBuf>();
    (path.is_absolute() && path.components().all(plain) && !value?.contains("/./")).then_some(exact)
}

fn program(value: Option<&str>) -> Option<String> {
    let name = value?;
    let is_name = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    (is_name || path(value).is_some_and(|path| path.file_name().is_some())).then(|| name.to_owned())
}

fn variable(value: Option<&str>) -> Option<String> {
    let name = value?;
    (!name.is_empty() && !name.contains(['=', '\0'])).then(|| name.to_owned())
}

fn host(value: &str) -> Option<HttpHost> {
    let (host, port) = split_port(value)?;
    let name = host.strip_prefix("*.").unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_name = !name.is_empty() && name.chars().all(plain);
    let is_address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_address =
        is_address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    (is_name || is_address).then(|| HttpHost {
        host: host.to_ascii_lowercase(),
        port,
    })
}

fn split_port(value: &str) -> Option<(&str, Option<u16>)> {
    let end_of_host = value.rfind(']').map_or(0, |at| at + 1);
    match value[end_of_host..].rfind(':') {
        None => Some((value, None)),
        Some(at) => {
            let port = value[end_of_host + at + 1..]
                .parse()
                .ok()
                .filter(|port| *port != 0)?;
            Some((&value[..end_of_host + at], Some(port)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Grant {
        text.parse().unwrap()
    }

    #[test]
    fn grants_round_trip_through_text() {
        for text in [
            "fs.read:/etc/acme",
            "fs.write:/",
            "exec:mkfs.ext4",
            "exec:/usr/bin/sshfs",
            "http:api.example.com",
            "http:*.example.com",
            "http:127.0.0.1:8080",
            "http:my_service:8080",
            "http:[::1]:8080",
            "net",
            "mount",
            "docker",
            "env:TOKEN",
        ] {
            assert_eq!(grant(text).to_string(), text);
        }
        assert_eq!(grant("fs.read:/etc/").to_string(), "fs.read:/etc");
    }

    #[test]
    fn invalid_grants_are_refused_with_the_expected_form() {
        for (text, part) in [
            (
                "exce:id",
                "unknown grant `exce:id`: did you mean `exec:NAME`?",
            ),
            ("", "unknown grant ``: write one of `fs.read:PATH`"),
            (
                "fs.wirte:/srv",
                "unknown grant `fs.wirte:/srv`: did you mean `fs.write:PATH`?",
            ),
            ("fs.write /srv", "did you mean `fs.write:PATH`?"),
            (
                "fs.write:/srv/*",
                "has a wildcard, which no grant has: a grant of a directory covers",
            ),
            (
                "exec:mkfs.*",
                "has a wildcard, which no grant has: write a grant for each name",
            ),
            ("net:eth0", "write `net`"),
            ("fs.read", "needs an absolute path"),
            ("fs.read:etc", "needs an absolute path"),
            ("fs.write:/srv/../etc", "needs an absolute path"),
            ("exec:", "needs the name of a program"),
            ("exec:bin/id", "needs the name of a program"),
            ("exec:/", "needs the name of a program"),
            ("http:", "needs a host"),
            ("http:https://x", "needs a host"),
            ("http:user@host", "needs a host"),
            ("http:host:0", "needs a host"),
            ("http:[::x]", "needs a host"),
            (
                "exec:id\nnet",
                "`exec:id\\nnet` contains an invisible character",
            ),
            ("fs.write:/srv/\u{1b}[2K", "contains an invisible character"),
            ("env:", "needs the name of a variable"),
        ] {
            let error = text.parse::<Grant>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn grants_cover_paths_and_hosts_below_them() {
        for (own, other, covers) in [
            ("fs.read:/srv", "fs.read:/srv/a", true),
            ("fs.read:/srv", "fs.read:/srvx", false),
            ("fs.read:/srv", "fs.write:/srv", false),
            ("fs.write:/srv", "fs.read:/srv/a", true),
            ("fs.write:/", "fs.write:/etc", true),
            ("exec:id", "exec:id", true),
            ("exec:id", "exec:/usr/bin/id", false),
            ("http:a.b", "http:a.b:443", true),
            ("http:a.b", "http:a.b:8080", false),
            ("http:a.b:8080", "http:a.b:8080", true),
            ("http:*.b", "http:a.b:80", true),
            ("http:*.b", "http:b:80", false),
            ("http:*.b", "http:xb:80", false),
            ("net", "mount", false),
        ] {
            assert_eq!(grant(own).covers(&grant(other)), covers, "{own} {other}");
        }
    }
}
