//! `moondock check`: checks scripts without an engine.

use super::{on_this_thread, print, visible};
use crate::check::{Inspection, Severity, inspect};
use crate::config::{PluginDir, Roster};
use crate::plugin::{Manifest, PluginSpec};
use crate::protocol::{Interface, Method, Missing, methods, methods_of};
use crate::telemetry::chain;
use anyhow::Result;
use clap::Args;
use std::mem;
use std::path::PathBuf;
use std::process::ExitCode;

const LONG: &str = "Check scripts without an engine

Loads every script as `serve` does, and shows which methods each plugin answers
and every error and warning. No hook is called, and nothing is written. The
exit code is 1 if there is an error.";

/// The length at which lists are wrapped, in bytes.
const WIDTH: usize = 100;

/// The arguments of `check`.
#[derive(Debug, Args)]
#[command(about = "Check scripts without an engine", long_about = LONG)]
pub struct Check {
    /// Directory of a plugin (it contains authz.lua, volume.lua, ...), or of several plugins
    #[arg(value_name = "PATH", default_value = "scripts")]
    paths: Vec<PathBuf>,
}

impl Check {
    /// Prints the findings of all plugins.
    pub fn run(self) -> Result<ExitCode> {
        let found = Roster::new(&self.paths)?.find();
        let (mut errors, mut warnings) = (found.problems.len(), found.warnings.len());
        for plugin in &found.plugins {
            let description = match on_this_thread(inspect(&spec(plugin)))? {
                Ok(inspection) => {
                    errors += inspection.count(Severity::Error);
                    warnings += inspection.count(Severity::Warning);
                    describe(&plugin.name, &inspection)
                }
                Err(error) => {
                    errors += 1;
                    format!("{}\nerror: {}", plugin.name, chain(&error))
                }
            };
            print(&format!("{}\n\n", visible(&description)))?;
        }
        let problems = found.problems.iter();
        let problems = problems.map(|problem| format!("error: {}", chain(problem)));
        let others = found.warnings.iter();
        let others = others.map(|warning| format!("warning: {warning}"));
        for finding in problems.chain(others) {
            print(&format!("{}\n\n", visible(&finding)))?;
        }
        let summary = summary(found.plugins.len(), errors, warnings);
        print(&format!("{summary}\n"))?;
        Ok(if errors == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn spec(plugin: &PluginDir) -> PluginSpec {
    PluginSpec::new(plugin.name.clone(), plugin.dir.clone(), PathBuf::new())
}

fn describe(name: &str, inspection: &Inspection) -> String {
    let mut lines = vec![title(name, inspection.manifest.as_ref())];
    for (interface, hooks) in &inspection.interfaces {
        lines.extend(interface_lines(*interface, hooks.as_deref()));
    }
    lines.extend(inspection.manifest.iter().flat_map(manifest_lines));
    lines.extend(grant_lines(&inspection.grants));
    for finding in &inspection.findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        lines.push(format!("{word}: {}", finding.diagnostic));
    }
    lines.join("\n")
}

fn title(name: &str, manifest: Option<&Manifest>) -> String {
    match manifest.map(|manifest| manifest.description.as_str()) {
        Some(description) if !description.is_empty() => format!("{name}: {description}"),
        _ => name.to_owned(),
    }
}

/// Lists the hooks of a script, and the methods that are answered by default or not implemented.
fn interface_lines(interface: Interface, hooks: Option<&[&Method]>) -> Vec<String> {
    let file = interface.file();
    let Some(hooks) = hooks else {
        return row(&file, "", ["cannot be loaded"]);
    };
    let without = |wanted: fn(&Method) -> bool| {
        let missing = methods_of(interface)
            .iter()
            .filter(|method| !hooks.contains(method));
        missing
            .filter(move |method| wanted(method))
            .map(|method| method.hook)
    };
    let answered = hooks.iter().map(|method| method.hook);
    let by_default =
        without(|method| !method.has_hook() || matches!(method.missing, Missing::Answered(_)));
    let not_found = without(|method| method.missing == Missing::NotFound);
    let mut lines = row(&file, "", answered);
    lines.extend(row("", "by default: ", by_default));
    lines.extend(row("", "not implemented: ", not_found));
    lines
}

fn manifest_lines(manifest: &Manifest) -> Vec<String> {
    let limits = manifest.limits();
    let cpu = format!("{} ms of CPU", limits.cpu.as_millis());
    let memory = format!("{} MiB of memory per script", limits.memory >> 20);
    let own = methods().filter(|method| manifest.deadline(method) != method.deadline);
    let deadlines: Vec<_> = own
        .map(|method| {
            format!(
                "{} {} ms",
                method.key(),
                manifest.deadline(method).as_millis()
            )
        })
        .collect();
    let mut lines = row("settings", "", manifest.settings.keys());
    lines.extend(row("limits", "", [cpu, memory]));
    lines.extend(row("deadlines", "", deadlines));
    lines
}

/// Lists the grants, one on each line.
fn grant_lines(grants: &[String]) -> impl Iterator<Item = String> {
    let first = grants.first().map(|words| ("grants", words));
    let others = grants.iter().skip(1).map(|words| ("", words));
    first
        .into_iter()
        .chain(others)
        .map(|(name, words)| format!("  {name:<13} {words}"))
}

/// Lists `  name    intro: part, part, …`, wrapped between parts; returns no line without parts.
fn row(name: &str, intro: &str, parts: impl IntoIterator<Item: AsRef<str>>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = format!("  {name:<13} {intro}");
    let mut separator = "";
    for part in parts {
        let part = part.as_ref();
        if !separator.is_empty() && line.len() + separator.len() + part.len() > WIDTH {
            lines.push(mem::replace(&mut line, " ".repeat(16)) + ",");
            separator = "";
        }
        line = line + separator + part;
        separator = ", ";
    }
    if !separator.is_empty() {
        lines.push(line);
    }
    lines
}

fn summary(plugins: usize, errors: usize, warnings: usize) -> String {
    let count = |number: usize, noun: &str| match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    };
    format!(
        "{}: {}, {}",
        count(plugins, "plugin"),
        count(errors, "error"),
        count(warnings, "warning")
    )
}
