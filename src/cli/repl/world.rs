//! The plugin and the state that lines run in.

use super::commands::{COMMANDS, help, is_command};
use crate::cli::call::{completed, example, find_call, show};
use crate::cli::{print, visible};
use crate::config::PluginDir;
use crate::plugin::{Plugin, PluginSpec};
use crate::protocol;
use crate::script::{Session, nearest};
use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
use std::process::ExitCode;
use std::rc::Rc;

/// What follows a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Success,
    Failure,
    Quit,
}

/// A plugin, and a state in its world.
pub struct World {
    dir: PluginDir,
    pub plugin: Rc<Plugin>,
    pub session: Rc<Session>,
}

impl World {
    /// Opens a plugin, and a state in its world.
    pub async fn open(spec: PluginSpec, dir: PluginDir) -> Result<Self> {
        Self::of(Plugin::open(spec).await?, dir)
    }

    fn of(plugin: Rc<Plugin>, dir: PluginDir) -> Result<Self> {
        let session = plugin.session().map_err(|problem| anyhow!("{problem}"))?;
        Ok(Self {
            dir,
            plugin,
            session: Rc::new(session),
        })
    }

    /// Whether more lines must follow before `text` can run.
    pub fn is_incomplete(&self, text: &str) -> bool {
        !is_command(text) && self.session.is_incomplete(text)
    }

    /// Runs a command, or Lua, and prints its values or what is wrong.
    ///
    /// # Errors
    /// Only if stdout cannot be written.
    pub async fn run(&mut self, text: &str, interrupt: impl Future<Output = ()>) -> Result<After> {
        let session = self.session.clone();
        if is_command(text) {
            session.skip(text);
            let obeyed = tokio::select! {
                obeyed = self.obey(text.trim()) => obeyed,
                () = interrupt => Err(anyhow!("interrupted")),
            };
            return Ok(obeyed.unwrap_or_else(|problem| complain(&format!("{problem:#}"))));
        }
        match session.run(text, interrupt).await {
            Ok(values) if values.is_empty() => Ok(After::Success),
            Ok(values) => {
                print(&visible(&format!("{}\n", values.join("\t"))))?;
                Ok(After::Success)
            }
            Err(problem) => Ok(complain(&problem.to_string())),
        }
    }

    async fn obey(&mut self, line: &str) -> Result<After> {
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            ".call" => return self.call(rest.trim()).await,
            ".example" => print(&format!(
                "{:#}\n",
                example(find_call(rest.trim(), &self.dir)?)
            ))?,
            ".grants" => print(&visible(&self.grants()))?,
            ".reload" => *self = Self::of(self.plugin.opened_anew().await?, self.dir.clone())?,
            ".help" => print(&format!("{}\n", help()))?,
            ".quit" => return Ok(After::Quit),
            other => bail!(unknown(other)),
        }
        Ok(After::Success)
    }

    async fn call(&self, line: &str) -> Result<After> {
        let (method, json) = line.split_once(char::is_whitespace).unwrap_or((line, "{}"));
        let call = find_call(method, &self.dir)?;
        let body = Bytes::from(json.trim().to_owned());
        let body = match call {
            protocol::Call::Method(method) => completed(method, body),
            protocol::Call::Activate => body,
        };
        let code = show(self.plugin.call(call, body).await).await?;
        Ok(if code == ExitCode::SUCCESS {
            After::Success
        } else {
            After::Failure
        })
    }

    fn grants(&self) -> String {
        let grants = self.plugin.grants();
        if grants.is_empty() {
            return "none: the plugin may touch nothing outside of its store\n".to_owned();
        }
        let lines = grants
            .iter()
            .map(|(grant, words)| format!("{grant}: {words}\n"));
        lines.collect()
    }
}

fn complain(problem: &str) -> After {
    eprintln!("{}", visible(problem));
    After::Failure
}

fn unknown(command: &str) -> String {
    match nearest(command, COMMANDS.iter().map(|command| command.name)) {
        Some(near) => format!("unknown command `{command}`; did you mean `{near}`?"),
        None => format!("unknown command `{command}`: `.help` lists them"),
    }
}
