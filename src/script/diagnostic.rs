//! Messages for the author of a script, with their place.

use super::cures::{cure_of, cure_of_syntax};
use super::excerpt::{Excerpt, columns, visible};
use super::failure::{CallFailure, Raised};
use super::place::{OWN, Place, split_frame, split_place};
use std::fmt;
use std::path::Path;

/// A problem in a script: what is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, relative to the plugin's directory; empty for what a script says on purpose, to
    /// the engine's user.
    pub file: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The message, in one line.
    pub message: String,
    /// What to do about it.
    pub cure: Option<String>,
    excerpt: Option<Box<Excerpt>>,
}

/// The limit of a message in bytes; the rest is cut off.
const MAX_MESSAGE: usize = 1 << 10;

impl Diagnostic {
    /// Creates a diagnostic about a file as a whole. Its name may hold a line end.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into().escape_debug().to_string(),
            line: None,
            message: first_line(&message.into()),
            cure: None,
            excerpt: None,
        }
    }

    /// Parses a message of Luau, `file:line: message`. A message without a place is about `file`.
    pub fn parse(file: &str, message: &str) -> Self {
        let located = split_place(message).map(|(file, line, message)| Self {
            line: Some(line),
            ..Self::of_file(file, message)
        });
        let diagnostic = located.unwrap_or_else(|| Self::of_file(file, message));
        Self {
            cure: cure_of(&diagnostic.message),
            ..diagnostic
        }
    }

    /// Creates the diagnostic of a failed call of a hook, which begins at `hook`.
    pub fn of_failure(file: &str, failure: &CallFailure, hook: Option<Place>) -> Self {
        match failure {
            CallFailure::Exhausted(why, place) => {
                let diagnostic = Self::of_file(file, why.to_string()).cure(why.cure());
                diagnostic.at_place(place.clone().or(hook), None)
            }
            CallFailure::Raised(raised) => Self::of_raised(file, raised, hook),
        }
    }

    fn of_raised(file: &str, raised: &Raised, hook: Option<Place>) -> Self {
        if raised.deliberate {
            return Self::of_file("", &raised.message);
        }
        let parsed = Self::parse(file, &raised.message);
        let frames = || raised.trace.iter().filter_map(|frame| split_frame(frame));
        let in_message = parsed.line.map(|line| (parsed.file.clone(), line));
        let own = frames().find(|(file, _)| !file.starts_with(OWN));
        let diagnostic = Self {
            file: file.to_owned(),
            line: None,
            ..parsed
        };
        diagnostic.at_place(in_message.or_else(|| frames().next()).or(hook), own)
    }

    /// Puts the diagnostic at a place. If that is in a kit, it is named at the end of the message,
    /// and the diagnostic is at `own`, the place in the author's files that led there.
    #[must_use]
    pub fn at_place(self, place: Option<Place>, own: Option<Place>) -> Self {
        match place {
            None => self,
            Some((file, line)) if file.starts_with(OWN) => Self {
                message: format!("{} ({})", self.message, in_kit(&file, line)),
                ..self
            }
            .at_place(own, None),
            Some((file, line)) => Self {
                file,
                line: Some(line),
                ..self
            },
        }
    }

    /// Names the file even if the script raised the message for Docker's user: while it loads, the
    /// message is for its author.
    #[must_use]
    pub fn or_in(self, file: &str) -> Self {
        if self.is_deliberate() {
            Self {
                file: file.to_owned(),
                ..self
            }
        } else {
            self
        }
    }

    /// Sets the line if there is none, and the message is not for Docker's user.
    #[must_use]
    pub fn or_at(self, line: Option<usize>) -> Self {
        let line = if self.is_deliberate() {
            self.line
        } else {
            self.line.or(line)
        };
        Self { line, ..self }
    }

    /// Returns whether the script raised the message for Docker's user, and so has no fault.
    pub fn is_deliberate(&self) -> bool {
        self.file.is_empty()
    }

    /// Sets the line.
    #[must_use]
    pub fn at(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }

    /// Sets the part of the line that it is about.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        self.pointing(Excerpt::About(subject.into()))
    }

    /// Sets the columns, in bytes from 0. The last may be beyond the end of the line.
    #[must_use]
    pub fn between(self, from: usize, to: usize) -> Self {
        self.pointing(Excerpt::Between(from, to))
    }

    fn pointing(self, excerpt: Excerpt) -> Self {
        Self {
            excerpt: Some(Box::new(excerpt)),
            ..self
        }
    }

    /// Returns the first column and the one after the last, in characters from 1, if the text of
    /// the line is known.
    pub fn columns(&self) -> Option<(usize, usize)> {
        let Some(Excerpt::Line { text, from, to }) = self.excerpt.as_deref() else {
            return None;
        };
        let column = |at: usize| text[..at].chars().count() + 1;
        Some((column(*from), column(*to)))
    }

    /// Sets what to do about it.
    #[must_use]
    pub fn cure(self, cure: impl Into<String>) -> Self {
        Self {
            cure: Some(cure.into()),
            ..self
        }
    }

    /// Adds the text of the line. `text_of` returns the text of a file.
    #[must_use]
    pub fn excerpt_from<'a>(mut self, text_of: impl Fn(&Path) -> Option<&'a [u8]>) -> Self {
        let Some((line, text)) = self.line.zip(text_of(Path::new(&self.file))) else {
            return self;
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let text = text.trim_start_matches('\u{feff}');
        if let Some(line) = text.lines().nth(line.saturating_sub(1)) {
            self.cure = self.cure.or_else(|| cure_of_syntax(&self.message, line));
            let (from, to) = match self.excerpt.as_deref() {
                Some(Excerpt::About(subject)) => columns(line, &format!("`{subject}`")),
                Some(&Excerpt::Between(from, to)) => (from, to),
                _ => columns(line, &self.message),
            };
            let from = line.floor_char_boundary(from);
            self.excerpt = Some(Box::new(Excerpt::Line {
                text: line.to_owned(),
                from,
                to: line.floor_char_boundary(to).max(from),
            }));
        }
        self
    }

    /// Returns the diagnostic in one line, for Docker's user; without the place if the script
    /// raised the message for them.
    pub fn short(&self) -> String {
        match self.line {
            _ if self.is_deliberate() => self.message.clone(),
            Some(line) => format!("{}:{line}: {}", self.file, self.message),
            None => format!("{}: {}", self.file, self.message),
        }
    }
}

