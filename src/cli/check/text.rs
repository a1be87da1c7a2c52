//! The report of `moondock check` for people.

use super::Total;
use crate::check::{Finding, Inspection, Severity};
use crate::cli::visible;
use crate::plugin::Manifest;
use crate::protocol::{Interface, Method, Missing, methods, methods_of};
use crate::telemetry::chain;
use anstream::{AutoStream, ColorChoice};
use std::error::Error;
use std::io::stdout;
use std::mem;

/// The length at which lists are wrapped, in bytes.
const WIDTH: usize = 100;

/// Describes a plugin, with everything that was found in it.
pub fn description(name: &str, inspection: &Inspection) -> String {
    let mut lines = vec![title(name, inspection.manifest.as_ref())];
    for (interface, hooks) in &inspection.interfaces {
        lines.extend(interface_lines(*interface, hooks.as_deref()));
    }
    lines.extend(inspection.manifest.iter().flat_map(manifest_lines));
    lines.extend(grant_lines(&inspection.grants));
    let mut text = visible(&lines.join("\n")) + "\n";
    for finding in &inspection.findings {
        text += &finding_lines("", finding);
    }
    text + "\n"
}

/// Returns the errors and warnings of a plugin, each with the plugin's name.
pub fn findings(name: &str, inspection: &Inspection) -> String {
    let findings = inspection.findings.iter();
    let findings = findings.filter(|finding| finding.severity != Severity::Note);
    findings
        .map(|finding| finding_lines(&format!("{name}/"), finding))
        .collect()
}

/// Describes a plugin that cannot be read.
pub fn unreadable(name: &str, error: &(dyn Error + 'static)) -> String {
    let problem = elsewhere(Severity::Error, &chain(error));
    format!("{}\n{problem}", visible(name))
}

/// Describes what is wrong with no plugin.
pub fn elsewhere(severity: Severity, message: &str) -> String {
    format!("{} {}\n\n", word(severity), visible(message))
}

fn finding_lines(directory: &str, finding: &Finding) -> String {
    let diagnostic = visible(&format!("{directory}{}", finding.diagnostic));
    format!("{} {diagnostic}\n", word(finding.severity))
}

/// Returns the first word of a finding, in its colour if stdout is a terminal that shows colours.
fn word(severity: Severity) -> String {
    let colour = match severity {
        Severity::Error => 31,
        Severity::Warning => 33,
        Severity::Note => 36,
    };
    let word = severity.word();
    match AutoStream::choice(&stdout()) {
        ColorChoice::Never => format!("{word}:"),
        _ => format!("\u{1b}[1;{colour}m{word}:\u{1b}[0m"),
    }
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

/// Returns the last line of the report.
pub fn summary(total: &Total) -> String {
    let count = |number: usize, noun: &str| match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    };
    format!(
        "{}: {}, {}",
        count(total.plugins, "plugin"),
        count(total.errors, "error"),
        count(total.warnings, "warning")
    )
}
