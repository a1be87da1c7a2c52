//! `moondock reload`: has a running process load its scripts again.

use super::print;
use crate::config::STATE;
use crate::server;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

const LONG: &str = "Have the running moondock load its scripts again

Finds the process that serves with the state directory and sends it SIGHUP, or
SIGUSR1 to accept grants. What comes of it is in that process's log. The
process must be visible from here: not in another container.";

/// The arguments of `reload`.
#[derive(Debug, Args)]
#[command(about = "Have the running moondock load its scripts again", long_about = LONG)]
pub struct Reload {
    /// Also give scripts what `grants` in their plugin.toml says now, new grants included
    #[arg(long)]
    accept_grants: bool,
    /// The state directory that the process was started with
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
    /// Asks, and says whom.
    pub fn run(self) -> Result<ExitCode> {
        let process = server::ask_to_reload(&self.state, self.accept_grants)?;
        let grants = if self.accept_grants {
            ", with the grants that they have now"
        } else {
            ""
        };
        print(&format!(
            "process {process} loads its scripts again{grants}: see its log\n"
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
