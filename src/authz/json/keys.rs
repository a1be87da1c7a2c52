//! Which keys are the same to Go's `encoding/json`.
//!
//! A key matches the field of a struct exactly, or else by Unicode simple folding. The fields of
//! the Engine API are ASCII, and beyond ASCII's own letters only U+017F (long s) and U+212A (kelvin
//! sign) fold into ASCII.

use std::borrow::Cow;

use super::tape::{Tag, Tape};
use super::text::{RawString, unescape};
use crate::authz::JsonFault;

/// The fields of the API that are maps: their keys are data. Only `LogConfig.Config` depends on its
/// position.
const MAPS: [&str; 14] = [
    "Annotations",
    "AuxiliaryAddresses",
    "DriverOpts",
    "EndpointsConfig",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Segments",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// The position of an object, as far as the meaning of its keys depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// The root, an item of an array, a value of a map.
    Loose,
    /// The value of an ordinary field.
    Field,
    /// The value of `LogConfig`.
    LogConfig,
    /// The value of a field that is a map.
    Map,
}

impl Position {
    /// Returns the position of the value of `key` in an object at `self`.
    pub(super) fn of_field(self, key: RawString<'_>) -> Position {
        match self {
            Position::Map => Position::Loose,
            Position::LogConfig if is_folded(key, "Config") => Position::Map,
            _ if is_folded(key, "LogConfig") => Position::LogConfig,
            _ if MAPS.iter().any(|name| is_folded(key, name)) => Position::Map,
            _ => Position::Field,
        }
    }

    pub(super) fn tag(self) -> Tag {
        if self == Position::Map {
            Tag::Map
        } else {
            Tag::Object
        }
    }
}

/// Returns whether the key is exactly `name`.
pub(super) fn is_same(key: RawString<'_>, name: &str) -> bool {
    if key.escaped {
        unescape(key) == name
    } else {
        key.raw == name
    }
}

/// Returns whether two names mean the same field.
pub fn is_same_field(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    one.chars().map(fold).eq(other.chars().map(fold))
}

/// Returns whether the key matches the field `name`.
pub(super) fn is_folded(key: RawString<'_>, name: &str) -> bool {
    match (key.escaped || key.wide, name.is_ascii()) {
        (false, true) => key.raw.eq_ignore_ascii_case(name),
        _ => is_same_field(&unescape(key), name),
    }
}

fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => c.to_ascii_lowercase(),
    }
}

/// Returns a key in the form in which equal keys are equal texts.
fn normal(key: RawString<'_>, tag: Tag) -> Cow<'_, str> {
    match tag {
        Tag::Map => unescape(key),
        _ => Cow::Owned(unescape(key).chars().map(fold).collect()),
    }
}

/// The keys of the objects that are still open: a hash in the upper half, the key's index on the
/// tape in the lower.
#[derive(Debug)]
pub(super) struct OpenKeys(Vec<u64>);

/// The capacity for keys, enough for the open objects of a container's create.
const KEYS_CAPACITY: usize = 128;

impl OpenKeys {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(KEYS_CAPACITY))
    }

    pub(super) fn mark(&self) -> usize {
        self.0.len()
    }

    pub(super) fn add(&mut self, key: RawString<'_>, at: usize) {
        self.0.push(u64::from(hash(key)) << 32 | at as u64);
    }

    /// Closes the object whose keys were added since `mark`.
    ///
    /// # Errors
    /// Two keys that mean the same, and the offset of the second.
    pub(super) fn close(
        &mut self,
        mark: usize,
        tag: Tag,
        tape: &Tape,
        text: &str,
    ) -> Result<(), (JsonFault, usize)> {
        let keys = &mut self.0[mark..];
        keys.sort_unstable();
        let twice = keys
            .chunk_by(|one, two| one >> 32 == two >> 32)
            .filter(|alike| alike.len() > 1)
            .find_map(|alike| duplicate(alike, tag, tape, text));
        self.0.truncate(mark);
        twice.map_or(Ok(()), Err)
    }
}

/// Finds two equal keys among those of one hash. They are sorted by meaning, so that no choice of
/// keys costs quadratic time.
fn duplicate(alike: &[u64], tag: Tag, tape: &Tape, text: &str) -> Option<(JsonFault, usize)> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the index is the lower half"
    )]
    let index = |key: &u64| (key & u64::from(u32::MAX)) as usize;
    let key = |at: usize| tape.string(at, text);
    let mut keys: Vec<_> = alike
        .iter()
        .map(index)
        .map(|at| (normal(key(at), tag), at))
        .collect();
    keys.sort_unstable();
    let pair = keys.windows(2).find(|pair| pair[0].0 == pair[1].0)?;
    let (first, second) = (pair[0].1, pair[1].1);
    let fault = JsonFault::Duplicate(shown(key(first)), shown(key(second)));
    Some((fault, tape.offset(second)))
}

/// Returns a key as it fits into one line of a message.
fn shown(key: RawString<'_>) -> String {
    unescape(key)
        .chars()
        .take(40)
        .flat_map(char::escape_debug)
        .collect()
}

/// Hashes a key so that keys which are equal, folded or not, have equal hashes.
fn hash(key: RawString<'_>) -> u32 {
    if key.escaped || key.wide {
        return hash_bytes(
            unescape(key)
                .chars()
                .map(fold)
                .collect::<String>()
                .as_bytes(),
        );
    }
    hash_bytes(key.raw.as_bytes())
}

fn hash_bytes(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    let mixed = words.iter().fold(bytes.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    (mix(mixed, u64::from_le_bytes(tail)) >> 32) as u32
}

fn mix(hash: u64, word: u64) -> u64 {
    // Setting the bit of lower case folds letters. Other bytes that it makes equal only cost a
    // comparison.
    let folded = hash.rotate_left(23) ^ (word | 0x2020_2020_2020_2020);
    folded.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(raw: &str) -> RawString<'_> {
        RawString {
            raw,
            escaped: raw.contains('\\'),
            wide: !raw.is_ascii(),
        }
    }

    #[test]
    fn folds_as_go_does() {
        for alike in [
            "DriverOpts",
            "driveropts",
            "DRIVEROPT\u{17f}",
            "driverOpt\\u017f",
            "dr\\u0049verOpts",
        ] {
            assert!(is_folded(key(alike), "DriverOpts"), "{alike}");
            assert_eq!(hash(key(alike)), hash(key("DriverOpts")), "{alike}");
        }
        assert!(is_folded(key("\u{212a}ernelMemory"), "KernelMemory"));
        for other in [
            "DriverOpt",
            "Driver0pts",
            "DriverOpts ",
            "Dr\u{131}verOpts",
            "Dr\u{130}verOpts",
        ] {
            assert!(!is_folded(key(other), "DriverOpts"), "{other}");
        }
        assert!(
            !is_folded(key("a@"), "a`") && !is_same(key("a"), "A") && is_same(key("\\u0061"), "a")
        );
    }

    #[test]
    fn keys_of_maps_keep_their_case_but_fields_within_fold() {
        let settings = Position::Field
            .of_field(key("endpointsConfig"))
            .of_field(key("Labels"));
        assert_eq!(settings, Position::Loose);
        assert_eq!(settings.of_field(key("DriverOpts")), Position::Map);
        assert_eq!(Position::Loose.of_field(key("Config")), Position::Field);
        assert_eq!(
            Position::Loose
                .of_field(key("LogConfig"))
                .of_field(key("config")),
            Position::Map
        );
    }
}
