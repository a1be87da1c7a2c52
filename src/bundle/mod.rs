//! `moondock bundle`: turns a plugin's directory into what `docker plugin create` accepts.
//!
//! [`needs`] is the table of what grants require, [`derive()`] makes `config.json` from it, and
//! `contents` collects the root file system.

mod comments;
mod config;
mod contents;
mod derive;
mod needs;
mod paths;
mod reference;
mod rootfs;

pub use config::PluginConfig;
pub use derive::{BINARY, PROPAGATED, VARIABLES, derive};
pub use needs::{FixedMount, NEEDS, Need, Value, type_of};

pub use reference::Reference;

use self::needs::needs_of;
use self::rootfs::{Draft, DraftError, RootfsError};
use crate::check::{Inspection, Severity, inspect};
use crate::config::PluginDir;
use crate::plugin::{Manifest, OpenError, PluginSpec};
use crate::protocol::Interface;
use crate::sys::processes::{Command, ProcessError};
use crate::sys::scripts::MANIFEST;
use crate::sys::scripts::sources::Sources;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// The directory of the scripts in the root file system.
const SCRIPTS: &str = "/scripts";
/// The time limit on `docker plugin create`, which reads the whole bundle.
const CREATE_TIMEOUT: Duration = Duration::from_mins(10);

/// A bundle to make.
#[derive(Debug, Clone)]
pub struct BundleSpec {
    /// The plugin.
    pub plugin: PluginDir,
    /// The directory in which to make it.
    pub out: PathBuf,
    /// The engine's name for it.
    pub name: Reference,
    /// The host's directory of the scripts, if they are mounted instead of copied into the bundle.
    pub scripts_mount: Option<PathBuf>,
    /// Whether the plugin uses the host's network even if no grant requires it.
    pub host_network: bool,
    /// Whether to replace an older bundle.
    pub force: bool,
}

/// The parts of a plugin from which its bundle is made.
#[derive(Debug)]
pub struct Subject {
    /// The name of the plugin, of its directory and of its socket.
    pub name: String,
    /// The interfaces for which it has a script.
    pub interfaces: Vec<Interface>,
    /// Its manifest.
    pub manifest: Manifest,
    /// The requirements of its grants, each once.
    pub needs: Vec<&'static Need>,
    /// Its files.
    pub sources: Arc<Sources>,
    /// The comments above its settings in the manifest.
    pub comments: BTreeMap<String, String>,
    /// The directory of its scripts in the managed plugin.
    pub scripts: PathBuf,
    /// Whether the scripts are mounted from the host.
    pub scripts_mounted: bool,
    /// Whether the plugin uses the host's network even if no grant requires it.
    pub host_network: bool,
}

/// A finished bundle.
#[derive(Debug)]
pub struct Bundle {
    /// `config.json`.
    pub config: PluginConfig,
    /// The parts of the root file system.
    pub parts: Vec<Part>,
    /// What will probably not work.
    pub warnings: Vec<String>,
    /// Notes for the author.
    pub notes: Vec<String>,
    /// The size of all files, each counted once, in bytes.
    pub size: u64,
}

/// A part of the root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// A program's name, `scripts` or `certificates`.
    pub name: String,
    /// The number of files, without libraries.
    pub files: usize,
    /// The number of libraries that it needs, including the loader. Parts may share libraries.
    pub libraries: usize,
    /// The size of its files and libraries, in bytes.
    pub size: u64,
}

