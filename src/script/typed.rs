//! What is typed at a prompt, chunk by chunk.

use luau_syntax::allocator::AstArena;
use luau_syntax::ast::Statement;
use luau_syntax::ast_names::AstNameTable;
use luau_syntax::location::Position;
use luau_syntax::parser::{ParseOptions, parse};
use std::ops::Range;

const LOCAL: &str = "local";

/// All that was typed so far, with its lines.
#[derive(Debug, Default)]
pub(super) struct Typed {
    text: String,
    lines: usize,
}

impl Typed {
    /// Adds a chunk of one or several lines.
    pub fn add(&mut self, chunk: &str) {
        self.text.push_str(chunk);
        self.text.push('\n');
        self.lines += 1 + chunk.matches('\n').count();
    }

    /// Returns the text, as a file has it.
    pub fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Returns as many line ends as were typed.
    pub fn lines_before(&self) -> String {
        "\n".repeat(self.lines)
    }
}

/// Makes globals of the locals at the top level of a chunk, so that later chunks have them. All
/// lines keep their numbers.
pub(super) fn without_locals(text: &str) -> String {
    let arena = AstArena::new();
    let mut names = AstNameTable::new(&arena);
    let parsed = parse(text.as_bytes(), &arena, &mut names, ParseOptions::default());
    let Some(parsed) = parsed
        .ok()
        .filter(|parsed| parsed.metadata.errors.is_empty())
    else {
        return text.to_owned();
    };
    let mut edited = Edited::new(text);
    for statement in &parsed.root {
        edited.share(statement);
    }
    edited.finish()
}

/// A text, and the texts that are to be put into it.
struct Edited<'t> {
    text: &'t str,
    bytes: Vec<u8>,
    starts: Vec<usize>,
    /// Where a variable without a value ends.
    unset: Vec<usize>,
}

impl<'t> Edited<'t> {
    fn new(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            bytes: text.as_bytes().to_vec(),
            starts: [0].into_iter().chain(ends).collect(),
            unset: Vec::new(),
        }
    }

    fn share(&mut self, statement: Statement<'_>) {
        let start = self.at(statement.location().begin);
        let local = statement.as_local();
        let is_local = local.is_some() || statement.as_local_function().is_some();
        // A constant has another keyword, and stays one.
        if !is_local || !self.text[start..].starts_with(LOCAL) {
            return;
        }
        self.blank(start..start + LOCAL.len());
        let Some(local) = local else { return };
        let mut end = start;
        for binding in local.bindings {
            end = self.at(binding.location.end);
            if let Some(annotation) = binding.annotation {
                let name = end;
                end = self.at(annotation.location().end);
                self.blank(name..end);
            }
        }
        if local.values.is_empty() {
            self.unset.push(end);
        }
    }

    fn at(&self, position: Position) -> usize {
        let start = self.starts.get(position.line as usize);
        let at = start.map_or(self.text.len(), |start| start + position.column as usize);
        at.min(self.text.len())
    }

    /// Replaces a part by spaces, without its line ends.
    fn blank(&mut self, part: Range<usize>) {
        for byte in &mut self.bytes[part] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }

    fn finish(self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        for at in self.unset.into_iter().rev() {
            text.insert_str(at, " = nil");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locals_of_the_top_level_become_globals() {
        for (text, expected) in [
            ("local x = 1", "      x = 1"),
            ("local a, b = f()", "      a, b = f()"),
            ("local x: number = 1", "      x         = 1"),
            (
                "local a: { [string]: any }, b\nlocal c",
                "      a                   , b = nil\n      c = nil",
            ),
            (
                "local function f(n: number) return n end",
                "      function f(n: number) return n end",
            ),
            ("do local x = 1 end", "do local x = 1 end"),
            ("localize()", "localize()"),
            ("local x =", "local x ="),
            ("x = 1; local y = \"ü\"", "x = 1;       y = \"ü\""),
        ] {
            assert_eq!(without_locals(text), expected);
        }
    }
}
