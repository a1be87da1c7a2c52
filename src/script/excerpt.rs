//! The line that a message is about, with a mark below the place.

use crate::grants::is_invisible;
use std::fmt;

/// What is shown of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Excerpt {
    /// The part to point at, which the message does not quote. The line's text is not known yet.
    About(String),
    /// The columns to point at, in bytes from 0. The line's text is not known yet.
    Between(usize, usize),
    /// The text of the line, and the columns to point at, in bytes from 0.
    Line {
        text: String,
        from: usize,
        to: usize,
    },
}

impl Excerpt {
    /// Writes the line below the message, once its text is known.
    pub(super) fn write(&self, f: &mut fmt::Formatter, line: usize) -> fmt::Result {
        let Self::Line { text, from, to } = self else {
            return Ok(());
        };
        let (shown, from, to) = window(text, *from, *to);
        let margin = " ".repeat(line.to_string().len());
        let indent = width(&shown[..from]);
        let pointer = " ".repeat(indent) + &"^".repeat(width(&shown[from..to]).max(1));
        let shown = shown.replace('\t', TAB);
        let shown = shown.replace(is_invisible, UNSHOWN);
        write!(f, "\n{margin} |\n{line} | {shown}\n{margin} | {pointer}")
    }
}

/// How much of a long line is shown, in bytes.
const WINDOW: usize = 160;

/// Returns the part of a line around some columns, and where they are in it.
fn window(line: &str, from: usize, to: usize) -> (String, usize, usize) {
    if line.len() <= WINDOW {
        return (line.to_owned(), from, to);
    }
    let begin = line.floor_char_boundary(from.saturating_sub(WINDOW / 2));
    let end = line.floor_char_boundary(begin + WINDOW);
    let cut = |is_cut| if is_cut { "…" } else { "" };
    let (before, after) = (cut(begin > 0), cut(end < line.len()));
    let shown = format!("{before}{}{after}", &line[begin..end]);
    let place = |at: usize| at.min(end) - begin + before.len();
    (shown, place(from), place(to))
}

/// How a tab is shown.
const TAB: &str = "    ";
/// How a character of a line is shown that would change what a terminal shows.
const UNSHOWN: &str = "\u{fffd}";

/// Escapes what would change what a terminal shows.
pub(super) fn visible(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for c in line.chars() {
        if is_invisible(c) && c != '\t' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Returns how many columns a text takes when it is shown.
fn width(text: &str) -> usize {
    let width = |c| if c == '\t' { TAB.len() } else { 1 };
    text.chars().map(width).sum()
}

/// Returns where a line has what the message quotes, or the whole statement, in bytes from 0.
pub(super) fn columns(line: &str, message: &str) -> (usize, usize) {
    let message = message.replace("'s ", " ");
    let quoted = message.rsplit(['\'', '`', '"']).skip(1).step_by(2);
    for part in quoted.filter(|part| !part.is_empty()) {
        // The quoted name is usually that of a field: prefer `settings.roots` to `local roots`, and
        // the text of `require("fs")` to `local fs`.
        let read = [
            format!(".{part}"),
            format!("\"{part}\""),
            format!("'{part}'"),
        ];
        let read = read
            .iter()
            .find_map(|text| line.rfind(text))
            .map(|at| at + 1);
        if let Some(at) = read.or_else(|| line.find(part)) {
            return (at, at + part.len());
        }
    }
    let indent = line.len() - line.trim_start().len();
    (indent, line.trim_end().len().max(indent))
}
