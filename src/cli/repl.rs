//! `moondock repl`: a prompt in a plugin's world.

mod commands;
mod editor;
mod world;

use self::editor::{Editor, Typed};
use self::world::{After, World};
use super::state::StateDir;
use super::{on_this_thread, only_plugin, print};
use crate::plugin::PluginSpec;
use anyhow::{Context, Result};
use clap::Args;
use futures_util::FutureExt;
use std::future::pending;
use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

const LONG: &str = "Run Lua line by line, with the modules and the grants of a plugin

What is typed runs on this machine, with all its effects, within the grants
and the limits of plugin.toml. The values of each line are printed; `print`
writes to the log, on stderr. A line that is incomplete goes on in the next.

All modules and kits of Moondock are variables: write `fs.read(\"/etc/motd\")`.
`require` loads the plugin's own files: `require(\"./lib/disk\")`. A `local`
that is not within a block is a variable of the whole session.

On a terminal there are completion by Tab and a history, in moondock/history
below $XDG_STATE_HOME or ~/.local/state. Ctrl-C ends what runs, and Ctrl-D the
session. Without a terminal, lines are read from stdin to its end, and the
exit code is 1 if one of them failed.";

/// The arguments of `repl`.
#[derive(Debug, Args)]
#[command(about = "Run Lua line by line in a plugin's world", long_about = LONG, after_help = commands::help())]
pub struct Repl {
    /// Directory of the plugin
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Directory for the state of plugins; by default a temporary one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl Repl {
    /// Runs lines until the session ends.
    pub fn run(self) -> Result<ExitCode> {
        let plugin = only_plugin(&self.path)?;
        let state = StateDir::take(self.state, &plugin.name)?;
        let spec = PluginSpec::new(plugin.name.clone(), plugin.dir.clone(), state.dir.clone());
        on_this_thread(async {
            let mut world = World::open(spec, plugin).await?;
            let all_ran = if stdin().is_terminal() && stdout().is_terminal() {
                converse(&mut world).await?
            } else {
                run_lines(&mut world).await?
            };
            state.report_loss(&world.plugin);
            Ok(if all_ran {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        })?
    }
}

/// Runs what is typed on a terminal.
async fn converse(world: &mut World) -> Result<bool> {
    let mut editor = Editor::new(&world.plugin)?;
    print("Lua with the modules of Moondock; `.help` explains, Ctrl-D ends\n")?;
    loop {
        match editor.read(&world.session)? {
            Typed::End => break,
            Typed::Interrupted => {}
            Typed::Text(text) => {
                // Taken before the line runs, as a signal that nobody takes ends the process.
                let mut interrupts = signal(SignalKind::interrupt())?;
                let interrupted = interrupts.recv().map(drop);
                if world.run(&text, interrupted).await? == After::Quit {
                    break;
                }
            }
        }
    }
    Ok(true)
}

/// Runs the lines of stdin. Returns whether all of them succeeded.
async fn run_lines(world: &mut World) -> Result<bool> {
    let (mut all_ran, mut chunk) = (true, String::new());
    for line in stdin().lines() {
        chunk += &line.context("cannot read stdin")?;
        if world.is_incomplete(&chunk) {
            chunk.push('\n');
            continue;
        }
        match world.run(&std::mem::take(&mut chunk), pending()).await? {
            After::Quit => return Ok(all_ran),
            after => all_ran &= after == After::Success,
        }
    }
    if !chunk.is_empty() {
        all_ran &= world.run(chunk.trim_end(), pending()).await? == After::Success;
    }
    Ok(all_ran)
}
