//! From a request URI to the route that the engine will run (protocol 3.5 and 16).

use std::borrow::Cow;

use super::query::{Query, unescape_path};
use super::routes::{self, Effect, Params, Route};

/// The canonical form of a request target: origin form, absolute form and odd schemes become the
/// same, the path is decoded once, and the version is split off. A target that cannot be parsed has
/// no route and an unknown effect.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// The HTTP method as sent.
    pub method: &'a str,
    /// The route, when it is one of the Engine API's.
    pub route: Option<&'static Route>,
    /// The decoded path without version.
    pub path: Cow<'a, str>,
    /// The version in the path, normalised: `1.41` for `/v01.041.0/`.
    pub api_version: Option<Cow<'a, str>>,
    /// The query, decoded when read.
    pub query: Query<'a>,
    params: Params,
}

impl<'a> Target<'a> {
    /// Parses `uri` as Go's HTTP server and the engine's router do. It never fails: an invalid
    /// target has no route.
    pub fn parse(method: &'a str, uri: &'a str) -> Self {
        match split(uri).and_then(|(path, query)| Some((decode(path)?, query))) {
            Some((path, query)) => Self::routed(method, path, Query::new(query)),
            None => Self::unrouted(method, uri),
        }
    }

    /// Returns the route's action, as in `container.create`.
    pub fn action(&self) -> Option<&'static str> {
        self.route.map(|route| route.action)
    }

    /// Returns what the call can do.
    pub fn effect(&self) -> Effect {
        self.route.map_or(Effect::Unknown, |route| route.effect)
    }

    /// Returns the object of the call: the first placeholder of the route.
    pub fn id(&self) -> Option<&str> {
        self.params().next().map(|(_, value)| value)
    }

    /// Returns the placeholders of the route, by name.
    pub fn params(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.params
            .iter()
            .flatten()
            .map(|(name, range)| (*name, &self.path[range.clone()]))
    }

    fn routed(method: &'a str, path: Cow<'a, str>, query: Query<'a>) -> Self {
        let (api_version, path) = take_version(path);
        let (route, params) =
            routes::find(method, &path).map_or((None, [None, None]), |(r, p)| (Some(r), p));
        Target {
            method,
            route,
            path,
            api_version,
            query,
            params,
        }
    }

    fn unrouted(method: &'a str, uri: &'a str) -> Self {
        let path = Cow::Borrowed(uri.split('?').next().unwrap_or_default());
        Target {
            method,
            route: None,
            path,
            api_version: None,
            query: Query::default(),
            params: [None, None],
        }
    }
}

/// Splits a request target into its path, still encoded, and its query, as Go's
/// `url.ParseRequestURI` does.
fn split(uri: &str) -> Option<(&str, &str)> {
    if uri.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let (has_scheme, rest) = take_scheme(uri)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match path.strip_prefix("//") {
        Some(authority) if has_scheme => {
            authority.find('/').map_or("", |slash| &authority[slash..])
        }
        _ => path,
    };
    path.starts_with('/').then_some((path, query))
}

fn take_scheme(uri: &str) -> Option<(bool, &str)> {
    let end = uri.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
    match end {
        Some(0) if uri.starts_with(':') => None,
        Some(end) if uri[end..].starts_with(':') && uri.as_bytes()[0].is_ascii_alphabetic() => {
            Some((true, &uri[end + 1..]))
        }
        _ => Some((false, uri)),
    }
}

fn decode(path: &str) -> Option<Cow<'_, str>> {
    match unescape_path(path)? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(path)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Splits off `/v[0-9.]+` when a slash follows.
fn take_version(path: Cow<'_, str>) -> (Option<Cow<'_, str>>, Cow<'_, str>) {
    let Some(end) = version_end(&path) else {
        return (None, path);
    };
    match path {
        Cow::Borrowed(path) => (
            Some(normal_version(&path[2..end])),
            Cow::Borrowed(&path[end..]),
        ),
        Cow::Owned(path) => {
            let version = normal_version(&path[2..end]).into_owned();
            (
                Some(Cow::Owned(version)),
                Cow::Owned(path[end..].to_owned()),
            )
        }
    }
}

fn version_end(path: &str) -> Option<usize> {
    let rest = path.strip_prefix("/v")?;
    let digits = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    (digits > 0 && rest.as_bytes().get(digits) == Some(&b'/')).then_some(digits + 2)
}

/// Normalises a version: at least two numbers, without leading zeros, an absent one being zero, and
/// without further zeros at the end. The engine compares versions numerically.
fn normal_version(version: &str) -> Cow<'_, str> {
    if is_normal(version) {
        return Cow::Borrowed(version);
    }
    let mut parts: Vec<&str> = version
        .split('.')
        .map(|part| part.trim_start_matches('0'))
        .collect();
    while parts.len() > 2 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts.resize(parts.len().max(2), "");
    let parts: Vec<&str> = parts
        .into_iter()
        .map(|part| if part.is_empty() { "0" } else { part })
        .collect();
    Cow::Owned(parts.join("."))
}

