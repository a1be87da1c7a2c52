//! `moondock bundle`: makes a managed plugin from a directory.

use super::{on_this_thread, only_plugin, print};
use crate::bundle::{Bundle, BundleSpec, Part, Reference, bundle, create};
use anyhow::{Result, anyhow};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

const LONG: &str = "Make a managed plugin from a plugin's directory

Writes DIR/config.json and DIR/rootfs, ready for `docker plugin create`. The
rootfs contains this moondock, the scripts, and the programs that the grants
in plugin.toml name, with their libraries. The plugin's privileges on the host
follow from the same grants, and the engine shows them to the administrator
who installs the plugin.";

const AFTER: &str = "\
Examples:
  moondock bundle scripts/mynas --out /tmp/mynas --name acme/mynas:1.0
  docker plugin create acme/mynas:1.0 /tmp/mynas

  moondock bundle scripts/mynas --out /tmp/mynas --create";

/// The arguments of `bundle`.
#[derive(Debug, Args)]
#[command(about = "Make a managed plugin from a plugin's directory", long_about = LONG, after_help = AFTER)]
pub struct BundleArgs {
    /// Directory of the plugin
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Directory of the bundle, which must be absent or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the plugin in the engine; by default the directory's name with the tag `latest`
    #[arg(long, value_name = "NAME[:TAG]")]
    name: Option<Reference>,
    /// Mount the scripts from this directory of the host instead of including them, so that a saved
    /// file takes effect
    #[arg(long, value_name = "DIR")]
    scripts_mount: Option<PathBuf>,
    /// Use the host's network even if no grant requires it, for programs that the plugin runs
    #[arg(long)]
    host_network: bool,
    /// Replace an older bundle in DIR
    #[arg(long)]
    force: bool,
    /// Also create the plugin in the engine, by running `docker plugin create`
    #[arg(long)]
    create: bool,
    #[expect(clippy::doc_markdown, reason = "`--help` prints the text as it is")]
    /// Engine to use, such as unix:///run/docker.sock; by default the one that `docker` finds
    #[arg(long, value_name = "URL", requires = "create")]
    host: Option<String>,
}

impl BundleArgs {
    /// Makes the bundle, and prints its parts.
    pub fn run(self) -> Result<ExitCode> {
        let plugin = only_plugin(&self.path)?;
        let name = match self.name {
            Some(name) => name,
            None => plugin
                .name
                .parse()
                .map_err(|e| anyhow!("{e}; choose another name with `--name`"))?,
        };
        let request = BundleSpec {
            plugin,
            out: self.out,
            name,
            scripts_mount: self.scripts_mount,
            host_network: self.host_network,
            force: self.force,
        };
        let made = on_this_thread(bundle(&request))??;
        print(&describe(&request, &made))?;
        if self.create {
            on_this_thread(create(&request.name, &request.out, self.host.as_deref()))??;
            print(&format!(
                "created; enable it with: docker plugin enable {}\n",
                request.name
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(request: &BundleSpec, made: &Bundle) -> String {
    let mut lines = vec![format!("{} in {}", request.name, request.out.display())];
    lines.extend(made.parts.iter().map(part));
    lines.push(format!("  {:<14} {:>8}", "in all", bytes(made.size)));
    lines.extend(made.warnings.iter().map(|text| format!("warning: {text}")));
    lines.extend(made.notes.iter().map(|note| format!("note: {note}")));
    lines.push(String::new());
    lines.join("\n")
}

fn part(part: &Part) -> String {
    let count = |number: usize, noun: &str, plural: &str| match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {plural}"),
    };
    let what = match part.libraries {
        0 => count(part.files, "file", "files"),
        number => count(number, "library", "libraries"),
    };
    format!("  {:<14} {:>8}  {what}", part.name, bytes(part.size))
}

fn bytes(size: u64) -> String {
    match size {
        0..10_000 => format!("{size} B"),
        10_000..1_000_000 => format!("{} kB", size / 1000),
        _ => format!("{:.1} MB", size as f64 / 1e6),
    }
}
