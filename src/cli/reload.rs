//! `moondock reload`: tells a running process to reload its scripts.

use super::control::ProcessArgs;
use super::{on_this_thread, print, visible};
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

const LONG: &str = "Reload the scripts of the running moondock

Finds the process by its state directory, has it look for new and removed
plugins and load all scripts again, and prints what became of each:

  live         its new version answers calls
  loaded again, same files
               the same, from files that did not change
  kept         its previous version answers calls, for this reason
  broken       no version of it runs, and its calls fail with this reason
  grants not accepted
               the previous version of the plugin answers calls
  new, gone    the plugin's directory was added, or removed

The exit code is 1 if something was not taken over. Send SIGHUP to the process
to reload without waiting for the result.";

/// The arguments of `reload`.
#[derive(Debug, Args)]
#[command(about = "Reload the scripts of the running moondock", long_about = LONG)]
pub struct Reload {
    /// Accept the grants that plugin.toml contains now, including new ones
    #[arg(long)]
    accept_grants: bool,
    #[command(flatten)]
    process: ProcessArgs,
}

impl Reload {
    /// Asks for the reload, and prints what it did.
    pub fn run(self) -> Result<ExitCode> {
        let control = self.process.control();
        let report = on_this_thread(control.reload(self.accept_grants))??;
        let lines = report
            .lines
            .iter()
            .map(|line| format!("{}\n", visible(line)));
        print(&lines.collect::<String>())?;
        Ok(if report.is_complete {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
