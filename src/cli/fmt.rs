//! `moondock fmt`: formats Lua files.

use super::{print, visible};
use crate::format::{FormatError, Formatted, format_file, format_text, lua_files};
use anyhow::{Context, Result};
use clap::Args;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const LONG: &str = "Format Lua files

Gives files that end in .lua or .luau the style of Moondock's own scripts, by
StyLua: lines of 100 columns, an indent of two spaces. There are no options to
choose another. Prints the files that it changes. In directories, hidden files
and links are left out.

A file that cannot be parsed is left as it is, and the exit code is 1. So it is
for a file that is not formatted, with --check.";

const AFTER: &str = "\
Examples:
  moondock fmt scripts/mydisk            format all files of a plugin, with its tests
  moondock fmt --check                   what would change in this directory
  moondock fmt - < volume.lua            print the formatted text";

/// The arguments of `fmt`.
#[derive(Debug, Args)]
#[command(about = "Format Lua files", long_about = LONG, after_help = AFTER)]
pub struct Fmt {
    /// Files, and directories with everything below them; - for stdin, to stdout
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Write nothing, and print what would change, as `diff -u` does
    #[arg(long)]
    check: bool,
}

impl Fmt {
    /// Formats the files, and prints the names of those that changed.
    pub fn run(self) -> Result<ExitCode> {
        let mut is_fine = true;
        for path in &self.paths {
            is_fine &= if path == Path::new("-") {
                self.stdin()?
            } else {
                self.below(path)?
            };
        }
        Ok(ExitCode::from(u8::from(!is_fine)))
    }

    fn stdin(&self) -> Result<bool> {
        let mut text = Vec::new();
        stdin()
            .read_to_end(&mut text)
            .context("cannot read stdin")?;
        match format_text("stdin", &text) {
            Ok(formatted) if self.check => shown(&formatted),
            Ok(formatted) => print(&formatted.after).map(|()| true),
            Err(problem) => Ok(complain(&problem)),
        }
    }

    /// Formats the files at a path. Returns whether nothing is wrong with them.
    fn below(&self, path: &Path) -> Result<bool> {
        let files = match lua_files(path) {
            Ok(files) => files,
            Err(problem) => return Ok(complain(&problem)),
        };
        let mut is_fine = true;
        for file in &files {
            is_fine &= self.format(file.strip_prefix(".").unwrap_or(file))?;
        }
        Ok(is_fine)
    }

    fn format(&self, file: &Path) -> Result<bool> {
        let saved = format_file(file).and_then(|formatted| {
            if formatted.is_changed() && !self.check {
                formatted.save(file)?;
            }
            Ok(formatted)
        });
        match saved {
            Ok(formatted) if self.check => shown(&formatted),
            Ok(formatted) if formatted.is_changed() => {
                print(&visible(&format!("{}\n", file.display()))).map(|()| true)
            }
            Ok(_) => Ok(true),
            Err(problem) => Ok(complain(&problem)),
        }
    }
}

/// Prints what would change. Returns whether it is nothing.
fn shown(formatted: &Formatted) -> Result<bool> {
    print(&visible(&formatted.diff()))?;
    Ok(!formatted.is_changed())
}

fn complain(problem: &FormatError) -> bool {
    eprintln!("{}", visible(&problem.to_string()));
    false
}
