//! `moondock serve`: answers the engine until a signal stops it.

use crate::config::{Config, LocalAddress, Places, STATE};
use crate::server::{self, Outcome};
use anyhow::Result;
use clap::Args;
use std::path::{PathBuf, absolute};
use std::process::ExitCode;
use std::time::Duration;

const LONG: &str = "Serve plugins to the engine

Each plugin gets a socket DIR/NAME.sock, where NAME is the name of its
directory. The engine finds the socket when a plugin of that name is first
used. Below a directory of several plugins, plugins come and go with their
directories; if it has none yet, moondock waits for the first. What cannot be
served is an error in the log, and does not keep the others from being served
(but see --strict). `--listen` serves a plugin over TCP or TLS instead, and
writes its address to a file in --spec-dir, where the engine finds it.";

const AFTER: &str = "\
Signals:
  SIGTERM, SIGINT  finish calls in flight (see --drain) and exit; a second
                   signal exits at once
  SIGHUP           reload all scripts (`moondock reload` also says what became
                   of them)
  SIGUSR1          reload all scripts and accept new grants

Examples:
  moondock serve                        every plugin below ./scripts
  moondock serve /etc/moondock/mynas    one plugin, named mynas
  moondock serve --listen unix,group=docker --listen nas=tls://10.0.0.5:9443";

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(about = "Serve plugins to the engine", long_about = LONG, after_help = AFTER)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Serve {
    /// Directory of a plugin (it contains authz.lua, volume.lua, ...), or of several plugins
    #[arg(value_name = "PATH", default_value = "scripts")]
    paths: Vec<PathBuf>,
    /// Directory in which the engine looks for sockets
    #[arg(
        long,
        value_name = "DIR",
        env = "MOONDOCK_SOCKETS",
        hide_env_values = true,
        default_value = "/run/docker/plugins"
    )]
    sockets: PathBuf,
    /// Directory for the state of plugins, which one process at a time can use
    #[arg(
        long,
        value_name = "DIR",
        env = "MOONDOCK_STATE",
        hide_env_values = true,
        default_value = STATE
    )]
    state: PathBuf,
    /// Transport of the plugin NAME, or of all plugins without their own:
    /// `unix[,mode=0660][,group=GROUP]`, `tcp://IP:PORT` (loopback only) or
    /// `tls://IP:PORT[,certs=DIR]`. Can be repeated, or separated by spaces [default: unix]
    #[arg(
        long,
        value_name = "[NAME=]WHERE",
        env = "MOONDOCK_LISTEN",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    listen: Vec<String>,
    /// Directory in which the engine looks for files with TCP and TLS addresses
    #[arg(
        long,
        value_name = "DIR",
        env = "MOONDOCK_SPEC_DIR",
        hide_env_values = true,
        default_value = "/etc/docker/plugins"
    )]
    spec_dir: PathBuf,
    /// Exit with an error before anything is served if there is no plugin, a driver cannot be
    /// loaded, a directory is badly named, or a socket cannot be bound, instead of serving the
    /// other plugins
    #[arg(long)]
    strict: bool,
    /// Run the tests of a plugin when one of its files is saved: a version whose tests fail does not
    /// go live
    #[arg(long, conflicts_with = "managed")]
    test_on_reload: bool,
    /// Timeout for calls in flight at shutdown, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    drain: u64,
    #[expect(clippy::doc_markdown, reason = "`--help` prints the text as it is")]
    /// Override settings by environment variables: `volume_root` by VOLUME_ROOT
    #[arg(long)]
    settings_from_env: bool,
    /// Run as a managed plugin, which the engine starts: each start counts as an activation
    #[arg(long)]
    pub managed: bool,
    /// Path of the host that is mounted at the same path in a managed plugin; its policy rejects
    /// other paths
    #[arg(long = "host-path", value_name = "PATH", requires = "managed")]
    host_paths: Vec<PathBuf>,
    #[expect(clippy::doc_markdown, reason = "`--help` prints the text as it is")]
    /// Serve Moondock's own metrics (`GET /metrics`) at a Unix socket such as
    /// unix:///run/moondock/metrics.sock, or at a loopback address such as 127.0.0.1:9323
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MOONDOCK_METRICS",
        hide_env_values = true
    )]
    metrics: Option<LocalAddress>,
    /// Socket for `moondock status`, `trace` and `reload` [default: control.sock in --state]
    #[arg(
        long,
        value_name = "SOCKET",
        env = "MOONDOCK_CONTROL",
        hide_env_values = true
    )]
    control: Option<PathBuf>,
}

impl Serve {
    /// Serves until a signal stops it.
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
        // The engine shows that a plugin cannot be enabled, and why.
        let strict = self.strict || self.managed;
        let config = Config::new(&self.paths, &places, &listens, strict)?;
        Ok(Config {
            drain: Duration::from_secs(self.drain),
            metrics: self.metrics,
            control: self.control.map(absolute).transpose()?,
            managed: self.managed,
            test_on_reload: self.test_on_reload,
            settings_from_env: self.settings_from_env,
            host_paths: self.host_paths,
            ..config
        })
    }
}
