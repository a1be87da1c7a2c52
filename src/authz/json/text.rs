//! The strings of a checked JSON text.

use std::borrow::Cow;

/// The text between the quotes of a string, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawString<'t> {
    pub(super) raw: &'t str,
    /// Whether it holds a backslash.
    pub(super) escaped: bool,
    /// Whether it holds a byte beyond ASCII.
    pub(super) wide: bool,
}

/// Decodes a checked string.
pub(super) fn unescape(string: RawString<'_>) -> Cow<'_, str> {
    if !string.escaped {
        return Cow::Borrowed(string.raw);
    }
    let mut out = String::with_capacity(string.raw.len());
    let mut rest = string.raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let (c, length) = escaped_char(escape);
        out.push(c);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Decodes what follows a backslash, and returns the length of the escape too.
fn escaped_char(escape: &str) -> (char, usize) {
    match escape.as_bytes().first() {
        Some(b'u') => unicode_char(escape),
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(&other) => (char::from(other), 1),
        None => (char::REPLACEMENT_CHARACTER, 0),
    }
}

fn unicode_char(escape: &str) -> (char, usize) {
    let high = code_unit(escape, 1);
    if !(0xd800..0xdc00).contains(&high) {
        return (
            char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER),
            5,
        );
    }
    let low = code_unit(escape, 7).wrapping_sub(0xdc00);
    let c = 0x10000 + ((high - 0xd800) << 10) + low;
    (char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
}

fn code_unit(escape: &str, at: usize) -> u32 {
    escape
        .get(at..at + 4)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .unwrap_or_default()
}
