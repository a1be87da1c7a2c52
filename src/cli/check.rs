//! `moondock check`: checks scripts without an engine.

mod json;
mod text;

use super::{on_this_thread, print};
use crate::check::{Inspection, Severity, inspect};
use crate::config::{ConfigError, PluginDir, Roster};
use crate::plugin::{OpenError, PluginSpec};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::slice::from_ref;

const LONG: &str = "Check scripts without an engine

Loads every script as `serve` does, checks its types, and shows which methods
each plugin answers and every error and warning. No hook is called, and nothing
is written. The exit code is 1 if there is an error.

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
        let (plugins, problems) = find(&self.paths)?;
        let mut total = Total {
            plugins: plugins.len(),
            errors: problems.len(),
            warnings: 0,
        };
        for plugin in &plugins {
            let checked = (plugin, on_this_thread(look_into(plugin))?);
            total.add(&checked.1);
            print(&self.shown(&checked))?;
        }
        for problem in &problems {
            print(&if self.json {
                json::problem(problem)
            } else {
                text::problem(problem)
            })?;
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
            (Err(error), true) => json::problem(error),
            (Ok(inspection), false) if self.quiet => text::findings(&plugin.name, inspection),
            (Ok(inspection), false) => text::description(&plugin.name, inspection),
            (Err(error), false) => text::problem_of(&plugin.name, error),
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

/// Finds the plugins. A path that names none ends nothing unless it is the only one.
fn find(paths: &[PathBuf]) -> Result<(Vec<PluginDir>, Vec<ConfigError>)> {
    let all = match Roster::new(paths) {
        Ok(roster) => {
            let found = roster.find();
            return Ok((found.plugins, found.problems));
        }
        Err(error) if paths.len() == 1 => return Err(error.into()),
        Err(error) => error,
    };
    let (mut plugins, mut problems) = (Vec::<PluginDir>::new(), Vec::new());
    for path in paths {
        match Roster::new(from_ref(path)) {
            Ok(roster) => {
                let found = roster.find();
                for plugin in found.plugins {
                    if !plugins.iter().any(|other| other.dir == plugin.dir) {
                        plugins.push(plugin);
                    }
                }
                problems.extend(found.problems);
            }
            Err(error) => problems.push(error),
        }
    }
    if problems.is_empty() {
        problems.push(all);
    }
    Ok((plugins, problems))
}

async fn look_into(plugin: &PluginDir) -> Result<Inspection, OpenError> {
    let spec = PluginSpec::new(plugin.name.clone(), plugin.dir.clone(), PathBuf::new());
    let mut inspection = inspect(&spec).await?;
    inspection.check_types(&spec);
    Ok(inspection)
}
