//! What a prompt in a plugin's world stands on.

use super::{Accepted, Manifest, OpenError, Plugin, PluginSpec};
use crate::script::{Diagnostic, Session};
use std::rc::Rc;
use std::sync::Arc;

impl Plugin {
    /// Creates a state that runs what is typed, with the modules, the grants, the store and the
    /// limits of the plugin.
    ///
    /// # Errors
    /// What is wrong with `plugin.toml`.
    pub fn session(&self) -> Result<Session, Diagnostic> {
        let sources = self.sources.borrow().clone();
        let manifest = Manifest::read_with(&sources, &self.core.spec.surroundings.variables)?;
        let limits = manifest.limits();
        let shared = self.core.shared.clone();
        Session::new(shared, Arc::new(manifest.settings), limits, sources)
    }

    /// Opens the plugin anew, from its files as they are now, on the state that it has. The grants
    /// are accepted, as at the first time.
    ///
    /// # Errors
    /// Those of [`Plugin::open`].
    pub async fn opened_anew(&self) -> Result<Rc<Self>, OpenError> {
        let spec = PluginSpec {
            accepted: Accepted::default(),
            ..self.core.spec.clone()
        };
        let sources = Arc::new(spec.read_sources().await?);
        Self::open_on(self.core.shared.clone(), spec, sources).await
    }

    /// Returns the plugin's grants, each with what it allows in words.
    pub fn grants(&self) -> Vec<(String, String)> {
        let granted = self.core.shared.granted();
        let described = granted
            .iter()
            .map(|grant| (grant.to_string(), grant.in_words()));
        described.collect()
    }
}
