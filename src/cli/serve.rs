//! `moondock serve`: answers the engine until a signal ends it.

use crate::config::{Config, Listen};
use crate::server::{self, Outcome};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

const LONG: &str = "Serve plugins to the engine

Each plugin gets a socket DIR/NAME.sock, NAME being the plugin's directory.
The engine finds it when something first asks for a plugin of that name.";

const AFTER: &str = "\
Signals:
  SIGTERM, SIGINT  take no more calls, finish those that run (at most 5 s)
                   and end; a second one ends at once
  SIGHUP           load all scripts again

Examples:
  moondock serve                        every plugin below ./scripts
  moondock serve /etc/moondock/mynas    one plugin, named mynas";

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(about = "Serve plugins to the engine", long_about = LONG, after_help = AFTER)]
pub struct Serve {
    /// A plugin's directory (it holds authz.lua, volume.lua, ...), or a directory of such directories
    #[arg(value_name = "PATH", default_value = "scripts")]
    paths: Vec<PathBuf>,
    /// Where the engine looks for sockets
    #[arg(
        long,
        value_name = "DIR",
        env = "MOONDOCK_SOCKETS",
        hide_env_values = true,
        default_value = "/run/docker/plugins"
    )]
    sockets: PathBuf,
    /// Where plugins keep what must outlive the process; one process at a time
    #[arg(
        long,
        value_name = "DIR",
        env = "MOONDOCK_STATE",
        hide_env_values = true,
        default_value = "/var/lib/moondock"
    )]
    state: PathBuf,
    /// Where Moondock's own metrics are served at `GET /metrics`: a Unix socket such as
    /// unix:///run/moondock/metrics.sock, or a loopback address such as 127.0.0.1:9323; nowhere by default
    #[arg(long, value_name = "ADDRESS", env = "MOONDOCK_METRICS", hide_env_values = true)]
    metrics: Option<Listen>,
}

impl Serve {
    /// Serves until a signal ends it.
    pub fn run(self) -> Result<ExitCode> {
        let found = Config::new(&self.paths, &self.sockets, &self.state)?;
        let config = Config { metrics: self.metrics, ..found };
        Ok(match server::run(&config)? {
            Outcome::Drained => ExitCode::SUCCESS,
            Outcome::Interrupted(signal) => ExitCode::from(128 + signal),
        })
    }
}
