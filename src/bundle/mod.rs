//! `moondock bundle`: a plugin's directory made into what `docker plugin create` takes.
//!
//! [`needs`] is the table of what grants ask for, [`derive()`] makes `config.json` of it, `contents` the
//! root file system.

mod comments;
mod config;
mod contents;
mod derive;
mod needs;
mod reference;
mod rootfs;

pub use config::PluginConfig;
pub use derive::{BINARY, PROPAGATED, VARIABLES, derive};
pub use needs::{FixedMount, NEEDS, Need, Value, type_of};
pub use reference::Reference;

use self::rootfs::{Draft, DraftError, RootfsError};
use crate::check::{Inspection, Severity, inspect};
use crate::config::PluginDir;
use crate::grants::Grant;
use crate::plugin::{Manifest, OpenError, PluginSpec};
use crate::protocol::Interface;
use crate::sys::processes::{Command, ProcessError};
use crate::sys::scripts::sources::{Sources, read_sources};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Where scripts lie in a plugin that has them in it.
const SCRIPTS: &str = "/scripts";
/// How long the engine may take to read a bundle.
const CREATE_TIMEOUT: Duration = Duration::from_mins(10);

/// What to bundle, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The plugin.
    pub plugin: PluginDir,
    /// The directory to make.
    pub out: PathBuf,
    /// What the engine calls it.
    pub name: Reference,
    /// The host's directory of the scripts, when they are not to be in the bundle.
    pub scripts_mount: Option<PathBuf>,
    /// Whether the plugin is in the host's network even if no grant asks for that.
    pub host_network: bool,
    /// Whether an older bundle is replaced.
    pub force: bool,
}

/// A plugin, as far as its bundle is concerned.
#[derive(Debug)]
pub struct Subject {
    /// The plugin's name: that of its directory, and of its socket.
    pub name: String,
    /// The interfaces that it has scripts of.
    pub interfaces: Vec<Interface>,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its files.
    pub sources: Sources,
    /// What its author wrote above the settings.
    pub comments: BTreeMap<String, String>,
    /// Where its scripts are in the managed plugin.
    pub scripts: PathBuf,
    /// Whether they are the host's.
    pub scripts_mounted: bool,
    /// Whether it is in the host's network even if no grant asks for that.
    pub host_network: bool,
}

/// What was made.
#[derive(Debug)]
pub struct Bundle {
    /// `config.json`.
    pub config: PluginConfig,
    /// What went into the root file system.
    pub parts: Vec<Part>,
    /// What the author should know.
    pub notes: Vec<String>,
    /// The bytes of all files in it, each counted once.
    pub size: u64,
}

/// A part of the root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// A program's name, `scripts` or `certificates`.
    pub name: String,
    /// How many files it has, libraries aside.
    pub files: usize,
    /// How many libraries it needs, the loader among them; others may need the same.
    pub libraries: usize,
    /// The bytes of its files and libraries.
    pub size: u64,
}

/// Why there is no bundle.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum BundleError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}\nthe scripts must be right before they are bundled: see `moondock check`")]
    Wrong(String),
    #[error(
        "`{name}` is too long: in a managed plugin, the name of the directory may have {most} bytes, as it is part of the socket's path"
    )]
    LongName { name: String, most: usize },
    #[error("`--scripts-mount {}`: the directory must be absolute, without `.` and `..`, and be named `{name}`, as the plugin is", path.display())]
    ScriptsMount { path: PathBuf, name: String },
    #[error("the setting `{setting}` cannot be set from the environment: {reason}; rename it")]
    Setting { setting: String, reason: String },
    #[error("two settings or grants want the variable `{0}`: rename one")]
    Twins(String),
    #[error("the grant `{grant}` cannot be had in a managed plugin: {reason}")]
    Path { grant: String, reason: String },
    #[error("plugin.toml{}: the grant `{grant}`: {source}", line.map(|line| format!(":{line}")).unwrap_or_default())]
    Exec {
        line: Option<usize>,
        grant: String,
        source: RootfsError,
    },
    #[error("the host functions need `{program}`: {source}")]
    Host {
        program: &'static str,
        source: RootfsError,
    },
    #[error(
        "an `http` grant needs CA certificates, and {0} (is the package ca-certificates installed here?)"
    )]
    Certificates(RootfsError),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    Draft(#[from] DraftError),
    #[error("the engine did not take it: {0}")]
    Create(#[from] ProcessError),
}

/// Makes a bundle.
///
/// # Errors
/// When something is wrong with the plugin or missing here; then nothing is left behind.
pub async fn bundle(request: &Request) -> Result<Bundle, BundleError> {
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
        .chain(derive::sight(&subject, &config))
        .collect();
    Ok(Bundle {
        config,
        parts: contents.parts,
        notes,
        size,
    })
}

/// Has an engine make a plugin of the bundle in `directory`, by Docker's own command line, so that it is the same
/// engine and the same rights as for whoever types `docker plugin create`.
///
/// # Errors
/// What the command says.
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

async fn subject_of(request: &Request) -> Result<Subject, BundleError> {
    let PluginDir { name, dir } = &request.plugin;
    let spec = PluginSpec::new(name.clone(), dir.clone(), PathBuf::new());
    let inspection = inspect(&spec).await?;
    refuse_errors(&inspection)?;
    let sources = read_sources(dir).map_err(|source| RootfsError::Io {
        path: dir.clone(),
        source,
    })?;
    let manifest = Manifest::read(&sources)
        .map_err(|diagnostic| BundleError::Wrong(diagnostic.to_string()))?;
    let text = sources
        .files
        .get(Path::new("plugin.toml"))
        .map(|text| String::from_utf8_lossy(text));
    Ok(Subject {
        name: name.clone(),
        interfaces: inspection
            .interfaces
            .iter()
            .map(|(interface, _)| *interface)
            .collect(),
        comments: text
            .map(|text| comments::of_settings(&text))
            .unwrap_or_default(),
        manifest,
        sources,
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

fn scripts_of(request: &Request) -> Result<PathBuf, BundleError> {
    let name = &request.plugin.name;
    let Some(path) = &request.scripts_mount else {
        return Ok(Path::new(SCRIPTS).join(name));
    };
    let is_exact = path.is_absolute()
        && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
    let climbs = path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    let ends_with_name = path
        .file_name()
        .is_some_and(|last| last.to_str() == Some(name));
    if is_exact && !climbs && ends_with_name {
        Ok(path.clone())
    } else {
        Err(BundleError::ScriptsMount {
            path: path.clone(),
            name: name.clone(),
        })
    }
}

impl Subject {
    /// Where `plugin.toml` has the grant, counted from 1.
    fn line_of(&self, grant: &Grant) -> Option<usize> {
        let text = self.sources.files.get(Path::new("plugin.toml"))?;
        let wanted = format!("\"{grant}\"");
        let text = String::from_utf8_lossy(text).replace('\'', "\"");
        text.lines()
            .position(|line| line.contains(&wanted))
            .map(|at| at + 1)
    }
}
