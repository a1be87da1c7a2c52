//! `moondock man`: writes the manual pages.

use super::command;
use anyhow::{Context, Result};
use clap::Args;
use clap_mangen::generate_to;
use std::path::PathBuf;
use std::process::ExitCode;

const LONG: &str = "Write the manual pages

Writes moondock.1, and a page for each command such as moondock-serve.1, to a
directory that exists. Packages install them.";

const AFTER: &str = "\
Examples:
  moondock man ~/.local/share/man/man1
  man moondock-serve";

/// The arguments of `man`.
#[derive(Debug, Args)]
#[command(about = "Write the manual pages", long_about = LONG, after_help = AFTER)]
pub struct Man {
    /// Directory of the pages, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Man {
    /// Writes the pages.
    pub fn run(self) -> Result<ExitCode> {
        let written = generate_to(command(), &self.dir);
        written.with_context(|| format!("cannot write pages to `{}`", self.dir.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
