//! Texts in a policy's source that a field of a request can never be. Comparing with one is not an
//! error at run time: the rule just never applies.
//!
//! The lint looks for patterns of tokens, and judges `req.action == "…"` (also `~=`, and turned
//! around) for the fields of [`values::VALUES`], where `req` is a parameter of a hook or of that name; a
//! local variable that only ever holds such a field; and the keys of a table that is indexed with
//! one, `rules[req.action]`. What it does not recognise, it does not judge.

mod names;
mod values;

use self::names::{Names, Subject};
use self::values::Values;
use crate::host::suggestion;
use crate::script::{Diagnostic, Token, TokenKind, tokens};
use std::path::Path;

/// What the lint found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lint {
    /// Comparisons that are never true.
    pub errors: Vec<Diagnostic>,
    /// Keys of tables that are never looked up.
    pub warnings: Vec<Diagnostic>,
}

/// Judges the files of a policy.
pub fn lint<'f>(files: impl IntoIterator<Item = (&'f Path, &'f [u8])>) -> Lint {
    let mut lint = Lint::default();
    for (path, text) in files {
        let (file, text) = (path.display().to_string(), String::from_utf8_lossy(text));
        let tokens = tokens(&text);
        let source = Source {
            file: &file,
            names: Names::of(&tokens),
            tokens: &tokens,
        };
        lint.errors.extend(source.comparisons());
        lint.warnings.extend(source.keys());
    }
    lint
}

struct Source<'s> {
    file: &'s str,
    tokens: &'s [Token<'s>],
    names: Names<'s>,
}

impl Source<'_> {
    fn comparisons(&self) -> Vec<Diagnostic> {
        let equals = |at: &usize| matches!(self.kind(*at), TokenKind::Sign("==" | "~="));
        let all = (0..self.tokens.len()).filter(equals);
        all.filter_map(|at| self.comparison(at)).collect()
    }

    /// Judges the comparison whose operator is at `at`.
    fn comparison(&self, at: usize) -> Option<Diagnostic> {
        let (subject, text) = match (self.kind(at.checked_sub(1)?), self.kind(at + 1)) {
            (_, TokenKind::Text(text)) if !self.continues(at + 2) => {
                (self.names.ending_at(self.tokens, at - 1)?, text)
            }
            (TokenKind::Text(text), _) if !self.is_sign(at.checked_sub(2)?, "..") => {
                let (subject, next) = self.names.beginning_at(self.tokens, at + 1)?;
                (!self.continues(next)).then_some((subject, text))?
            }
            _ => return None,
        };
        let values = Values::of(subject.field)?;
        (!values.contain(text)).then(|| {
            let message = format!("`{}` is never `{text}`", subject.shown());
            self.diagnostic(at, message, values.near(text))
        })
    }

    /// Judges the keys of all tables that are indexed with a field of the request.
    fn keys(&self) -> Vec<Diagnostic> {
        let indexes = |at: &usize| self.is_sign(*at, "[");
        let mut found = Vec::new();
        for at in (0..self.tokens.len()).filter(indexes) {
            if let Some((table, subject)) = self.index(at) {
                found.extend(self.keys_of(table, &subject));
            }
        }
        found.sort_by_key(|diagnostic: &Diagnostic| diagnostic.line);
        found.dedup();
        found
    }

    /// Returns the table and the subject of `table[req.action]`, whose `[` is at `at`.
    fn index(&self, at: usize) -> Option<(&str, Subject<'_>)> {
        let TokenKind::Name(table) = self.kind(at.checked_sub(1)?) else {
            return None;
        };
        let (subject, next) = self.names.beginning_at(self.tokens, at + 1)?;
        self.is_sign(next, "]").then_some((table, subject))
    }

    fn keys_of(&self, table: &str, subject: &Subject<'_>) -> Vec<Diagnostic> {
        let Some(values) = Values::of(subject.field) else {
            return Vec::new();
        };
        let is_table = |at: &usize| self.kind(*at) == TokenKind::Name(table);
        let keys = (0..self.tokens.len()).filter(is_table).flat_map(|at| {
            self.assigned_key(at)
                .into_iter()
                .chain(self.constructed_keys(at))
        });
        let wrong = keys.filter(|(_, key)| values.may_mean(key));
        wrong
            .map(|(at, key)| {
                let message = format!("`{}` is never `{key}`, a key of `{table}`", subject.shown());
                self.diagnostic(at, message, values.near(key))
            })
            .collect()
    }

    /// Returns the key of `table["key"] =`, for the name at `at`.
    fn assigned_key(&self, at: usize) -> Option<(usize, &str)> {
        let TokenKind::Text(key) = self.kind(at + 2) else {
            return None;
        };
        let assigns = self.is_sign(at + 1, "[") && self.is_sign(at + 3, "]");
        (assigns && self.is_sign(at + 4, "=")).then_some((at + 2, key))
    }

    /// Returns the keys of `table = { ["key"] = …, key = … }`, for the name at `at`.
    fn constructed_keys(&self, at: usize) -> Vec<(usize, &str)> {
        let (mut keys, mut depth) = (Vec::new(), 0);
        if !self.is_sign(at + 1, "=") || !self.is_sign(at + 2, "{") {
            return keys;
        }
        for at in at + 2..self.tokens.len() {
            match self.kind(at) {
                // An `if` in an expression has no `end`, so the depth may be wrong here: stop at the
                // next statement.
                TokenKind::Name("local" | "return") if depth == 1 => break,
                TokenKind::Text(key) if depth == 1 && self.is_sign(at + 1, "]") => {
                    keys.push((at, key));
                }
                TokenKind::Name(key) if depth == 1 && self.is_sign(at + 1, "=") => {
                    keys.push((at, key));
                }
                kind => depth += self.step(at, kind),
            }
            if depth == 0 {
                break;
            }
        }
        keys
    }

    /// Returns by how much a token changes the depth of brackets and blocks.
    fn step(&self, at: usize, kind: TokenKind<'_>) -> i32 {
        match kind {
            TokenKind::Sign("{" | "(") | TokenKind::Name("function" | "do") => 1,
            TokenKind::Sign("}" | ")") | TokenKind::Name("end") => -1,
            TokenKind::Name("if") if self.begins_statement(at) => 1,
            _ => 0,
        }
    }

    /// Returns whether the `if` at `at` is a statement, which has an `end`.
    fn begins_statement(&self, at: usize) -> bool {
        match at.checked_sub(1).map(|before| self.kind(before)) {
            Some(TokenKind::Sign(sign)) => matches!(sign, ")" | "]" | "}" | ";"),
            Some(TokenKind::Name(name)) => !matches!(name, "return" | "and" | "or" | "not"),
            _ => true,
        }
    }

    /// Returns whether the token at `at` makes what precedes it a part of a larger operand.
    fn continues(&self, at: usize) -> bool {
        matches!(self.kind(at), TokenKind::Sign("." | ".." | "[" | "(" | ":"))
    }

    fn is_sign(&self, at: usize, sign: &str) -> bool {
        names::sign(self.tokens, at, sign)
    }

    fn kind(&self, at: usize) -> TokenKind<'_> {
        names::kind(self.tokens, at)
    }

    fn diagnostic(&self, at: usize, message: String, near: Option<&str>) -> Diagnostic {
        let message = message + &suggestion(near);
        Diagnostic::of_file(self.file, message).at(self.tokens.get(at).map(|token| token.line))
    }
}

#[cfg(test)]
mod tests;
