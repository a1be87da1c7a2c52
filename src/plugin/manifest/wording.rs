//! Errors of TOML and serde in plain words.

use crate::host::{MANIFEST, hint};
use crate::plugin::validate::line_at;
use crate::script::Diagnostic;

/// What serde expects, and what to write.
const KINDS: &[(&str, &str)] = &[
    ("a sequence", "a list in brackets"),
    ("a string", "a text in quotes"),
    ("path string", "a path in quotes"),
    ("a map", "a table"),
    ("a boolean", "`true` or `false`"),
    ("u64", "a whole number"),
    ("usize", "a whole number"),
    ("u32", "a whole number"),
];

/// What TOML says of a text without quotes.
const UNQUOTED: [&str; 2] = ["invalid float", "string values must be quoted"];

/// Describes an error in the manifest, whose text is `text`.
pub fn describe(text: &str, error: &toml::de::Error) -> Diagnostic {
    let start = error.span().map(|span| span.start);
    let line = start.map(|start| line_at(text, start));
    let code = line.and_then(|line| text.lines().nth(line - 1));
    let key = key_of(code.unwrap_or_default());
    let message = error.message().lines().next().unwrap_or_default();
    let (message, cure) = plain(message, key);
    let diagnostic = Diagnostic::of_file(MANIFEST, message).at(line);
    match cure {
        Some(cure) => diagnostic.cure(cure),
        None => diagnostic,
    }
}

/// Returns the key of a line, or its table.
fn key_of(line: &str) -> &str {
    let key = line.split('=').next().unwrap_or_default();
    key.trim().trim_matches(['[', ']', '"'])
}

fn plain(message: &str, key: &str) -> (String, Option<String>) {
    let unchanged = || (message.to_owned(), None);
    if UNQUOTED.iter().any(|part| message.starts_with(part)) {
        let example = if key == "grants" {
            "[\"net\"]"
        } else {
            "\"…\""
        };
        let cure = format!("write `{key} = {example}`");
        return ("a text must be in quotes".to_owned(), Some(cure));
    }
    let Some((what, expected)) = message.split_once(", expected ") else {
        return unchanged();
    };
    let known: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
    let (what, wrong) = what.split_once(' ').unwrap_or_default();
    match (what, wrong.split_once(' ')) {
        ("unknown", Some(("field", name))) => {
            let hint = hint(name.trim_matches('`'), &known);
            (format!("unknown key {name}{hint}"), None)
        }
        ("unknown", Some(("variant", given))) => {
            (format!("`{key}` must be {expected}, not {given}"), None)
        }
        ("invalid", Some(("type:" | "value:", given))) => wrong_value(key, expected, given),
        _ => unchanged(),
    }
}

/// Describes a value of the wrong type, which serde calls `string "5s"`.
fn wrong_value(key: &str, expected: &str, given: &str) -> (String, Option<String>) {
    let row = KINDS.iter().find(|(kind, _)| *kind == expected);
    let wanted = row.map_or(expected, |(_, wanted)| wanted);
    let is_text = given.starts_with("string ");
    let value = given.find(['"', '`']).map(|at| &given[at..]);
    let shown = match given {
        "map" => "a table",
        "sequence" => "a list",
        _ => value.unwrap_or(given),
    };
    let cure = match (expected, given) {
        ("a sequence", _) if is_text => Some(format!("write `{key} = [{shown}]`")),
        (_, "map") if key.contains('.') => {
            Some(format!("write a key with a dot in quotes: `\"{key}\" = …`"))
        }
        _ => None,
    };
    (format!("`{key}` must be {wanted}, not {shown}"), cure)
}
