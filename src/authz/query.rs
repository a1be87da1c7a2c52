//! Percent-encoding and queries, by the rules of Go's `net/url`.

use std::borrow::Cow;

use memchr::memchr3;

/// The query of a request, decoded when it is read, as Go's `url.ParseQuery` (1.17 and later)
/// decodes it: a pair with a raw `;` or an invalid escape is left out, keys may repeat and keep
/// their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Query<'a> {
    raw: &'a str,
}

/// A decoded pair. Bytes, because `%ff` is a legal byte of a file name.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The pairs of a [`Query`], in order.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: Option<&'a str>,
}

impl<'a> Query<'a> {
    pub(super) fn new(raw: &'a str) -> Self {
        Query { raw }
    }

    /// Returns the query as written, without `?`.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Returns all pairs in order.
    pub fn pairs(&self) -> Pairs<'a> {
        Pairs {
            rest: Some(self.raw),
        }
    }

    /// Returns the first value of `key`, which is the one that the engine uses for a single
    /// parameter.
    pub fn get(&self, key: &str) -> Option<Cow<'a, [u8]>> {
        self.pairs()
            .find(|(name, _)| name.as_ref() == key.as_bytes())
            .map(|(_, value)| value)
    }

    /// Returns whether pairs are left out that other Go versions may read.
    pub fn is_malformed(&self) -> bool {
        self.raw.split('&').any(|pair| split_pair(pair).is_none())
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.rest?;
            let (pair, rest) = rest
                .split_once('&')
                .map_or((rest, None), |(pair, rest)| (pair, Some(rest)));
            self.rest = rest;
            match split_pair(pair) {
                Some(decoded) if !pair.is_empty() => return Some(decoded),
                _ => {}
            }
        }
    }
}

fn split_pair(pair: &str) -> Option<Pair<'_>> {
    if pair.contains(';') {
        return None;
    }
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some((unescape(key, b'+')?, unescape(value, b'+')?))
}

/// Decodes a path, or returns `None` where Go reports an invalid escape.
pub(super) fn unescape_path(path: &str) -> Option<Cow<'_, [u8]>> {
    unescape(path, b'%')
}

/// Decodes `%xx` once, and `plus` into a space (`%` for none).
fn unescape(text: &str, plus: u8) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    let Some(first) = memchr3(b'%', plus, plus, bytes) else {
        return Some(Cow::Borrowed(bytes));
    };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..first]);
    let mut rest = bytes[first..].iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'%' => hex(*rest.next()?)? << 4 | hex(*rest.next()?)?,
            _ if byte == plus => b' ',
            _ => byte,
        });
    }
    Some(Cow::Owned(out))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(raw: &str) -> Vec<(String, String)> {
        let text = |bytes: Cow<[u8]>| String::from_utf8_lossy(&bytes).into_owned();
        Query::new(raw)
            .pairs()
            .map(|(key, value)| (text(key), text(value)))
            .collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    #[test]
    fn reads_as_go_does() {
        assert_eq!(
            pairs("a=1&a=2&b"),
            [pair("a", "1"), pair("a", "2"), pair("b", "")]
        );
        assert_eq!(
            pairs("a+b=c%20d&&%66=%2B"),
            [pair("a b", "c d"), pair("f", "+")]
        );
        assert_eq!(pairs("a;b=1&c=%zz&d=%4&e=5"), [pair("e", "5")]);
        assert_eq!(pairs(""), []);
        assert_eq!(pairs("=v"), [pair("", "v")]);
        assert_eq!(Query::new("p=%ff").get("p").as_deref(), Some(&b"\xff"[..]));
        assert_eq!(Query::new("p=1&p=2").get("p").as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn says_what_it_left_out() {
        for raw in ["a;b", "a=%", "a=%g0"] {
            assert!(Query::new(raw).is_malformed(), "{raw}");
        }
        assert!(!Query::new("a=%3B&&b+c=1=2").is_malformed());
    }

    proptest! {
        #[test]
        fn never_panics(raw in ".*") {
            let query = Query::new(&raw);
            prop_assert!(query.pairs().count() <= raw.matches('&').count() + 1);
            let _ = query.is_malformed();
        }
    }
}
