//! Paths and queries, spelled as Go spells them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;

/// What Go escapes in a path: <https://pkg.go.dev/net/url#URL.EscapedPath>.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// What Go escapes in a query, where a space becomes `+`: <https://pkg.go.dev/net/url#QueryEscape>.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b' ');

/// Returns a name as a part of a path.
pub fn path(name: &str) -> String {
    utf8_percent_encode(name, PATH).to_string()
}

/// A query, in the order of its keys.
#[derive(Debug, Default, Clone)]
pub struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub fn of(pairs: &[(&str, &str)]) -> Query {
        let mut query = Query::default();
        for (key, value) in pairs {
            query.add(key, value);
        }
        query
    }

    pub fn add(&mut self, key: &str, value: &str) {
        self.0
            .entry(key.to_owned())
            .or_default()
            .push(value.to_owned());
    }

    /// Replaces what the key has.
    pub fn set(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), vec![value.to_owned()]);
    }

    /// Returns the path with the query.
    pub fn on(&self, path: &str) -> String {
        let escape = |text| {
            utf8_percent_encode(text, QUERY)
                .to_string()
                .replace(' ', "+")
        };
        let pairs = self.0.iter().flat_map(|(key, values)| {
            values
                .iter()
                .map(move |value| format!("{}={}", escape(key), escape(value)))
        });
        let text = pairs.collect::<Vec<_>>().join("&");
        if text.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{text}")
        }
    }
}
