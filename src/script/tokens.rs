//! The tokens of a Luau source, for lints that look for a few patterns. It parses nothing: a text
//! that Luau rejects has tokens too.

/// A token, and the line on which it begins, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'t> {
    /// What it is.
    pub kind: TokenKind<'t>,
    /// Its line.
    pub line: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind<'t> {
    /// A name or a keyword.
    Name(&'t str),
    /// A string without escapes.
    Text(&'t str),
    /// An operator, a bracket or another sign.
    Sign(&'t str),
    /// Anything else: a number, a string with escapes, a part of an interpolated string.
    Other,
}

/// The signs of more than one character, longest first.
const SIGNS: [&str; 16] = [
    "...", "..=", "//=", "==", "~=", "<=", ">=", "..", "::", "->", "+=", "-=", "*=", "/=", "%=",
    "^=",
];

/// Returns the tokens of a source, without comments.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        source,
        at: 0,
        line: 1,
        interpolations: Vec::new(),
        tokens: Vec::new(),
    };
    while lexer.skip_space_and_comments() {
        lexer.token();
    }
    lexer.tokens
}

struct Lexer<'t> {
    source: &'t str,
    at: usize,
    line: usize,
    /// How many braces are open within each `{…}` of an interpolated string.
    interpolations: Vec<usize>,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t> {
    /// Returns whether a token follows.
    fn skip_space_and_comments(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let space = rest.len() - rest.trim_start().len();
            self.advance(space);
            if !self.rest().starts_with("--") {
                return !self.rest().is_empty();
            }
            let comment = &self.rest()[2..];
            let length = match long_bracket(comment) {
                Some((_, length)) => length,
                None => comment.find('\n').unwrap_or(comment.len()),
            };
            self.advance(2 + length);
        }
    }

    fn token(&mut self) {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or_default();
        match first {
            'a'..='z' | 'A'..='Z' | '_' => self.push(TokenKind::Name(word(rest)), word(rest).len()),
            '0'..='9' => self.push(TokenKind::Other, number(rest).len()),
            '"' | '\'' => self.quoted(first),
            '`' => self.interpolated(1),
            '}' if self.interpolations.last() == Some(&0) => {
                self.interpolations.pop();
                self.interpolated(1);
            }
            '[' => match long_bracket(rest) {
                Some((text, length)) => self.push(TokenKind::Text(text), length),
                None => self.sign(1),
            },
            _ => {
                let long = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                self.sign(long.map_or(first.len_utf8(), |sign| sign.len()));
            }
        }
    }

    fn sign(&mut self, length: usize) {
        let sign = &self.rest()[..length];
        if let Some(open) = self.interpolations.last_mut() {
            match sign {
                "{" => *open += 1,
                "}" => *open -= 1,
                _ => {}
            }
        }
        self.push(TokenKind::Sign(sign), length);
    }

    fn quoted(&mut self, quote: char) {
        let inner = &self.rest()[1..];
        let length = text_length(inner, &[quote, '\n']);
        let text = &inner[..length];
        let kind = if text.contains('\\') {
            TokenKind::Other
        } else {
            TokenKind::Text(text)
        };
        self.push(kind, (length + 2).min(self.rest().len()));
    }

    /// Reads an interpolated string up to its next `{` or its end, after `skip` bytes.
    fn interpolated(&mut self, skip: usize) {
        let inner = &self.rest()[skip..];
        let length = text_length(inner, &['`', '{']);
        if inner[length..].starts_with('{') {
            self.interpolations.push(0);
        }
        self.push(TokenKind::Other, (skip + length + 1).min(self.rest().len()));
    }

    fn push(&mut self, kind: TokenKind<'t>, length: usize) {
        let line = self.line;
        self.tokens.push(Token { kind, line });
        self.advance(length);
    }

    fn advance(&mut self, length: usize) {
        let passed = &self.rest()[..length];
        self.line += passed.matches('\n').count();
        self.at += length;
    }

    fn rest(&self) -> &'t str {
        &self.source[self.at..]
    }
}

/// Returns the name at the beginning of `text`.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Returns the number at the beginning of `text`, without its sign and that of its exponent.
fn number(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
    &text[..end.unwrap_or(text.len())]
}

/// Returns the text within the `[[…]]` or `[==[…]==]` at the beginning of `text`, and the length
/// of the whole.
fn long_bracket(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix('[')?;
    let level = inner.len() - inner.trim_start_matches('=').len();
    let inner = inner[level..].strip_prefix('[')?;
    let close = format!("]{}]", "=".repeat(level));
    let end = inner.find(&close);
    let length = end.map_or(text.len(), |end| level + 2 + end + close.len());
    let content = &inner[..end.unwrap_or(inner.len())];
    // Luau leaves out a line feed directly after the bracket.
    Some((content.strip_prefix('\n').unwrap_or(content), length))
}

/// Returns the length of the text before one of `ends` that is not escaped.
fn text_length(text: &str, ends: &[char]) -> usize {
    let mut escaped = false;
    let end = text.find(|c: char| {
        let is_end = !escaped && ends.contains(&c);
        escaped = !escaped && c == '\\';
        is_end
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(source: &str) -> String {
        let show = |token: &Token| match token.kind {
            TokenKind::Name(name) => name.to_owned(),
            TokenKind::Text(text) => format!("<{text}>"),
            TokenKind::Sign(sign) => sign.to_owned(),
            TokenKind::Other => "?".to_owned(),
        };
        let shown: Vec<_> = tokens(source).iter().map(show).collect();
        shown.join(" ")
    }

    #[test]
    fn strings_comments_and_brackets_are_told_apart() {
        for (source, want) in [
            ("a.b == 'x'", "a . b == <x>"),
            ("a --b == 'x'\nc", "a c"),
            ("a --[[ b\n ]] c --[==[ ]] ]==] d", "a c d"),
            ("'a\"b' \"c'd\" ''", "<a\"b> <c'd> <>"),
            (r#"'it\'s' "a\\" b"#, "? ? b"),
            ("[[x\ny]] [=[ ]] ]=] a[1]", "<x\ny> < ]] > a [ ? ]"),
            ("[[\nx]]", "<x>"),
            (
                "`a{b == 'c' }d{ {e = `{f}`} }` g",
                "? b == <c> ? { e = ? f ? } ? g",
            ),
            ("`\\{a`b", "? b"),
            ("1.5e3 0x_F 'a'..'b' ...", "? ? <a> .. <b> ..."),
            ("x ~= y //= z :: é", "x ~= y //= z :: é"),
            ("'open\nnext", "<open> next"),
            ("[[open", "<open>"),
            ("`open{", "?"),
        ] {
            assert_eq!(shown(source), want, "{source}");
        }
    }

    #[test]
    fn tokens_have_their_lines() {
        let lines = tokens("a\n--[[\n\n]] b\n'x'\n[[\n]] c");
        let lines: Vec<_> = lines.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 4, 5, 6, 7]);
    }

    proptest! {
        #[test]
        fn any_text_has_tokens(source in "([a-z=~.\\[\\]{}`'\"\\\\\n -]|é){0,60}") {
            let _ = tokens(&source);
        }
    }
}
