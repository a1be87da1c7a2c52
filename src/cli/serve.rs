//! `moondock serve`: answers the engine until a signal ends it.

use crate::config::{Config, LocalAddress, Places, STATE};
use crate::server::{self, Outcome};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const LONG: &str = "Serve plugins to the engine

Each plugin gets a socket DIR/NAME.sock, NAME being the plugin's directory.
The engine finds it when something first asks for a plugin of that name.
`--listen` puts a plugin behind TCP or TLS instead, and a file in --spec-dir
tells the engine where.";

const AFTER: &str = "\
Signals:
  SIGTERM, SIGINT  take no more calls, finish those that run (see --drain)
                   and end; a second one ends at once
  SIGHUP           load all scripts again
  SIGUSR1          the same, with new grants (see `moondock reload`)

Examples:
  moondock serve                        every plugin below ./scripts
  moondock serve /etc/moondock/mynas    one plugin, named mynas
  moondock serve --listen unix,group=docker --listen nas=tls://10.0.0.5:9443";

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
        default_value = STATE
    )]
    state: PathBuf,
    /// How a plugin, or each that is not named, is reached: `unix[,mode=0660][,group=GROUP]`,
    /// `tcp://IP:PORT` (loopback only) or `tls://IP:PORT[,certs=DIR]`; may be given again for others,
    /// or several of them separated by spaces [default: unix]
    #[arg(
        long,
        value_name = "[NAME=]WHERE",
        env = "MOONDOCK_LISTEN",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    listen: Vec<String>,
    /// Where the engine looks for the files that name a TCP or TLS address
    #[arg(
        long,
        value_name = "DIR",
        env = "MOONDOCK_SPEC_DIR",
        hide_env_values = true,
        default_value = "/etc/docker/plugins"
    )]
    spec_dir: PathBuf,
    /// How long calls in flight may take once the process is asked to end, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    drain: u64,
    #[expect(clippy::doc_markdown, reason = "`--help` prints the text as it is")]
    /// Take settings from environment variables where they are set: `volume_root` from VOLUME_ROOT
    #[arg(long)]
    settings_from_env: bool,
    /// Run as the process of a managed plugin, which the engine starts itself: a start counts as an activation
    #[arg(long)]
    pub managed: bool,
    /// A path of the host that a managed plugin has at the same place: its policy judges no others
    #[arg(long = "host-path", value_name = "PATH", requires = "managed")]
    host_paths: Vec<PathBuf>,
    #[expect(clippy::doc_markdown, reason = "`--help` prints the text as it is")]
    /// Where Moondock's own metrics are served at `GET /metrics`: a Unix socket such as
    /// unix:///run/moondock/metrics.sock, or a loopback address such as 127.0.0.1:9323; nowhere by default
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MOONDOCK_METRICS",
        hide_env_values = true
    )]
    metrics: Option<LocalAddress>,
}

impl Serve {
    /// Serves until a signal ends it.
    pub fn run(self) -> Result<ExitCode> {
        let config = self.config()?;
        Ok(match server::run(&config)? {
            Outcome::Drained => ExitCode::SUCCESS,
            Outcome::Interrupted(signal) => ExitCode::from(128 + signal),
        })
    }

    fn config(self) -> Result<Config> {
        let places = Places {
            sockets: self.sockets,
            specs: self.spec_dir,
            state: self.state,
        };
        let listens: Vec<_> = self
            .listen
            .into_iter()
            .filter(|listen| !listen.is_empty())
            .collect();
        let config = Config::new(&self.paths, &places, &listens)?;
        Ok(Config {
            drain: Duration::from_secs(self.drain),
            metrics: self.metrics,
            managed: self.managed,
            settings_from_env: self.settings_from_env,
            host_paths: self.host_paths,
            ..config
        })
    }
}