/// All problems of one script, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    first: Diagnostic,
    more: Vec<Diagnostic>,
}

impl Problems {
    /// Collects the problems, if there are any.
    pub fn of(found: Vec<Diagnostic>) -> Option<Self> {
        let mut found = found.into_iter();
        found.next().map(|first| Self {
            first,
            more: found.collect(),
        })
    }

    /// Changes each problem.
    #[must_use]
    pub fn map(self, change: impl Fn(Diagnostic) -> Diagnostic) -> Self {
        Self {
            first: change(self.first),
            more: self.more.into_iter().map(change).collect(),
        }
    }
}

impl IntoIterator for Problems {
    type Item = Diagnostic;
    type IntoIter = std::iter::Chain<std::iter::Once<Diagnostic>, std::vec::IntoIter<Diagnostic>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.more)
    }
}

impl From<Diagnostic> for Problems {
    fn from(first: Diagnostic) -> Self {
        Self {
            first,
            more: Vec::new(),
        }
    }
}

/// Keeps the first problem.
impl From<Problems> for Diagnostic {
    fn from(problems: Problems) -> Self {
        problems.first
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.short())?;
        if let Some((excerpt, line)) = self.excerpt.as_ref().zip(self.line) {
            excerpt.write(f, line)?;
        }
        if let Some(cure) = &self.cure {
            write!(f, "\n  cure: {cure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// Describes a place in a kit, which is not a file of the author's.
fn in_kit(file: &str, line: usize) -> String {
    format!("in the kit {}, line {line}", file.trim_start_matches(OWN))
}

/// Returns the first line, in which no character changes what a terminal shows.
fn first_line(message: &str) -> String {
    let line = visible(message.lines().next().unwrap_or_default());
    match line.len() {
        ..=MAX_MESSAGE => line,
        _ => format!("{}…", &line[..line.floor_char_boundary(MAX_MESSAGE)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_file_line_excerpt_and_cure() {
        let text = b"local v = {}\n\tlocal name = v.opts.name\n";
        let diagnostic = Diagnostic::parse(
            "volume.lua",
            "volume.lua:2: attempt to index nil with 'name'",
        )
        .excerpt_from(|file| (file == Path::new("volume.lua")).then_some(&text[..]));
        let expected = "volume.lua:2: attempt to index nil with 'name'\n  |\n2 |     local name = v.opts.name\n  |                         ^^^^\n  cure: the value before the dot is nil here: check it first (`if x then …`)";
        assert_eq!(diagnostic.to_string(), expected);
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = format!("local a = {} oops {}", "x".repeat(500), "é".repeat(500));
        let text = line.clone().into_bytes();
        let of = |from: usize, to: usize| {
            let diagnostic = Diagnostic::of_file("a.lua", "no").at(Some(1));
            let shown = diagnostic
                .between(from, to)
                .excerpt_from(|_| Some(&text[..]));
            shown.to_string()
        };
        let at = line.find("oops").unwrap();
        let shown = of(at, at + 4);
        let lines: Vec<_> = shown.lines().collect();
        assert!(
            lines[2].starts_with("1 | …x") && lines[2].ends_with('…'),
            "{shown}"
        );
        let place = lines[3].chars().position(|c| c == '^').unwrap();
        let pointed: String = lines[2].chars().skip(place).take(4).collect();
        assert_eq!(
            (pointed.as_str(), lines[3].matches('^').count()),
            ("oops", 4)
        );
        assert!(of(0, usize::MAX).len() < 500);
    }

    #[test]
    fn a_message_for_dockers_user_has_no_place() {
        let message = "a sized volume has at least 8m".to_owned();
        let raised = Raised {
            message,
            deliberate: true,
            trace: vec!["volume.lua:3".to_owned()],
        };
        let hook = Some(("volume.lua".to_owned(), 7));
        let diagnostic = Diagnostic::of_failure("volume.lua", &CallFailure::Raised(raised), hook);
        assert_eq!(diagnostic.short(), "a sized volume has at least 8m");
    }

    #[test]
    fn errors_without_a_place_use_the_innermost_frame() {
        let raised = Raised {
            message: "fs.read: no such file".to_owned(),
            deliberate: false,
            trace: vec![
                "lib/a.lua:7 function load".to_owned(),
                "volume.lua:3".to_owned(),
            ],
        };
        let diagnostic = Diagnostic::of_failure("volume.lua", &CallFailure::Raised(raised), None);
        assert_eq!(diagnostic.short(), "lib/a.lua:7: fs.read: no such file");
    }

    #[test]
    fn a_place_in_a_kit_comes_after_the_authors_own() {
        for (message, trace, short) in [
            (
                "@moondock/options:9: bad",
                vec!["@moondock/options:9 function parse", "volume.lua:3"],
                "volume.lua:3: bad (in the kit options, line 9)",
            ),
            (
                "fs.read: bad",
                vec!["@moondock/volume:8 function get"],
                "volume.lua: fs.read: bad (in the kit volume, line 8)",
            ),
            ("bad", vec![], "volume.lua: bad (in the kit volume, line 7)"),
        ] {
            let raised = Raised {
                message: message.to_owned(),
                deliberate: false,
                trace: trace.into_iter().map(str::to_owned).collect(),
            };
            let hook = Some(("@moondock/volume".to_owned(), 7));
            let failure = CallFailure::Raised(raised);
            let diagnostic = Diagnostic::of_failure("volume.lua", &failure, hook);
            assert_eq!(diagnostic.short(), short);
        }
    }
}
