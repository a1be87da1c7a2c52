//! Comments cite Docker's protocol as `protocol 5.4`: a section of `docs/reference/protocol.md`.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PAGE: &str = include_str!("../../docs/reference/protocol.md");

#[test]
fn citations_of_the_protocol_name_its_sections() {
    let mut wrong = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(ROOT).unwrap().display();
        for (index, line) in text.lines().enumerate() {
            let Some((_, comment)) = line.split_once("//") else {
                continue;
            };
            for section in sections(comment) {
                if !PAGE.contains(&format!("<a id=\"{section}\"></a>")) {
                    wrong.push(format!("{name}:{}: no section {section}", index + 1));
                }
            }
            if comment.contains("`protocol.md`") || comment.contains("protocol, section") {
                wrong.push(format!("{name}:{}: cite it as `protocol 5.4`", index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The sections that a comment cites.
fn sections(comment: &str) -> impl Iterator<Item = &str> {
    let cited = comment.split("protocol ").skip(1);
    cited
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
            rest[..end.unwrap_or(rest.len())].trim_end_matches('.')
        })
        .filter(|section| !section.is_empty())
}

fn sources() -> Vec<PathBuf> {
    let mut open = ["src", "tests"]
        .map(|dir| Path::new(ROOT).join(dir))
        .to_vec();
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found
}