/// An error that prevents a bundle.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum BundleError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}\nfix the scripts before bundling them: see `moondock check`")]
    Wrong(String),
    #[error(
        "`{name}` is too long: in a managed plugin, the directory's name is limited to {limit} bytes, because it is part of the socket's path"
    )]
    LongName { name: String, limit: usize },
    #[error("`--scripts-mount {}`: the directory must be an absolute path without `.` and `..`, and be named `{name}` like the plugin", path.display())]
    ScriptsMount { path: PathBuf, name: String },
    #[error("the setting `{setting}` cannot be set from the environment: {reason}; rename it")]
    Setting { setting: String, reason: String },
    #[error("two settings or grants use the variable `{0}`: rename one")]
    Twins(String),
    #[error("the grant `{grant}` is not possible in a managed plugin: {reason}")]
    Path { grant: String, reason: String },
    #[error("{MANIFEST}:{line}: the grant `{grant}`")]
    Exec {
        line: usize,
        grant: String,
        source: RootfsError,
    },
    #[error("the host functions need `{program}`")]
    Host {
        program: &'static str,
        source: RootfsError,
    },
    #[error("an `http` grant needs CA certificates (is the package ca-certificates installed?)")]
    Certificates(#[source] RootfsError),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    Draft(#[from] DraftError),
    #[error("the engine did not create the plugin")]
    Create(#[from] ProcessError),
}

/// Makes a bundle.
///
/// # Errors
/// Fails if the plugin has an error, or if this machine lacks a file that it needs. Nothing is left
/// behind then.
pub async fn bundle(request: &BundleSpec) -> Result<Bundle, BundleError> {
    let draft = Draft::beside(&request.out, request.force)?;
    let subject = subject_of(request).await?;
    let config = derive(&subject)?;
    let contents = contents::collect(&subject, &request.name)?;
    let json =
        serde_json::to_string_pretty(&config).map_err(|e| BundleError::Wrong(e.to_string()))?;
    draft.fill(&json, &contents.tree)?;
    draft.publish()?;
    let size = contents.tree.size();
    let notes = contents
        .notes
        .into_iter()
        .chain(derive::note_on_paths(&subject, &config))
        .chain(paths::note_on_existence(&config))
        .collect();
    Ok(Bundle {
        parts: contents.parts,
        warnings: paths::warn_of_unreachable(&subject).into_iter().collect(),
        config,
        notes,
        size,
    })
}

/// Creates the plugin in an engine from the bundle in `directory`.
///
/// Runs `docker plugin create`, so that the engine and the permissions are those of a user who
/// types it.
///
/// # Errors
/// Fails with the message of the command.
pub async fn create(
    name: &Reference,
    directory: &Path,
    host: Option<&str>,
) -> Result<(), BundleError> {
    let directory = directory.display().to_string();
    let host = host.map(|host| ["--host", host]);
    let head = ["docker"].into_iter().chain(host.into_iter().flatten());
    let name = name.to_string();
    let command = Command::new(head.chain(["plugin", "create", &name, &directory]));
    Command {
        timeout: CREATE_TIMEOUT,
        ..command
    }
    .check()
    .await?;
    Ok(())
}

async fn subject_of(request: &BundleSpec) -> Result<Subject, BundleError> {
    let PluginDir { name, dir, .. } = &request.plugin;
    let spec = PluginSpec::new(name.clone(), dir.clone(), PathBuf::new());
    let inspection = inspect(&spec).await?;
    refuse_errors(&inspection)?;
    let manifest = inspection.manifest.unwrap_or_default();
    let text = inspection.sources.files.get(Path::new(MANIFEST));
    let text = String::from_utf8_lossy(text.map(Vec::as_slice).unwrap_or_default());
    Ok(Subject {
        name: name.clone(),
        interfaces: inspection
            .interfaces
            .iter()
            .map(|(interface, _)| *interface)
            .collect(),
        comments: comments::of_settings(&text),
        needs: needs_of(&manifest.grants),
        manifest,
        sources: inspection.sources.clone(),
        scripts: scripts_of(request)?,
        scripts_mounted: request.scripts_mount.is_some(),
        host_network: request.host_network,
    })
}

fn refuse_errors(inspection: &Inspection) -> Result<(), BundleError> {
    let errors = inspection
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<String> = errors
        .map(|finding| finding.diagnostic.to_string())
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(BundleError::Wrong(errors.join("\n")))
    }
}

fn scripts_of(request: &BundleSpec) -> Result<PathBuf, BundleError> {
    let name = &request.plugin.name;
    let Some(path) = &request.scripts_mount else {
        return Ok(Path::new(SCRIPTS).join(name));
    };
    let is_exact = path.is_absolute()
        && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
    let climbs = path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    let has_name = path
        .file_name()
        .is_some_and(|last| last.to_str() == Some(name));
    if is_exact && !climbs && has_name {
        return Ok(path.clone());
    }
    Err(BundleError::ScriptsMount {
        path: path.clone(),
        name: name.clone(),
    })
}
