//! The address of a request, read strictly: what is checked is what is connected to.

use super::HttpError;
use std::fmt::{self, Display};
use std::net::Ipv6Addr;

/// Where a request goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `https`.
    pub tls: bool,
    /// The host's name in lower case, or its address; IPv6 in brackets.
    pub host: String,
    /// The port, the scheme's own where none is named.
    pub port: u16,
    /// Path and query, as the server gets them.
    pub target: String,
}

impl Url {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// [`HttpError::Url`] for another scheme, a user in front of the host, and what parsers read differently.
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        let wrong = |reason| HttpError::Url(shown(text), reason);
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        {
            return Err(wrong(
                "it may have no spaces, `\\` or characters beyond ASCII: encode them with `%`",
            ));
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("it must begin with `https://`"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("only `http` and `https` are known")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(wrong("it may have no user: send an `Authorization` header"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| wrong("its port is no port"))?;
        if !is_host(host) {
            return Err(wrong("its host is no host"));
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port,
            target: rooted(target),
        })
    }

    /// Where a redirect of this address leads.
    ///
    /// # Errors
    /// What [`Url::parse`] refuses.
    pub fn join(&self, location: &str) -> Result<Self, HttpError> {
        let scheme = if self.tls { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        let directory = &path[..=path.rfind('/').unwrap_or(0)];
        let text = match location {
            absolute if is_absolute(absolute) => absolute.to_owned(),
            host if host.starts_with("//") => format!("{scheme}:{host}"),
            path if path.starts_with('/') => format!("{scheme}://{}{path}", self.authority()),
            query if query.starts_with('?') => {
                format!("{scheme}://{}{path}{query}", self.authority())
            }
            relative => format!("{scheme}://{}{directory}{relative}", self.authority()),
        };
        Self::parse(&text)
    }

    /// Whether both are served by the same server.
    pub fn is_same_server(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// `HOST:PORT`, without the scheme's own port.
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The host as resolvers and certificates know it.
    pub fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// Without the query, which may hold secrets.
impl Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

fn shown(text: &str) -> String {
    let text = text.split('?').next().unwrap_or_default();
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

fn rooted(target: &str) -> String {
    if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/{target}")
    }
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
            ("ftp://a", "only `http` and `https`"),
            ("https://", "its host is no host"),
            ("https://granted.com@evil.com/", "it may have no user"),
            ("https://granted.com:x@evil.com/", "it may have no user"),
            ("https://granted.com\\@evil.com/", "no spaces, `\\`"),
            ("https://granted.com\n.evil.com/", "no spaces"),
            ("https://granted.com%2eevil.com/", "its host is no host"),
            ("https://éxample.com/", "beyond ASCII"),
            ("https://a:0/", "its port is no port"),
            ("https://a:/", "its port is no port"),
            ("https://a:+80/", "its port is no port"),
            ("https://[::1", "its port is no port"),
            ("https://[::1]x:80/", "its host is no host"),
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
