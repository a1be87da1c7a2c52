//! `moondock completions`: prints what makes a shell complete the command line.

use super::{command, print};
use anyhow::Result;
use clap::Args;
use clap_complete::{Shell, generate};
use std::process::ExitCode;

const LONG: &str = "Print the completions of a shell

Packages install them. Otherwise, save them where the shell looks for them, or
load them into the running shell.";

const AFTER: &str = "\
Examples:
  moondock completions bash > ~/.local/share/bash-completion/completions/moondock
  moondock completions fish > ~/.config/fish/completions/moondock.fish
  moondock completions zsh > ~/.zfunc/_moondock    with ~/.zfunc in $fpath
  source <(moondock completions bash)              for this shell only";

/// The arguments of `completions`.
#[derive(Debug, Args)]
#[command(about = "Print the completions of a shell", long_about = LONG, after_help = AFTER)]
pub struct Completions {
    /// Shell to make them for
    shell: Shell,
}

impl Completions {
    /// Prints the completions.
    pub fn run(self) -> Result<ExitCode> {
        let mut script = Vec::new();
        generate(self.shell, &mut command(), "moondock", &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
