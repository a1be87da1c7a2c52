//! What the host functions of one script know about the call and the plugin they serve.

use super::Budget;
use crate::sys::{locks::Locks, store::Store};
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
    /// `[settings]` of `plugin.toml`.
    pub settings: toml::Table,
    /// What scripts keep, below `state`; opened when first used.
    pub store: Store,
    /// The named locks of the plugin's calls.
    pub locks: Locks,
}

impl Shared {
    /// What the plugin `name` shares, with its store as `store.redb` in the directory `state`.
    pub fn new(name: String, state: PathBuf, settings: toml::Table) -> Self {
        let store = Store::new(state.join("store.redb"));
        Self { name, state, settings, store, locks: Locks::default() }
    }
}

/// What one generation of one script is given to reach the outside.
#[derive(Debug)]
pub struct Host {
    /// The plugin that the script belongs to.
    pub shared: Rc<Shared>,
    /// The script's file name, such as `volume.lua`.
    pub script: String,
    /// The generation, counted from 1.
    pub generation: u64,
    /// The meter of the script's state.
    pub budget: Budget,
    /// False while top-level code runs: then nothing outside may be touched.
    pub in_call: Cell<bool>,
}
