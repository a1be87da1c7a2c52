//! The forms of texts that the engine parses (protocol 6 and 7).

use super::Type;
use std::net::IpAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The required form of a text.
#[derive(Debug)]
pub struct Form {
    /// A description for messages to authors, with its article.
    pub noun: &'static str,
    /// The cure for a text of another form.
    pub cure: &'static str,
    /// The name on reference pages.
    pub name: &'static str,
    /// Whether a text has the form.
    pub matches: fn(&str) -> bool,
}

impl Type {
    /// Returns the form that a text of this type must have unless it is empty.
    pub fn form(self) -> Option<&'static Form> {
        FORMS
            .iter()
            .find(|(ty, _)| *ty == self)
            .map(|(_, form)| form)
    }
}

const FORMS: &[(Type, Form)] = &[
    (
        Type::Cidr,
        Form {
            noun: "an address with its prefix length, such as `10.1.0.5/24`",
            cure: "add `/` and the length of the subnet's prefix",
            name: "CIDR",
            matches: is_cidr,
        },
    ),
    (
        Type::Address,
        Form {
            noun: "a bare address, such as `10.1.0.1`",
            cure: "remove the prefix length, as in `net.parse_cidr(text).address`",
            name: "address",
            matches: |text| text.parse::<IpAddr>().is_ok(),
        },
    ),
    (
        Type::Mac,
        Form {
            noun: "a MAC address, such as `02:42:0a:01:00:05`",
            cure: "use `net.mac_from_ip(ip)`, or omit it",
            name: "MAC address",
            matches: is_mac,
        },
    ),
    (
        Type::Scope,
        Form {
            noun: "`local` or `global`",
            cure: "write it in lower case",
            name: "`local` or `global`",
            matches: |text| matches!(text, "local" | "global"),
        },
    ),
    (
        Type::Link,
        Form {
            noun: "the name of a link, of at most 15 bytes without spaces and `/`",
            cure: "join a short prefix and `string.sub(id, 1, 12)`",
            name: "name of a link",
            matches: |text| {
                text.len() <= LINK_LENGTH_LIMIT && !text.contains([' ', '/', '\n', '\t', '\0'])
            },
        },
    ),
    (
        Type::Path,
        Form {
            noun: "an absolute path",
            cure: "begin it with `/`",
            name: "absolute path",
            matches: |text| text.starts_with('/'),
        },
    ),
];

/// The longest name of a link: the kernel's `IFNAMSIZ` without the terminating zero.
const LINK_LENGTH_LIMIT: usize = 15;

/// Whether Go's `netip.ParsePrefix` accepts `text`, which newer engines use.
fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let limit = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    let is_plain =
        length.bytes().all(|b| b.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    is_plain && length.parse::<u8>().is_ok_and(|length| length <= limit)
}

fn is_mac(text: &str) -> bool {
    let mut parts = text.split(':');
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    text.len() == 17 && parts.all(is_byte)
}

/// Whether Go's `time.RFC3339` accepts `text`. Unlike the standard, Go has no lower-case `t` and
/// `z` and no leap seconds, and the Go of older engines rejects a fraction of more than nine
/// digits.
pub fn is_rfc3339(text: &str) -> bool {
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
    let fraction = text.split_once('.').map_or(0, |(_, rest)| digits(rest));
    let is_strict = text.get(10..11) == Some("T") && !text.ends_with('z');
    let is_leap_second = text.get(17..19) == Some("60");
    is_strict && !is_leap_second && fraction <= 9 && OffsetDateTime::parse(text, &Rfc3339).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_formats_of_go() {
        for time in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.123456789+02:00",
            "2026-01-31T12:00:00-07:30",
        ] {
            assert!(is_rfc3339(time), "{time}");
        }
        for time in [
            "",
            "2026-01-31",
            "2026-13-31T12:00:00Z",
            "2026-02-29T12:00:00Z",
            "2026-01-31T12:00:00.1234567890Z",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00:00",
            "x",
            "2016-12-31T23:59:60Z",
            "2026-01-31t12:00:00z",
        ] {
            assert!(!is_rfc3339(time), "{time}");
        }
    }
}
