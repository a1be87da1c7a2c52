//! Lines that are typed on a terminal, with completion and a history.

use super::commands::{COMMANDS, is_command};
use crate::plugin::Plugin;
use crate::protocol::{Method, methods};
use crate::script::Session;
use crate::server::make_private;
use anyhow::Result;
use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Helper};
use std::env;
use std::path::PathBuf;
use std::rc::Rc;

/// What was typed.
pub enum Typed {
    Text(String),
    /// Ctrl-C: what was typed is dropped.
    Interrupted,
    /// Ctrl-D.
    End,
}

/// A terminal's lines.
pub struct Editor {
    lines: rustyline::Editor<Guide, FileHistory>,
    prompt: String,
    history: Option<PathBuf>,
}

impl Editor {
    /// Takes the terminal over, with the history of earlier sessions.
    pub fn new(plugin: &Plugin) -> Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .auto_add_history(true)
            .build();
        let mut lines = rustyline::Editor::with_config(config)?;
        lines.set_max_history_size(1000)?;
        let history = history_file();
        if let Some(file) = &history {
            // There is none before the first session.
            let _ = lines.load_history(file);
        }
        Ok(Self {
            lines,
            prompt: format!("{}> ", plugin.name()),
            history,
        })
    }

    /// Reads a chunk of Lua, or a command.
    pub fn read(&mut self, session: &Rc<Session>) -> Result<Typed> {
        self.lines.set_helper(Some(Guide(session.clone())));
        let typed = match self.lines.readline(&self.prompt) {
            Ok(text) => Typed::Text(text),
            Err(ReadlineError::Interrupted) => Typed::Interrupted,
            Err(ReadlineError::Eof) => Typed::End,
            Err(error) => return Err(error.into()),
        };
        if let Some(file) = &self.history
            && let Err(error) = self.lines.append_history(file)
        {
            tracing::warn!(%error, "cannot write the history `{}`", file.display());
            self.history = None;
        }
        Ok(typed)
    }
}

/// Returns the file of the history, whose directory is created.
fn history_file() -> Option<PathBuf> {
    let named = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = named
        .filter(|dir| dir.is_absolute())
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/state")))?;
    let dir = state.join("moondock");
    match make_private(&dir) {
        Ok(()) => Some(dir.join("history")),
        Err(error) => {
            tracing::warn!(%error, "there is no history");
            None
        }
    }
}

/// Completes what is typed, and knows where it ends.
struct Guide(Rc<Session>);

impl Helper for Guide {}
impl Highlighter for Guide {}

impl Hinter for Guide {
    type Hint = String;
}

impl Validator for Guide {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        Ok(if !is_command(text) && self.0.is_incomplete(text) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Completer for Guide {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        end: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..end];
        let (start, mut names) = if is_command(typed) || typed == "." {
            command_names(typed)
        } else {
            self.names(typed)
        };
        names.retain(|name| name.starts_with(&typed[start..]));
        names.sort_unstable();
        names.dedup();
        Ok((start, names))
    }
}

impl Guide {
    /// Returns the names that may stand at the end of a line, and where the last one begins.
    fn names(&self, typed: &str) -> (usize, Vec<String>) {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let start = typed.trim_end_matches(is_of_name).len();
        let path = typed[..start].trim_end_matches(|c| is_of_name(c) || c == '.' || c == ':');
        (start, self.0.names_in(&typed[path.len()..start]))
    }
}

fn command_names(typed: &str) -> (usize, Vec<String>) {
    match typed.rsplit_once(' ') {
        None => (
            0,
            COMMANDS
                .iter()
                .map(|command| command.name.to_owned())
                .collect(),
        ),
        Some((command, _)) => (command.len() + 1, methods().map(Method::key).collect()),
    }
}
