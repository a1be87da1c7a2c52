//! `moondock check`: checks scripts without an engine.

mod json;
mod text;

use super::{on_this_thread, print};
use crate::check::{Inspection, Severity, inspect};
use crate::config::{PluginDir, Roster};
use crate::plugin::{OpenError, PluginSpec};
use crate::telemetry::chain;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

const LONG: &str = "Check scripts without an engine

Loads every script as `serve` does, checks its types and those of its tests,
and shows which methods each plugin answers and every error and warning. No
hook is called, and nothing is written. The exit code is 1 if there is an
error.

A script is checked for everything that its types say if it begins with
`--!strict`, and otherwise for what is certainly wrong.";

/// The arguments of `check`.
#[derive(Debug, Args)]
#[command(about = "Check scripts without an engine", long_about = LONG)]
pub struct Check {
    /// Directory of a plugin (it contains authz.lua, volume.lua, ...), or of several plugins
    #[arg(value_name = "PATH", default_value = "scripts")]
    paths: Vec<PathBuf>,
    /// Let warnings count as errors: the exit code is 1 if there is one
    #[arg(long)]
    strict: bool,
    /// Print errors and warnings only
    #[arg(long, short)]
    quiet: bool,
    /// Print each error, warning and note as a line of JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

/// What is reported about all plugins.
#[derive(Debug, Default)]
struct Total {
    plugins: usize,
    errors: usize,
    warnings: usize,
}

/// A plugin, and what was found in it.
type Checked<'p> = (&'p PluginDir, Result<Inspection, OpenError>);

impl Check {
    /// Prints the findings of all plugins.
    pub fn run(self) -> Result<ExitCode> {
        let (roster, mut problems) = Roster::of_each(&self.paths);
        if self.paths.len() == 1 && !problems.is_empty() {
            return Err(problems.swap_remove(0).into());
        }
        let found = roster.find();
        let mut total = Total {
            plugins: found.plugins.len(),
            ..Total::default()
        };
        for plugin in &found.plugins {
            let checked = (plugin, on_this_thread(look_into(plugin))?);
            total.add(&checked.1);
            print(&self.shown(&checked))?;
        }
        for problem in problems.iter().chain(&found.problems) {
            total.errors += 1;
            print(&self.shown_elsewhere(Severity::Error, &chain(problem)))?;
        }
        for warning in &found.warnings {
            total.warnings += 1;
            print(&self.shown_elsewhere(Severity::Warning, warning))?;
        }
        if !self.json && !self.quiet {
            print(&format!("{}\n", text::summary(&total)))?;
        }
        let failed = total.errors > 0 || (self.strict && total.warnings > 0);
        Ok(ExitCode::from(u8::from(failed)))
    }

    fn shown(&self, (plugin, inspected): &Checked) -> String {
        match (inspected, self.json) {
            (Ok(inspection), true) => json::findings(plugin, inspection),
            (Err(error), true) => json::elsewhere(Severity::Error, &chain(error)),
            (Ok(inspection), false) if self.quiet => text::findings(&plugin.name, inspection),
            (Ok(inspection), false) => text::description(&plugin.name, inspection),
            (Err(error), false) => text::unreadable(&plugin.name, error),
        }
    }

    /// Shows what is wrong with no plugin.
    fn shown_elsewhere(&self, severity: Severity, message: &str) -> String {
        if self.json {
            json::elsewhere(severity, message)
        } else {
            text::elsewhere(severity, message)
        }
    }
}

impl Total {
    fn add(&mut self, inspected: &Result<Inspection, OpenError>) {
        match inspected {
            Ok(inspection) => {
                self.errors += inspection.count(Severity::Error);
                self.warnings += inspection.count(Severity::Warning);
            }
            Err(_) => self.errors += 1,
        }
    }
}

async fn look_into(plugin: &PluginDir) -> Result<Inspection, OpenError> {
    let spec = PluginSpec::new(plugin.name.clone(), plugin.dir.clone(), PathBuf::new());
    let mut inspection = inspect(&spec).await?;
    inspection.check_code(&spec);
    Ok(inspection)
}
