//! Tests of a plugin: files such as `volume_test.lua` beside its scripts, whose cases call the plugin
//! as Docker does, on a machine that is not real.

mod carry;
mod case;
mod coverage;
mod feed;
mod files;
mod lists;
mod machine;
mod native;
mod report;
mod rig;
mod run;
mod snapshots;

pub use coverage::Coverage;
pub use report::{Format, Summary};
pub use run::run;

use crate::plugin::PluginSpec;
use crate::script::Sources;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

/// How tests are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// A part of the names of the cases to run; all if it is empty.
    pub filter: String,
    /// What the order of the cases is made from.
    pub seed: u64,
    /// How many cases run at once.
    pub jobs: NonZero<usize>,
    /// Whether snapshots that differ are replaced.
    pub update: bool,
    /// Whether nobody has asked for the tests: they then reach nothing real, and write no snapshots.
    pub unattended: bool,
}

/// What became of a case.
#[derive(Debug, Clone)]
pub struct Tested {
    /// The plugin.
    pub plugin: String,
    /// The file of tests, below the plugin's directory.
    pub file: String,
    /// The case; none if the file as a whole failed.
    pub case: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// Why a case failed, and what led to it.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// What is wrong, and where.
    pub message: String,
    /// The last calls with their replies.
    pub calls: Vec<String>,
    /// The last lines of the log.
    pub log: Vec<String>,
}

impl Failure {
    fn of(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }
}

/// Checks whether the tests of a plugin pass for these files.
///
/// # Errors
/// What fails, for the author.
pub fn verify(plugin: &PluginSpec, sources: &Arc<Sources>) -> Result<(), String> {
    let options = Options {
        filter: String::new(),
        seed: fastrand::u64(..),
        jobs: available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        update: false,
        unattended: true,
    };
    let failures = Mutex::new(String::new());
    let report = |tested: Tested| {
        if tested.failure.is_some() {
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures += &report::pretty(&tested);
        }
    };
    run(plugin, sources, &options, &report);
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("its tests fail:\n{}", failures.trim_end()))
    }
}
