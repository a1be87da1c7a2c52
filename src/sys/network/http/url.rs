//! URLs of requests, parsed once: the host that is checked is the host that is connected to.

use super::{HttpError, PathAndQuery, without_query};
use std::fmt::{self, Display};
use std::net::Ipv6Addr;

/// A URL of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// The host's name in lower case, or its address; IPv6 in brackets.
    pub host: String,
    /// The port, by default the scheme's own.
    pub port: u16,
    /// The path and the query, as the server gets them.
    pub target: PathAndQuery,
}

impl Url {
    /// Parses an absolute URL.
    ///
    /// # Errors
    /// Fails for another scheme, for a user before the host, and for text that other parsers read
    /// differently.
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        Self::parse_strictly(text).map_err(|reason| HttpError::Url(redacted(text), reason))
    }

    fn parse_strictly(text: &str) -> Result<Self, &'static str> {
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err("spaces, `\\` and characters beyond ASCII must be encoded with `%`");
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("it must begin with `https://`")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("its scheme must be `http` or `https`"),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let target = format!("/{}", target.strip_prefix('/').unwrap_or(target));
        if authority.contains('@') {
            return Err("it must not contain a user; send an `Authorization` header");
        }
        let (host, port) = split_port(authority).ok_or("its port is not valid")?;
        if !is_host(host) {
            return Err("its host is not valid");
        }
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            target: target.parse().map_err(|_| "its path is not valid")?,
        })
    }

    /// Resolves the `Location` of a redirect against this URL.
    ///
    /// # Errors
    /// Fails as [`Url::parse`] does.
    pub fn join(&self, location: &str) -> Result<Self, HttpError> {
        let path = self.target.path();
        let directory = &path[..=path.rfind('/').unwrap_or(0)];
        let text = match location {
            absolute if is_absolute(absolute) => absolute.to_owned(),
            host if host.starts_with("//") => format!("{}:{host}", self.scheme()),
            path if path.starts_with('/') => format!("{}{path}", self.origin()),
            query if query.starts_with('?') => format!("{}{path}{query}", self.origin()),
            relative => format!("{}{directory}{relative}", self.origin()),
        };
        Self::parse(&text)
    }

    /// Returns whether both name the same server.
    pub fn is_same_server(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// Returns `HOST:PORT`, without the scheme's own port.
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// Returns the host as resolvers and certificates know it, without brackets.
    pub fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }
}

/// Leaves out the query, which may contain secrets.
impl Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.target.path())
    }
}

/// Returns a URL for an error, without user and query.
fn redacted(text: &str) -> String {
    let text = without_query(text);
    let text = match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text.to_owned(),
    };
    text.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

fn is_absolute(location: &str) -> bool {
    let scheme = location.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end_of_host = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[end_of_host..].split_once(':') {
        None => Some((authority, None)),
        Some((_, port)) => {
            let host = &authority[..authority.len() - port.len() - 1];
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port != 0)?;
            Some((host, Some(port)))
        }
    }
}

fn is_host(host: &str) -> bool {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !host.is_empty() && host.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_urls_are_refused() {
        for (text, host, port, target) in [
            ("https://Api.Example.com", "api.example.com", 443, "/"),
            ("HTTP://127.0.0.1:8080/a?b=c#d", "127.0.0.1", 8080, "/a?b=c"),
            ("http://[::1]:81?x", "[::1]", 81, "/?x"),
            ("http://a/?u=https://b@c", "a", 80, "/?u=https://b@c"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.host.as_str(), url.port, url.target.as_str()),
                (host, port, target),
                "{text}"
            );
        }
        for (text, reason) in [
            ("api.example.com", "must begin with `https://`"),
            ("ftp://a", "must be `http` or `https`"),
            ("https://", "its host is not valid"),
            ("https://granted.com@evil.com/", "must not contain a user"),
            ("https://granted.com:x@evil.com/", "must not contain a user"),
            ("https://granted.com\\@evil.com/", "spaces, `\\` and"),
            ("https://granted.com\n.evil.com/", "spaces, "),
            ("https://granted.com%2eevil.com/", "its host is not valid"),
            ("https://éxample.com/", "beyond ASCII"),
            ("https://a:0/", "its port is not valid"),
            ("https://a:/", "its port is not valid"),
            ("https://a:+80/", "its port is not valid"),
            ("https://[::1", "its port is not valid"),
            ("https://[::1]x:80/", "its host is not valid"),
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn an_error_shows_no_secrets() {
        let error = Url::parse("https://user:secret@host/?token=secret")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(
            Url::parse("http://a:81/b?token=secret")
                .unwrap()
                .to_string(),
            "http://a:81/b"
        );
    }

    #[test]
    fn redirects_are_resolved_against_the_url() {
        let from = Url::parse("http://a:81/b/c?d").unwrap();
        for (location, to) in [
            ("https://x/y", "https://x/y"),
            ("//x/y", "http://x/y"),
            ("/y", "http://a:81/y"),
            ("y", "http://a:81/b/y"),
        ] {
            assert_eq!(from.join(location).unwrap().to_string(), to);
        }
        assert_eq!(from.join("?e").unwrap().target, "/b/c?e");
        assert!(from.join("file:/etc/passwd").is_err() && from.join("gopher://x").is_err());
    }
}
