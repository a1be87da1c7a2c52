//! `moondock fmt`: formats Lua files.

use super::{print, visible};
use crate::format::{Formatted, format_file, lua_files};
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const LONG: &str = "Format Lua files

Files that end in .lua or .luau get Moondock's own style, by StyLua: 100
columns, an indent of two spaces. It has no options. In directories, hidden
files are left out.

A file that Luau rejects is left as it is. The exit code is 1 if there was
one, or, with --check, a file that is not formatted.";

/// The arguments of `fmt`.
#[derive(Debug, Args)]
#[command(about = "Format Lua files", long_about = LONG)]
pub struct Fmt {
    /// Files, and directories with everything below them
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Write nothing, and print which files are not formatted
    #[arg(long)]
    check: bool,
}

impl Fmt {
    /// Formats the files, and prints the names of those that changed.
    pub fn run(self) -> Result<ExitCode> {
        let mut is_fine = true;
        for path in &self.paths {
            match lua_files(path) {
                Ok(files) => {
                    for file in &files {
                        is_fine &= self.format(file)?;
                    }
                }
                Err(problem) => is_fine = complain(&problem.to_string()),
            }
        }
        Ok(if is_fine {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Returns whether the file is formatted.
    fn format(&self, file: &Path) -> Result<bool> {
        let name = file.strip_prefix(".").unwrap_or(file).display();
        match format_file(file, self.check) {
            Ok(Formatted::Unchanged) => return Ok(true),
            Ok(Formatted::From(line)) if self.check => {
                print(&visible(&format!("{name}:{line}: not formatted\n")))?;
            }
            Ok(Formatted::From(_)) => {
                print(&visible(&format!("{name}\n")))?;
                return Ok(true);
            }
            Err(problem) => return Ok(complain(&problem.to_string())),
        }
        Ok(false)
    }
}

fn complain(problem: &str) -> bool {
    eprintln!("{}", visible(problem));
    false
}
