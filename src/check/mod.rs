//! Checks a plugin without an engine: reads its manifest, loads its scripts, and collects what is
//! wrong with them. No hook is called, nothing is written, and top-level code reaches nothing
//! outside.

mod grants;
mod types;
mod uses;

use self::types::Remark;
use crate::host::MANIFEST;
use crate::plugin::{Manifest, OpenError, PluginSpec, lint_policy, never_asked, unannounced};
use crate::protocol::{Interface, Method, methods_of};
use crate::script::{Diagnostic, Problems, Script, Sources, check_syntax, misnamed};
use crate::sys::scripts::luaurc;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The parts of a plugin, and the findings in them.
#[derive(Default)]
pub struct Inspection {
    /// The plugin's files.
    pub sources: Arc<Sources>,
    /// The manifest, unless it is broken.
    pub manifest: Option<Manifest>,
    /// A description of each grant.
    pub grants: Vec<String>,
    /// The interfaces that have a script, with the hooks of those that can be loaded.
    pub interfaces: Vec<(Interface, Option<Vec<&'static Method>>)>,
    /// The findings, in the order in which they were made.
    pub findings: Vec<Finding>,
}

/// Something that the author should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, and where.
    pub diagnostic: Diagnostic,
}

impl Finding {
    /// Whether this is what `other` says in other words: it is about the same line of a script, or
    /// about the same unknown name. A line of the manifest may have several grants.
    fn tells(&self, other: &Diagnostic) -> bool {
        let own = &self.diagnostic;
        let name = other.message.split_once(" has no field ");
        let is_same_name = name.is_some_and(|(_, name)| own.message.ends_with(name));
        let is_same_line = own.line.is_some() && own.line == other.line && own.file != MANIFEST;
        own.file == other.file && (is_same_line || is_same_name)
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The plugin cannot be served.
    Error,
    /// The plugin can be served, but probably not as intended.
    Warning,
    /// Nothing is wrong.
    Note,
}

impl Severity {
    /// Returns the word that a finding begins with.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// Reads and loads everything that belongs to a plugin.
///
/// # Errors
/// An unreadable directory.
pub async fn inspect(spec: &PluginSpec) -> Result<Inspection, OpenError> {
    let mut inspection = Inspection {
        sources: Arc::new(spec.read_sources().await?),
        ..Inspection::default()
    };
    inspection.report_unreadable_files();
    inspection.report_misnamed_files();
    let manifest = inspection.read_manifest(spec).await;
    for interface in Interface::ALL {
        if inspection.sources.has(&interface.file()) {
            inspection.load(interface, spec, &manifest).await?;
        }
    }
    inspection.check_syntax_of(&inspection.sources.clone().files);
    for diagnostic in never_asked(&spec.name, &inspection.sources) {
        inspection.report(Severity::Warning, diagnostic);
    }
    if let Some(diagnostic) = unannounced(&inspection.sources) {
        inspection.report(Severity::Note, diagnostic);
    }
    if inspection.interfaces.is_empty() {
        inspection.report(Severity::Error, no_interface());
    }
    Ok(inspection)
}

impl Inspection {
    /// Counts the findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// Reports a finding, unless the same was reported before.
    fn report(&mut self, severity: Severity, diagnostic: Diagnostic) {
        let finding = Finding {
            severity,
            diagnostic,
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Reports a finding with the text of its line.
    fn report_with_excerpt(&mut self, severity: Severity, diagnostic: Diagnostic) {
        let text_of = |file: &Path| self.sources.files.get(file).map(Vec::as_slice);
        let diagnostic = diagnostic.excerpt_from(text_of);
        self.report(severity, diagnostic);
    }

    /// Checks the types of all scripts and tests, and compares what scripts use with the grants.
    pub fn check_code(&mut self, spec: &PluginSpec) {
        self.check_syntax_of(&self.sources.tests.clone());
        self.report_remarks(self.types(spec));
        if let Some(manifest) = &self.manifest {
            self.report_remarks(uses::check(&self.sources, manifest));
        }
    }

    /// A test on which the analysis fails does not keep it from scripts.
    fn types(&self, spec: &PluginSpec) -> Vec<Remark> {
        let check = |sources| types::check(sources, luaurc::read(&spec.dir));
        check(&Arc::new(self.sources.with_tests())).unwrap_or_else(|| {
            let mut remarks = check(&self.sources).unwrap_or_default();
            remarks.push(types::unchecked("."));
            remarks
        })
    }

    /// Reports what was not reported before in other words.
    fn report_remarks(&mut self, remarks: Vec<Remark>) {
        let told = self.findings.clone();
        for Remark {
            severity,
            diagnostic,
        } in remarks
        {
            if !told.iter().any(|finding| finding.tells(&diagnostic)) {
                self.report(severity, diagnostic);
            }
        }
    }

    fn report_unreadable_files(&mut self) {
        let sources = self.sources.clone();
        for (file, problem) in &sources.problems {
            let diagnostic = Diagnostic::of_file(file.display().to_string(), problem);
            self.report(Severity::Error, diagnostic);
        }
    }

    /// Warns of scripts that are not served and whose names are near that of an interface.
    fn report_misnamed_files(&mut self) {
        for diagnostic in misnamed(&self.sources) {
            self.report(Severity::Warning, diagnostic);
        }
    }

    /// Returns the manifest, or an empty one if it is broken.
    async fn read_manifest(&mut self, spec: &PluginSpec) -> Manifest {
        match Manifest::read(&self.sources) {
            Ok(manifest) => {
                self.check_grants(&manifest, spec).await;
                self.manifest = Some(manifest.clone());
                manifest
            }
            Err(diagnostic) => {
                self.report(Severity::Error, diagnostic);
                Manifest::default()
            }
        }
    }

    /// Describes the grants, and compares them with this machine.
    async fn check_grants(&mut self, manifest: &Manifest, spec: &PluginSpec) {
        let grants = manifest.grants_by_line();
        let grants: Vec<_> = grants.map(|(grant, line)| (grant.clone(), line)).collect();
        let (all, dir) = (manifest.grants.clone(), spec.dir.clone());
        // A path may lead to a server that does not answer.
        let checking = spawn_blocking(move || {
            let check = |(grant, line)| (grants::check(&grant, &all, &dir), line);
            grants.into_iter().map(check).collect::<Vec<_>>()
        });
        for ((description, finding), line) in checking.await.unwrap_or_default() {
            self.grants.push(description);
            if let Some(Finding {
                severity,
                diagnostic,
            }) = finding
            {
                self.report_with_excerpt(severity, diagnostic.at(Some(line)));
            }
        }
    }

    async fn load(
        &mut self,
        interface: Interface,
        spec: &PluginSpec,
        manifest: &Manifest,
    ) -> Result<(), OpenError> {
        let loaded = load(interface, spec, manifest, &self.sources).await?;
        let judged = loaded.and_then(|script| Ok((lint_policy(&script)?, script)));
        match judged {
            Ok((warnings, script)) => {
                for warning in warnings {
                    self.report(Severity::Warning, warning);
                }
                let hooks = methods_of(interface).iter();
                let hooks = hooks.filter(|method| script.has(method)).collect();
                self.interfaces.push((interface, Some(hooks)));
            }
            Err(problems) => {
                self.interfaces.push((interface, None));
                for problem in problems {
                    self.report(Severity::Error, problem);
                }
            }
        }
        Ok(())
    }

    /// Checks the syntax of files, required or not.
    fn check_syntax_of(&mut self, files: &BTreeMap<PathBuf, Vec<u8>>) {
        for (path, text) in files {
            if path == Path::new(MANIFEST) {
                continue;
            }
            if let Err(diagnostic) = check_syntax(&path.display().to_string(), text) {
                let diagnostic = diagnostic.excerpt_from(|_| Some(text));
                self.report(Severity::Error, diagnostic);
            }
        }
    }
}

async fn load(
    interface: Interface,
    spec: &PluginSpec,
    manifest: &Manifest,
    sources: &Arc<Sources>,
) -> Result<Result<Script, Problems>, OpenError> {
    let shared = spec.without_state().await?;
    let loading = Script::load(
        interface,
        1,
        sources.clone(),
        Arc::new(shared),
        Arc::new(manifest.settings.clone()),
        manifest.limits(),
    );
    Ok(loading.await)
}

fn no_interface() -> Diagnostic {
    Diagnostic::of_file(".", "there is no readable script of an interface")
}
