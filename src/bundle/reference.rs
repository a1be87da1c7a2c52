//! Names of managed plugins: image references without a digest.

use std::fmt::{self, Display};
use std::str::FromStr;

/// A name with its tag, such as `acme/ops:1.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    name: String,
    tag: String,
}

const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;
const DEFAULT_TAG: &str = "latest";

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            Err(format!(
                "`{text}` cannot be the name of a managed plugin: {why}; write it like `acme/ops:1.0`"
            ))
        };
        let end_of_path = text.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match text[end_of_path..].find(':') {
            Some(at) => (&text[..end_of_path + at], &text[end_of_path + at + 1..]),
            None => (text, DEFAULT_TAG),
        };
        if text.contains('@') {
            return refuse("a digest is known only after the plugin is created");
        }
        if !is_tag(tag) {
            return refuse(
                "a tag consists of at most 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`",
            );
        }
        if name.len() > NAME_MAX {
            return refuse("it is longer than 255 bytes");
        }
        let (host, path) = split_host(name);
        if host.is_some_and(|host| !is_host(host)) {
            return refuse("the part before the first `/` is not a host name");
        }
        if !path.split('/').all(is_component) {
            return refuse(
                "its parts must consist of a-z and 0-9, separated by `.`, `_`, `__` or `-`",
            );
        }
        if path.len() == 64 && host.is_none() && path.bytes().all(|c| c.is_ascii_hexdigit()) {
            return refuse("it looks like an ID");
        }
        Ok(Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
        })
    }
}

impl Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

fn is_tag(tag: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.starts_with(plain)
        && tag.len() <= TAG_MAX
        && tag.chars().all(|c| plain(c) || c == '.' || c == '-')
}

/// Splits off the registry: the first part, if it cannot be anything else.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, path)) if host == "localhost" || host.contains(['.', ':']) => {
            (Some(host), path)
        }
        _ => (None, name),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_label = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric();
        label.starts_with(plain)
            && label.ends_with(plain)
            && label.chars().all(|c| plain(c) || c == '-')
    };
    name.split('.').all(is_label) && !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit())
}

/// Returns whether `part` is `[a-z0-9]+`, separated by `.`, `_`, `__` or any number of `-`.
fn is_component(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(plain).filter(|separator| !separator.is_empty());
    let fine = |separator: &str| {
        matches!(separator, "." | "_" | "__") || separator.bytes().all(|c| c == b'-')
    };
    part.starts_with(plain) && part.ends_with(plain) && separators.into_iter().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_engine() {
        for (text, expected) in [
            ("ops", "ops:latest"),
            ("acme/ops:1.0", "acme/ops:1.0"),
            ("127.0.0.1:5000/a/b__c:v_1", "127.0.0.1:5000/a/b__c:v_1"),
            ("localhost/a--b", "localhost/a--b:latest"),
            (
                "registry.example.com/x.y_z",
                "registry.example.com/x.y_z:latest",
            ),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), expected);
        }
        for (text, part) in [
            ("", "its parts must"),
            ("Ops", "its parts must"),
            ("a..b", "its parts must"),
            ("a___b", "its parts must"),
            ("a/", "its parts must"),
            ("/a", "its parts must"),
            ("-a", "its parts must"),
            ("a:", "a tag consists"),
            ("a:-1", "a tag consists"),
            ("a:b:c", "a tag consists"),
            ("a@sha256:1", "a digest is known only"),
            ("a.:x/b", "is not a host name"),
            (&"a".repeat(64), "looks like an ID"),
            (&"ab/".repeat(100), "longer than 255"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