fn is_normal(version: &str) -> bool {
    let number = |part: &str| part == "0" || !part.is_empty() && !part.starts_with('0');
    version
        .split_once('.')
        .is_some_and(|(major, minor)| number(major) && number(minor) && !minor.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn seen(method: &str, uri: &str) -> (Option<&'static str>, Option<String>, Option<String>) {
        let target = Target::parse(method, uri);
        (
            target.action(),
            target.id().map(str::to_owned),
            target.api_version.map(Cow::into_owned),
        )
    }

    #[test]
    fn every_spelling_is_the_same_route() {
        let want = (
            Some("container.inspect"),
            Some("c1".to_owned()),
            Some("1.41".to_owned()),
        );
        for uri in [
            "/v1.41/containers/c1/json",
            "/v01.041.0/containers/c1/json?size=1",
            "/v1.41./containers/c1/json",
            "http://evil/v1.41/containers/c1/json",
            "http://evil:80/v1.41/containers%2fc1%2Fjson?",
            "x:/v1.41/containers/c1/json",
            "X+1-.://h/v1.41/containers/%631/json",
            "/%76%31%2E41/containers/c1/json",
        ] {
            assert_eq!(seen("GET", uri), want, "{uri}");
        }
        assert_eq!(seen("GET", "/containers/c1/json").2, None);
    }

    #[test]
    fn malformed_targets_have_no_route() {
        for uri in [
            "",
            "*",
            "version",
            ":/version",
            "1x:/version",
            "x:version",
            "http://h",
            "//h/version",
            "/version/",
            "/versio%6",
            "/versio%zz",
            "/v1.41",
            "/v/version",
            "/v1.41x/version",
            "/v1.41/v1.41/version",
            "/ver\tsion",
            "/%ff",
            "/version#x",
            "http://h?/version",
            "?/version",
        ] {
            let target = Target::parse("GET", uri);
            assert_eq!(
                (target.route, target.effect()),
                (None, Effect::Unknown),
                "{uri}"
            );
        }
    }

    #[test]
    fn versions_are_numbers() {
        for (written, normal) in [
            ("1.41", "1.41"),
            ("1.40", "1.40"),
            ("01.041.0", "1.41"),
            ("1", "1.0"),
            (".", "0.0"),
            ("1..41", "1.0.41"),
            ("1.41.2", "1.41.2"),
            ("1.0", "1.0"),
            ("1.00", "1.0"),
        ] {
            assert_eq!(normal_version(written), normal, "{written}");
        }
    }

    #[test]
    fn the_query_does_not_change_the_route() {
        let target = Target::parse(
            "POST",
            "/v1.41/containers/create?name=%2fv1%2Fauth&x=/auth?y",
        );
        assert_eq!(target.action(), Some("container.create"));
        assert_eq!(target.query.get("name").as_deref(), Some(&b"/v1/auth"[..]));
        assert_eq!(target.query.get("x").as_deref(), Some(&b"/auth?y"[..]));
    }

    fn any_route() -> impl Strategy<Value = (&'static Route, String)> {
        let rows: Vec<_> = routes::routes().collect();
        (proptest::sample::select(rows), "[a-zA-Z0-9_.:-]{1,12}").prop_map(|(row, id)| {
            let parts: Vec<&str> = row.pattern.split(['{', '}']).collect();
            let path = parts
                .iter()
                .enumerate()
                .map(|(at, part)| if at % 2 == 0 { part } else { id.as_str() })
                .collect();
            (row, path)
        })
    }

    fn encode_some(path: &str, mask: u64) -> String {
        let encode = |(at, c): (usize, char)| match at {
            0 => c.to_string(),
            _ if mask >> (at % 64) & 1 == 1 => format!("%{:02x}", c as u32),
            _ => c.to_string(),
        };
        path.chars().enumerate().map(encode).collect()
    }

    proptest! {
        #[test]
        fn encoding_any_byte_changes_nothing((row, path) in any_route(), mask: u64) {
            let plain = Target::parse(row.method, &path);
            let encoded = encode_some(&path, mask);
            let encoded = Target::parse(row.method, &encoded);
            prop_assert!(plain.route.is_some());
            prop_assert_eq!(plain.route, encoded.route);
            prop_assert_eq!(plain.params().collect::<Vec<_>>(), encoded.params().collect::<Vec<_>>());
        }

        #[test]
        fn version_spelling_changes_nothing((row, path) in any_route(), major in "0{0,3}1", minor in "0{0,3}41(\\.0*){0,3}") {
            let plain = Target::parse(row.method, &path);
            let versioned = format!("/v{major}.{minor}{path}");
            let versioned = Target::parse(row.method, &versioned);
            prop_assert_eq!(plain.route, versioned.route);
            prop_assert_eq!(plain.path, versioned.path);
            prop_assert_eq!(versioned.api_version.as_deref(), Some("1.41"));
        }

        #[test]
        fn canonical_paths_stay_as_they_are((row, path) in any_route(), mask: u64) {
            let encoded = format!("x://h/v1.41{}?a=b", encode_some(&path, mask));
            let once = Target::parse(row.method, &encoded);
            let again = format!("/{}", utf8_percent_encode(&once.path[1..], NON_ALPHANUMERIC));
            let again = Target::parse(row.method, &again);
            prop_assert_eq!((Some(row), once.path.as_ref()), (again.route, path.as_str()));
            prop_assert_eq!((once.route, &once.path), (again.route, &again.path));
        }

        #[test]
        fn never_panics(method in "\\PC{0,8}", uri in "(\\PC|/|%|v1\\.4|:|\\?){0,40}") {
            let target = Target::parse(&method, &uri);
            let _ = (target.id(), target.params().count(), target.query.pairs().count());
        }
    }
}
