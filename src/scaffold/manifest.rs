//! `plugin.toml` of several interfaces, from a part for each.
//!
//! A part is TOML in a plain form, so that its comments survive: `grants` with a line for each
//! grant, and then tables.

use std::fmt::Write;

/// The tables and their lines, in the order in which they are first seen.
#[derive(Default)]
struct Merged<'a> {
    /// The lines before any table.
    head: Vec<&'a str>,
    grants: Vec<&'a str>,
    tables: Vec<(&'a str, Vec<&'a str>)>,
}

const GRANTS: &str = "grants = [";

/// Merges the parts: all grants in one list, each once, and the contents of equal tables below each
/// other.
pub(super) fn merge(parts: &[&str]) -> String {
    let mut merged = Merged::default();
    for part in parts {
        merged.add(part);
    }
    merged.text()
}

impl<'a> Merged<'a> {
    fn add(&mut self, part: &'a str) {
        let (mut in_grants, mut table) = (false, None);
        for line in part.lines() {
            match line {
                GRANTS => in_grants = true,
                "]" if in_grants => in_grants = false,
                _ if in_grants => self.grant(line),
                _ if line.starts_with('[') => table = Some(self.table(line)),
                _ => match table {
                    Some(at) => self.tables[at].1.push(line),
                    None => self.head.push(line),
                },
            }
        }
    }

    fn grant(&mut self, line: &'a str) {
        let words = |line: &'a str| line.split('#').next();
        if !self.grants.iter().any(|other| words(other) == words(line)) {
            self.grants.push(line);
        }
    }

    /// Returns the index of a table.
    fn table(&mut self, header: &'a str) -> usize {
        let known = self.tables.iter().position(|(other, _)| *other == header);
        known.unwrap_or_else(|| {
            self.tables.push((header, Vec::new()));
            self.tables.len() - 1
        })
    }

    fn text(&self) -> String {
        let mut text = self.head.join("\n").trim().to_owned() + "\n";
        if !self.grants.is_empty() {
            // Writing into a string cannot fail.
            let _ = write!(text, "\n{GRANTS}\n{}\n]\n", self.grants.join("\n"));
        }
        for (header, lines) in &self.tables {
            let lines = lines.join("\n").replace("\n\n\n", "\n\n");
            let _ = write!(text, "\n{header}\n\n{}\n", lines.trim());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn grants_are_listed_once_and_tables_are_joined() {
        let merged = merge(&[
            "# about\ndescription = \"x\"\n",
            "grants = [\n    \"net\", # a\n]\n\n[settings]\n\n# one\none = [\n    1,\n]\n",
            "[settings]\n\n# two\ntwo = 2\n\n[metrics]\ninterval_s = 1\n",
            "grants = [\n    \"net\", # b\n    \"mount\", # c\n]\n",
        ]);
        assert_eq!(
            merged,
            "# about\ndescription = \"x\"\n\ngrants = [\n    \"net\", # a\n    \"mount\", # c\n]\n\n\
             [settings]\n\n# one\none = [\n    1,\n]\n\n# two\ntwo = 2\n\n[metrics]\n\ninterval_s = 1\n"
        );
    }
}
