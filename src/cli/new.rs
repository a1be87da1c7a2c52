//! `moondock new`: makes the directory of a plugin.

use super::{in_shell, print, visible};
use crate::protocol::Interface;
use crate::scaffold::{Beginning, create};
use crate::shipped::{PLUGINS, ShippedPlugin};
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const LONG: &str = "Make the directory of a new plugin

NAME is the directory to make, and its last part is the plugin's name in
Docker. It gets a script and a test for each interface, on a kit where there is
one, plugin.toml with the grants that the scripts need, the types of this
version for editors (see `moondock types`), and settings for VS Code and
Neovim. An existing directory must be empty.";

const AFTER: &str = "\
Examples:
  moondock new scripts/mydisk volume         a volume driver, named mydisk
  moondock new scripts/wires network ipam    a network driver with its addresses
  moondock new scripts/guard --from ops      a copy of the plugin `ops`";

/// The arguments of `new`.
#[derive(Debug, Args)]
#[command(about = "Make the directory of a new plugin", long_about = LONG, after_help = AFTER)]
pub struct New {
    /// Directory to make; its last part is the plugin's name
    #[arg(value_name = "NAME", required_unless_present = "list")]
    path: Option<PathBuf>,
    /// Interfaces of the plugin
    #[arg(value_name = "INTERFACE", value_parser = interfaces())]
    #[arg(required_unless_present_any = ["list", "from"])]
    interfaces: Vec<Interface>,
    /// Write the hooks of each interface in place of a kit
    #[arg(long, conflicts_with = "from")]
    raw: bool,
    /// Copy a plugin that ships with Moondock (see --list)
    #[arg(long, value_name = "PLUGIN", value_parser = plugins(), hide_possible_values = true)]
    #[arg(conflicts_with = "interfaces")]
    from: Option<&'static ShippedPlugin>,
    /// List the plugins that can be copied
    #[arg(long, conflicts_with_all = ["path", "raw", "from"])]
    list: bool,
}

impl New {
    /// Makes the directory, and prints what to do next.
    pub fn run(self) -> Result<ExitCode> {
        let Some(path) = self.path.filter(|_| !self.list) else {
            print(&list())?;
            return Ok(ExitCode::SUCCESS);
        };
        let beginning = match self.from {
            Some(plugin) => Beginning::Copy(plugin),
            None => Beginning::Interfaces {
                interfaces: self.interfaces.into_iter().collect(),
                raw: self.raw,
            },
        };
        let files = create(&path, &beginning)?;
        print(&visible(&next_steps(&path, &files)))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn interfaces() -> impl TypedValueParser<Value = Interface> {
    PossibleValuesParser::new(Interface::ALL.map(Interface::name)).try_map(|name| {
        let mut all = Interface::ALL.into_iter();
        let found = all.find(|interface| interface.name() == name);
        found.ok_or("no such interface")
    })
}

fn plugins() -> impl TypedValueParser<Value = &'static ShippedPlugin> {
    PossibleValuesParser::new(PLUGINS.iter().map(|plugin| plugin.name)).try_map(|name| {
        let found = PLUGINS.iter().find(|plugin| plugin.name == name);
        found.ok_or("no such plugin")
    })
}

fn list() -> String {
    let line = |plugin: &ShippedPlugin| format!("{:<10} {}\n", plugin.name, plugin.about);
    PLUGINS.iter().map(line).collect()
}

/// Lists the files, and the commands to run next.
fn next_steps(path: &Path, files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
    let shown = in_shell(path);
    let mut lines = vec![format!("{}: {}\n\nNext:", path.display(), names.join(" "))];
    lines.push(format!("  moondock check {shown}"));
    if names.iter().any(|name| name.ends_with("_test.lua")) {
        lines.push(format!("  moondock test {shown}"));
    }
    lines.push(format!("  moondock serve {shown}    as root\n"));
    lines.join("\n")
}
