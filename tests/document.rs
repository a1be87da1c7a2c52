//! The fenced blocks of a document, the commands in them, and whether a command prints what is
//! shown.

#![allow(
    dead_code,
    reason = "the test programs need different parts of a document"
)]

use regex_lite::{Regex, escape};

/// A fenced block of a document.
pub struct Block {
    pub language: String,
    pub text: String,
    pub line: usize,
}

/// A command of a console block, with what the block shows below it.
pub struct Shown {
    pub command: String,
    pub output: String,
}

impl Block {
    /// The path in a first line such as `-- mydisk/volume.lua`.
    pub fn path(&self) -> Option<&str> {
        let comment = match self.language.as_str() {
            "lua" => "-- ",
            "toml" => "# ",
            _ => return None,
        };
        let path = self.text.lines().next()?.strip_prefix(comment)?;
        (path.contains('/') && !path.contains(' ')).then_some(path)
    }

    /// The commands of a console block.
    pub fn commands(&self) -> Vec<Shown> {
        let mut all: Vec<Shown> = Vec::new();
        for line in self.text.lines().filter(|_| self.language == "console") {
            match (line.strip_prefix("$ "), all.last_mut()) {
                (Some(command), _) => all.push(Shown {
                    command: command.to_owned(),
                    output: String::new(),
                }),
                (None, Some(last)) => last.output += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        all
    }
}

impl Shown {
    /// Whether the command printed what is shown, where `…` stands for any text. What a command prints
    /// is its output, or, if it has none, its complaint.
    pub fn compare(&self, stdout: &str, stderr: &str) -> Result<(), String> {
        let printed = if stdout.is_empty() { stderr } else { stdout };
        let is_test = self.command.starts_with("moondock test ");
        let is_shown = match is_test {
            true => matches(&without_numbers(printed), &without_numbers(&self.output)),
            false => matches(printed, &self.output),
        };
        match is_shown {
            true => Ok(()),
            false => Err(format!("`{}` prints\n{printed}", self.command)),
        }
    }
}

/// Whether `printed` is as `shown`, where `…` stands for any text.
pub fn matches(printed: &str, shown: &str) -> bool {
    let parts: Vec<_> = shown.trim_end().split('…').map(escape).collect();
    let pattern = format!("(?s)^{}$", parts.join(".*"));
    Regex::new(&pattern).unwrap().is_match(printed.trim_end())
}

/// Times and seeds differ from run to run.
fn without_numbers(text: &str) -> String {
    text.trim_end()
        .split(|c: char| c.is_ascii_digit())
        .collect()
}

/// The fenced blocks of a document, in their order.
pub fn blocks(document: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (index, line) in document.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                    line: index + 1,
                });
            }
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}
