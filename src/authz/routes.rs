//! The routes of the Engine API, and the lookup of a path among them.
//!
//! Actions are `noun.verb`. The first placeholder of a pattern is the ID of the object. As in the
//! engine's router, `{id}` matches one path segment, and `{id*}` any text, slashes included.

mod table;

use std::ops::Range;

use self::table::{ANY_OPTIONS, GROUPS};

/// What a call can do to the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It only reads.
    Read,
    /// It changes something, or opens a channel through which something can be changed.
    Write,
    /// The route is unknown.
    #[default]
    Unknown,
}

impl Effect {
    /// Returns the word that policies see: `read`, `write` or `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Effect::Read => "read",
            Effect::Write => "write",
            Effect::Unknown => "unknown",
        }
    }
}

/// The body that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// No body; the engine reads nothing.
    None,
    /// No body; an old API version may read one that is sent.
    Forbidden,
    /// JSON, or no body.
    Json,
    /// JSON.
    JsonRequired,
    /// Bytes that the engine passes to no plugin: archives, streams.
    Opaque,
}

/// A route.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method. A HEAD request without a row of its own matches the GET row.
    pub method: &'static str,
    /// The path without version, with placeholders.
    pub pattern: &'static str,
    /// The name that policies see, as in `container.create`.
    pub action: &'static str,
    /// What it can do.
    pub effect: Effect,
    /// The body that it takes.
    pub body: BodyKind,
    open: usize,
    close: usize,
}

/// A placeholder's name, and the range of its value in the path.
pub(super) type Param = (&'static str, Range<usize>);
/// The placeholders of a route, of which there are at most two.
pub(super) type Params = [Option<Param>; 2];

/// Returns all rows, in the order in which they are tried.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    GROUPS.iter().flat_map(|(_, rows)| rows.iter())
}

/// Finds the row of a path that is decoded and has no version.
pub(super) fn find(method: &str, path: &str) -> Option<(&'static Route, Params)> {
    if method == "OPTIONS" {
        return Some((&ANY_OPTIONS, [None, None]));
    }
    let first = path.strip_prefix('/')?.split('/').next()?;
    let (_, rows) = GROUPS.iter().find(|(name, _)| *name == first)?;
    find_in(rows, method, path).or_else(|| {
        if method == "HEAD" {
            find_in(rows, "GET", path)
        } else {
            None
        }
    })
}

fn find_in(rows: &'static [Route], method: &str, path: &str) -> Option<(&'static Route, Params)> {
    rows.iter()
        .filter(|row| row.method == method)
        .find_map(|row| Some((row, row.matches(path)?)))
}

impl Route {
    const fn new(
        method: &'static str,
        pattern: &'static str,
        action: &'static str,
        effect: Effect,
        body: BodyKind,
    ) -> Self {
        let open = position(pattern, b'{');
        Route {
            method,
            pattern,
            action,
            effect,
            body,
            open,
            close: position(pattern, b'}'),
        }
    }

    fn matches(&self, path: &str) -> Option<Params> {
        if self.open == self.pattern.len() {
            return (path == self.pattern).then_some([None, None]);
        }
        let rest = path.strip_prefix(&self.pattern[..self.open])?;
        let tail = &self.pattern[self.close + 1..];
        match rest.strip_suffix(tail) {
            Some(value) => self.only(value),
            None if tail.ends_with('}') => {
                let (between, second) = tail.split_once('{')?;
                self.both(rest, between, second.trim_end_matches('}'))
            }
            None => None,
        }
    }

    fn only(&self, value: &str) -> Option<Params> {
        let name = &self.pattern[self.open + 1..self.close];
        match name.strip_suffix('*') {
            // The router's `.*` does not match line feeds.
            Some(name) if !value.contains('\n') => Some([Some((name, self.range(0, value))), None]),
            None if is_segment(value) => Some([Some((name, self.range(0, value))), None]),
            _ => None,
        }
    }

    fn both(&self, rest: &str, between: &str, second: &'static str) -> Option<Params> {
        let (one, two) = rest
            .split_once(between)
            .filter(|(one, two)| is_segment(one) && is_segment(two))?;
        let name = &self.pattern[self.open + 1..self.close];
        let at = one.len() + between.len();
        Some([
            Some((name, self.range(0, one))),
            Some((second, self.range(at, two))),
        ])
    }

    fn range(&self, at: usize, value: &str) -> Range<usize> {
        self.open + at..self.open + at + value.len()
    }
}

fn is_segment(value: &str) -> bool {
    !value.is_empty() && !value.contains('/')
}

const fn position(text: &str, byte: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != byte {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(method: &str, path: &str) -> Option<&'static str> {
        find(method, path).map(|(route, _)| route.action)
    }

    #[test]
    fn finds_every_row_by_its_own_pattern() {
        for row in routes() {
            let path = row
                .pattern
                .replace("*}", "}")
                .replace('{', "x-")
                .replace('}', "");
            let (found, _) =
                find(row.method, &path).unwrap_or_else(|| panic!("{} {path}", row.method));
            assert_eq!(found.pattern, row.pattern, "{} {path}", row.method);
        }
    }

    #[test]
    fn names_are_noun_dot_verb() {
        for row in routes() {
            let parts: Vec<_> = row.action.split('.').collect();
            assert!(
                parts.len() == 2 && parts.iter().all(|part| !part.is_empty()),
                "{}",
                row.action
            );
        }
    }

    #[test]
    fn names_of_images_may_hold_slashes() {
        let path = "/images/reg.io:5000/a/b:1/json";
        let (route, params) = find("GET", path).unwrap();
        let (name, range) = params[0].clone().unwrap();
        assert_eq!(
            (route.action, name, &path[range]),
            ("image.inspect", "name", "reg.io:5000/a/b:1")
        );
    }

    #[test]
    fn two_placeholders() {
        let path = "/containers/c/checkpoints/k";
        let (route, params) = find("DELETE", path).unwrap();
        let values: Vec<_> = params
            .into_iter()
            .flatten()
            .map(|(name, range)| (name, &path[range]))
            .collect();
        assert_eq!(
            (route.action, values),
            ("checkpoint.remove", vec![("id", "c"), ("checkpoint", "k")])
        );
    }

    #[test]
    fn unusual_routes_are_found() {
        assert_eq!(
            action("HEAD", "/containers/c/archive"),
            Some("container.stat_file")
        );
        assert_eq!(action("HEAD", "/version"), Some("system.version"));
        assert_eq!(action("OPTIONS", "/what/ever"), Some("system.options"));
        assert_eq!(action("post", "/containers/create"), None);
        assert_eq!(action("GET", "/containers/create"), None);
        assert_eq!(action("GET", "/containers/a\nb/json"), None);
        assert_eq!(action("GET", "containers/json"), None);
        assert_eq!(
            find("GET", "/containers/c/attach/ws").unwrap().0.effect,
            Effect::Write
        );
    }
}
