//! What can be said of a plugin without an engine: its parts, and all that is wrong with them. Nothing is written,
//! no hook is called, and top-level code reaches nothing outside.

mod grants;

use self::grants::look;
use super::reload::read;
use super::{Manifest, OpenError, PluginSpec};
use crate::host::{MANIFEST, Shared};
use crate::protocol::{Interface, Method, methods_of};
use crate::script::{Diagnostic, Problems, Script, Sources};
use mlua::Lua;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// A directory that never exists, where a state is wanted but not used.
pub const NOWHERE: &str = "/nonexistent";

/// A plugin's parts, and what was found in them.
#[derive(Default)]
pub struct Inspection {
    /// The files of the plugin.
    pub sources: Arc<Sources>,
    /// The manifest, unless it is broken.
    pub manifest: Option<Manifest>,
    /// What the scripts may touch, in words, a line for each grant.
    pub grants: Vec<String>,
    /// The interfaces that have a script, with the hooks of those that can be loaded.
    pub interfaces: Vec<(Interface, Option<Vec<&'static Method>>)>,
    /// What the author should know.
    pub findings: Vec<Finding>,
}

/// One thing that the author should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, and where.
    pub diagnostic: Diagnostic,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The plugin is not served as it stands.
    Error,
    /// It is served, but perhaps not as meant.
    Warning,
    /// It is fine, and perhaps of interest.
    Note,
}

/// Reads and loads everything that belongs to a plugin.
///
/// # Errors
/// When its directory cannot be read.
pub async fn inspect(spec: &PluginSpec) -> Result<Inspection, OpenError> {
    let sources = Arc::new(read(spec).await?);
    let manifest = Manifest::read(&sources);
    let mut inspection = Inspection {
        sources: sources.clone(),
        ..Inspection::default()
    };
    inspection.note_unreadable(&sources);
    inspection.note_wrong_endings(&sources);
    let settings = manifest.as_ref().cloned().unwrap_or_default();
    match manifest {
        Ok(manifest) => {
            inspection.look_at_grants(&manifest, spec, &sources).await;
            inspection.manifest = Some(manifest);
        }
        Err(diagnostic) => inspection.note(Severity::Error, diagnostic),
    }
    for interface in Interface::ALL {
        if sources.files.contains_key(Path::new(&interface.file())) {
            inspection
                .load(interface, spec, &settings, &sources)
                .await?;
        }
    }
    inspection.compile_all(&sources);
    if inspection.interfaces.is_empty() {
        inspection.note(Severity::Error, nothing_to_serve());
    }
    Ok(inspection)
}

impl Inspection {
    /// How many findings are of that severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    async fn load(
        &mut self,
        interface: Interface,
        spec: &PluginSpec,
        manifest: &Manifest,
        sources: &Arc<Sources>,
    ) -> Result<(), OpenError> {
        match load(interface, spec, manifest, sources).await? {
            Ok(script) => {
                let hooks = methods_of(interface)
                    .iter()
                    .filter(|method| script.has(method))
                    .collect();
                self.interfaces.push((interface, Some(hooks)));
            }
            Err(problems) => {
                self.interfaces.push((interface, None));
                problems
                    .into_iter()
                    .for_each(|problem| self.note(Severity::Error, problem));
            }
        }
        Ok(())
    }

    fn note(&mut self, severity: Severity, diagnostic: Diagnostic) {
        let finding = Finding {
            severity,
            diagnostic,
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Puts the grants in words, and compares them with the machine.
    async fn look_at_grants(&mut self, manifest: &Manifest, spec: &PluginSpec, sources: &Sources) {
        let text_of = |file: &Path| sources.files.get(file).map(Vec::as_slice);
        let grants: Vec<_> = manifest
            .grants_by_line()
            .map(|(grant, line)| (grant.clone(), line))
            .collect();
        // What a grant names may lie on a dead server.
        let (all, own) = (manifest.grants.clone(), spec.dir.clone());
        let look_at = move |(grant, line)| (look(&grant, &all, &own), line);
        let looking = spawn_blocking(move || grants.into_iter().map(look_at).collect::<Vec<_>>());
        for ((words, finding), line) in looking.await.unwrap_or_default() {
            self.grants.push(words);
            if let Some(Finding {
                severity,
                diagnostic,
            }) = finding
            {
                self.note(severity, diagnostic.at(Some(line)).excerpt_from(text_of));
            }
        }
    }

    fn note_unreadable(&mut self, sources: &Sources) {
        for (file, problem) in &sources.problems {
            self.note(
                Severity::Error,
                Diagnostic::of_file(file.display().to_string(), problem),
            );
        }
    }

    /// `volume.luau` is a file that may be required, and no driver.
    fn note_wrong_endings(&mut self, sources: &Sources) {
        for interface in Interface::ALL {
            let (wanted, found) = (interface.file(), format!("{}.luau", interface.name()));
            let has = |file: &str| sources.files.contains_key(Path::new(file));
            if has(&found) && !has(&wanted) {
                let message =
                    format!("this file is not served: an interface's script is named `{wanted}`");
                let cure = format!("rename it to `{wanted}`");
                self.note(
                    Severity::Warning,
                    Diagnostic::of_file(found, message).cure(cure),
                );
            }
        }
    }

    /// The syntax of every file, also of those that no script requires.
    fn compile_all(&mut self, sources: &Sources) {
        let lua = Lua::new();
        let scripts = sources
            .files
            .iter()
            .filter(|(path, _)| *path != Path::new(MANIFEST));
        for (path, text) in scripts {
            let name = path.display().to_string();
            if let Err(error) = lua.load(text).set_name(format!("={name}")).into_function() {
                let diagnostic = Diagnostic::parse(&name, &message_of(error));
                let text_of = |file: &Path| sources.files.get(file).map(Vec::as_slice);
                self.note(Severity::Error, diagnostic.excerpt_from(text_of));
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
    let shared = Shared::open(spec.name.clone(), NOWHERE.into()).await;
    let shared = shared.map_err(|e| OpenError::State {
        dir: NOWHERE.to_owned(),
        problem: e.to_string(),
    })?;
    let settings = Arc::new(manifest.settings.clone());
    Ok(Script::load(
        interface,
        1,
        sources.clone(),
        Arc::new(shared),
        settings,
        manifest.limits(),
    )
    .await)
}

fn message_of(error: mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } => message,
        other => other.to_string(),
    }
}

fn nothing_to_serve() -> Diagnostic {
    Diagnostic::of_file(".", "no script of an interface can be read")
}
