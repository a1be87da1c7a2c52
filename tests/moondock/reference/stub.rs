//! Reads `scripts/types/NAME.luau`: the types and the documentation of a std module.

use super::in_repository;
use std::fs;

const TABLE: &str = "return (nil :: any) :: {";
const NEEDS: &str = "Needs the grant ";

/// The stub of a std module.
pub struct Stub {
    /// What the module is for, in Markdown: the comment below `--!strict`.
    pub summary: String,
    /// The type aliases.
    pub types: String,
    /// The functions, in order.
    pub functions: Vec<Documented>,
}

/// A function of a stub.
pub struct Documented {
    pub name: String,
    /// Its Luau type without the name, such as `(path: string) -> string`.
    pub signature: String,
    /// What it does, in Markdown, without the grant.
    pub doc: String,
    /// The grant that its text ends with.
    pub needs: Option<String>,
}

impl Stub {
    /// Reads the stub of the module `name`.
    pub fn read(name: &str) -> Self {
        let path = format!("scripts/types/{name}.luau");
        let text =
            fs::read_to_string(in_repository(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let text = text.replace('\t', "    ");
        let (head, table) = text
            .split_once(TABLE)
            .unwrap_or_else(|| panic!("{path}: there is no `{TABLE}`"));
        let head = head.trim_start_matches("--!strict\n");
        let (summary, types) = head.split_once("\n\n").unwrap_or((head, ""));
        Self {
            summary: uncommented(summary.lines(), "--"),
            types: types.trim().to_owned(),
            functions: functions(table),
        }
    }
}

fn uncommented<'a>(lines: impl Iterator<Item = &'a str>, marker: &str) -> String {
    let text = |line: &'a str| {
        let text = line.trim_start().strip_prefix(marker).unwrap_or(line);
        text.strip_prefix(' ').unwrap_or(text)
    };
    lines.map(text).collect::<Vec<_>>().join("\n")
}

fn functions(table: &str) -> Vec<Documented> {
    let mut functions = Vec::new();
    let mut lines = table.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line == "}" {
            continue;
        }
        let mut comment = vec![line];
        while let Some(next) = lines.next_if(|next| next.trim_start().starts_with("---")) {
            comment.push(next);
        }
        let mut field = String::new();
        while !is_complete(&field) {
            let next = lines.next().expect("a field ends with a comma");
            field += next.strip_prefix("    ").unwrap_or(next);
            field.push('\n');
        }
        functions.push(documented(&uncommented(comment.into_iter(), "---"), &field));
    }
    functions
}

/// Whether all brackets are closed and the comma is there.
fn is_complete(field: &str) -> bool {
    let count = |brackets: [char; 3]| field.matches(brackets).count();
    field.ends_with(",\n") && count(['(', '{', '[']) == count([')', '}', ']'])
}

fn documented(comment: &str, field: &str) -> Documented {
    let (name, signature) = field.split_once(": ").expect("a field has a type");
    let (doc, needs) = match comment.rsplit_once(NEEDS) {
        Some((doc, needs)) => (doc, Some(needs.trim_end_matches('.').to_owned())),
        None => (comment, None),
    };
    Documented {
        name: name.to_owned(),
        signature: signature.trim_end_matches(",\n").to_owned(),
        doc: doc.trim_end().to_owned(),
        needs,
    }
}
