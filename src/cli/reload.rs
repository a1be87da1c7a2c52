//! `moondock reload`: tells a running process to reload its scripts.

use super::print;
use crate::config::STATE;
use crate::server;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

const LONG: &str = "Reload the scripts of the running moondock

Finds the process that serves with the state directory, and sends it SIGHUP, or
SIGUSR1 to accept grants. The result is in the log of that process. The process
must be visible from here, and not run in another container.";

/// The arguments of `reload`.
#[derive(Debug, Args)]
#[command(about = "Reload the scripts of the running moondock", long_about = LONG)]
pub struct Reload {
    /// Accept the grants that plugin.toml contains now, including new ones
    #[arg(long)]
    accept_grants: bool,
    /// State directory of the running process
    #[arg(
        long,
        value_name = "DIR",
        env = "MOONDOCK_STATE",
        hide_env_values = true,
        default_value = STATE
    )]
    state: PathBuf,
}

impl Reload {
    /// Sends the signal, and prints the process ID.
    pub fn run(self) -> Result<ExitCode> {
        let process = server::ask_to_reload(&self.state, self.accept_grants)?;
        let grants = if self.accept_grants {
            " and accepts new grants"
        } else {
            ""
        };
        print(&format!(
            "process {process} reloads its scripts{grants}: see its log\n"
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
