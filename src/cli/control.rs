//! How commands find the running process.

use crate::config::STATE;
use crate::server::Control;
use clap::Args;
use std::path::PathBuf;

/// The arguments that name the running process.
#[derive(Debug, Args)]
pub struct ProcessArgs {
    /// State directory of the running process
    #[arg(
        long,
        value_name = "DIR",
        env = "MOONDOCK_STATE",
        hide_env_values = true,
        default_value = STATE
    )]
    state: PathBuf,
    /// Control socket of the running process, if it is not in its state directory
    #[arg(
        long,
        value_name = "SOCKET",
        env = "MOONDOCK_CONTROL",
        hide_env_values = true
    )]
    control: Option<PathBuf>,
}

impl ProcessArgs {
    /// Returns the way to the process.
    pub fn control(self) -> Control {
        match self.control {
            Some(socket) => Control::Socket(socket),
            None => Control::State(self.state),
        }
    }
}
