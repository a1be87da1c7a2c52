//! The report of `moondock check` for programs: one JSON object on each line.

use crate::check::{Finding, Inspection, Severity};
use crate::config::PluginDir;
use serde::Serialize;
use std::path::PathBuf;

/// A finding. What is not known is left out.
#[derive(Serialize)]
struct Record<'f> {
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<&'f str>,
    /// The file, relative to the plugin's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'f str>,
    /// The file, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    /// Counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// In characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// The column after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
    message: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<&'f str>,
}

impl Record<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self)
            .map(|line| line + "\n")
            .unwrap_or_default()
    }
}

/// Returns everything that was found in a plugin.
pub fn findings(plugin: &PluginDir, inspection: &Inspection) -> String {
    let findings = inspection.findings.iter();
    findings
        .map(|finding| record(plugin, finding).text())
        .collect()
}

fn record<'f>(plugin: &'f PluginDir, finding: &'f Finding) -> Record<'f> {
    let diagnostic = &finding.diagnostic;
    let columns = diagnostic.columns();
    Record {
        severity: finding.severity.word(),
        plugin: Some(&plugin.name),
        file: Some(&diagnostic.file),
        path: Some(plugin.dir.join(&diagnostic.file)),
        line: diagnostic.line,
        column: columns.map(|(from, _)| from),
        end_column: columns.map(|(_, to)| to),
        message: &diagnostic.message,
        cure: diagnostic.cure.as_deref(),
    }
}

/// Returns what is wrong with no plugin.
pub fn elsewhere(severity: Severity, message: &str) -> String {
    let record = Record {
        severity: severity.word(),
        plugin: None,
        file: None,
        path: None,
        line: None,
        column: None,
        end_column: None,
        message,
        cure: None,
    };
    record.text()
}
