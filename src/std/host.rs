//! What the host functions of one script know about the call and the plugin they serve.

use super::Budget;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

/// What all scripts of one plugin share, on the plugin's thread.
#[derive(Debug)]
pub struct Shared {
    /// The plugin's name, as Docker knows it.
    pub name: String,
    /// The plugin's directory under the state directory; created before scripts are loaded.
    pub state: PathBuf,
}

/// What one generation of one script is given to reach the outside.
#[derive(Debug)]
pub struct Host {
    /// The plugin that the script belongs to.
    pub shared: Rc<Shared>,
    /// `[settings]` of `plugin.toml`.
    pub settings: Rc<toml::Table>,
    /// The script's file name, such as `volume.lua`.
    pub script: String,
    /// The generation, counted from 1.
    pub generation: u64,
    /// The meter of the script's state.
    pub budget: Budget,
    /// False while top-level code runs: then nothing outside may be touched.
    pub in_call: Cell<bool>,
}
