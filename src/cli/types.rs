//! `moondock types`: writes the types that editors read.

use super::{print, visible};
use crate::config::Roster;
use crate::scaffold::{TypesChange, write_types};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

const LONG: &str = "Write the types of this version, for editors

Writes the types of what scripts can call to DIR/.moondock, or replaces those
of another version, and says what has changed. The whole directory .moondock
belongs to Moondock. Writes DIR/.luaurc if there is none; touches nothing else.";

/// The arguments of `types`.
#[derive(Debug, Args)]
#[command(about = "Write the types of this version, for editors", long_about = LONG)]
pub struct Types {
    /// Directory of a plugin, or of several plugins
    #[arg(value_name = "DIR", default_value = ".")]
    path: PathBuf,
}

impl Types {
    /// Writes the types, and prints what has changed.
    pub fn run(self) -> Result<ExitCode> {
        Roster::new(std::slice::from_ref(&self.path))?;
        let change = write_types(&self.path)?;
        print(&visible(&describe(&change)))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(change: &TypesChange) -> String {
    let (dir, version) = (change.dir.display(), env!("CARGO_PKG_VERSION"));
    let mut lines = vec![match &change.before {
        None => format!("{dir}: types of moondock {version}"),
        Some(_) if change.is_none() => {
            format!("{dir}: types of moondock {version}, nothing to change")
        }
        Some(before) => format!("{dir}: types of moondock {version}, before of {before}"),
    }];
    if change.before.is_some() {
        for (word, paths) in [
            ("added", &change.added),
            ("changed", &change.changed),
            ("removed", &change.removed),
        ] {
            let paths = paths.iter();
            lines.extend(paths.map(|path| format!("  {word:<8} {}", path.display())));
        }
    }
    if change.has_new_luaurc {
        lines.push("  added    .luaurc, which names them `@moondock`".to_owned());
    }
    if change.lacks_alias {
        lines.push(
            "note: .luaurc does not name them: add \"aliases\": { \"moondock\": \".moondock/types\" }"
                .to_owned(),
        );
    }
    lines.push(String::new());
    lines.join("\n")
}
