//! The state of a plugin that a command opens by itself.

use crate::plugin::Plugin;
use crate::server::{StateLock, make_private};
use anyhow::{Context, Result};
use std::path::PathBuf;
use tempfile::TempDir;

/// The state directory of the plugin that a command opens.
pub struct StateDir {
    /// The directory.
    pub dir: PathBuf,
    _lock: Option<StateLock>,
    temporary: Option<TempDir>,
}

impl StateDir {
    /// Creates the directory of `plugin` below the given one, which is locked, or a temporary one.
    pub fn take(given: Option<PathBuf>, plugin: &str) -> Result<StateDir> {
        let Some(state) = given else {
            let temporary =
                TempDir::with_prefix("moondock-").context("cannot create a directory for state")?;
            return Ok(StateDir {
                dir: temporary.path().to_owned(),
                _lock: None,
                temporary: Some(temporary),
            });
        };
        let lock = StateLock::take(&state)?;
        let dir = std::path::absolute(state.join(plugin))?;
        make_private(&dir)?;
        Ok(StateDir {
            dir,
            _lock: Some(lock),
            temporary: None,
        })
    }

    /// Reports that what the plugin stored will be gone, if that is so.
    pub fn report_loss(&self, plugin: &Plugin) {
        if self.temporary.is_some() && plugin.has_stored() {
            tracing::info!("what was stored is gone: keep it with `--state DIR`");
        }
    }
}
