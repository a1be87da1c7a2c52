//! The command line: one file for each verb.

pub mod bundle;
pub mod call;
pub mod check;
pub mod completions;
mod control;
pub mod fmt;
pub mod man;
pub mod new;
pub mod reload;
pub mod repl;
pub mod serve;
mod state;
pub mod status;
pub mod test;
pub mod trace;
pub mod types;

use crate::config::{PluginDir, Roster};
use crate::grants::is_invisible;
use crate::server::init;
use crate::telemetry::{self, Format, Level, Stream};
use anyhow::{Context, Result, bail};
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::env;
use std::io::{ErrorKind, Write, stdout};
use std::path::Path;
use std::process::ExitCode;
use tokio::runtime;
use tokio::task::LocalSet;

const ABOUT: &str = "Docker Engine plugins written in Lua

A directory is a plugin. A file in it is an interface (volume.lua, authz.lua,
...), and a function in that file answers one of the engine's calls. A saved
file takes effect at once.";

const AFTER: &str = "\
First steps:
  moondock new mydisk volume     make a volume driver, named mydisk
  moondock check mydisk          find its mistakes
  moondock test mydisk           run its tests
  sudo moondock serve mydisk     serve it to the engine";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "moondock", version, about = "Docker Engine plugins written in Lua", long_about = ABOUT)]
#[command(after_help = AFTER, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    log: LogOptions,
}

#[derive(Debug, Subcommand)]
enum Verb {
    New(new::New),
    Serve(serve::Serve),
    Check(check::Check),
    Test(test::Test),
    Fmt(fmt::Fmt),
    Call(call::Call),
    Repl(repl::Repl),
    Reload(reload::Reload),
    Status(status::StatusArgs),
    Trace(trace::Trace),
    Bundle(bundle::BundleArgs),
    Types(types::Types),
    Completions(completions::Completions),
    Man(man::Man),
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging (to stderr; with --managed to stdout)")]
struct LogOptions {
    /// Log level: off, error, warn, info (one line per call), debug or trace
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "MOONDOCK_LOG_LEVEL",
        default_value = "info"
    )]
    #[arg(hide_env_values = true, hide_possible_values = true)]
    log_level: Level,
    /// Log format: pretty (lines of text) or json (lines of JSON)
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "MOONDOCK_LOG_FORMAT",
        default_value = "pretty"
    )]
    #[arg(hide_env_values = true, hide_possible_values = true)]
    log_format: Format,
}

/// Returns the command line as it is parsed and shown: all verbs accept the options of the log, and
/// only the help of the whole shows them.
pub fn command() -> Command {
    let whole = Cli::command();
    let everywhere = whole.get_arguments().filter(|arg| arg.is_global_set());
    let hidden: Vec<_> = everywhere.map(|arg| arg.clone().hide(true)).collect();
    whole.mut_subcommands(|verb| verb.args(hidden.clone()))
}

/// Parses the arguments of the process and runs the verb.
///
/// Returns the verb's exit code, 1 for an error, or 2 for invalid arguments.
pub fn run() -> ExitCode {
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let (level, format, stream) = match &parsed {
        Ok(cli) => (cli.log.log_level, cli.log.log_format, cli.verb.stream()),
        Err(_) => (Level::Info, Format::Pretty, Stream::Stderr),
    };
    let telemetry = telemetry::start(level, format, stream);
    // This comes before errors of parsing: an invalid variable must not end PID 1 at once.
    let result = if init::is_needed() && serves() {
        init::run()
            .map(ExitCode::from)
            .context("cannot start the process below PID 1")
    } else {
        parsed.unwrap_or_else(|error| error.exit()).verb.run()
    };
    result.unwrap_or_else(|error| {
        telemetry.fail(&error);
        ExitCode::FAILURE
    })
}

fn serves() -> bool {
    env::args_os().nth(1).is_some_and(|verb| verb == "serve")
}

impl Verb {
    fn stream(&self) -> Stream {
        match self {
            Verb::Serve(serve) if serve.managed => Stream::Stdout,
            _ => Stream::Stderr,
        }
    }

    fn run(self) -> Result<ExitCode> {
        match self {
            Verb::New(new) => new.run(),
            Verb::Serve(serve) => serve.run(),
            Verb::Check(check) => check.run(),
            Verb::Test(test) => test.run(),
            Verb::Fmt(fmt) => fmt.run(),
            Verb::Call(call) => call.run(),
            Verb::Repl(repl) => repl.run(),
            Verb::Reload(reload) => reload.run(),
            Verb::Status(status) => status.run(),
            Verb::Trace(trace) => trace.run(),
            Verb::Bundle(bundle) => bundle.run(),
            Verb::Types(types) => types.run(),
            Verb::Completions(completions) => completions.run(),
            Verb::Man(man) => man.run(),
        }
    }
}

fn only_plugin(path: &Path) -> Result<PluginDir> {
    let mut plugins = Roster::new(&[path.to_owned()])?.find_some()?.plugins;
    match (plugins.pop(), plugins.is_empty()) {
        (Some(plugin), true) => Ok(plugin),
        _ => bail!(
            "`{}` contains more than one plugin: pass the directory of one",
            path.display()
        ),
    }
}

/// Replaces control characters. Grants are accepted by what is shown here, so no plugin may change
/// it on a terminal.
fn visible(text: &str) -> String {
    let shown = |c| {
        if is_invisible(c) && c != '\n' && c != '\t' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// Writes a path as one word of a shell's command.
fn in_shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@%:,".contains(c);
    if text.chars().all(is_plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Prints to stdout. A closed pipe is not an error.
fn print(text: &str) -> Result<()> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Runs `work` on this thread, in the environment of a plugin's thread.
fn on_this_thread<T>(work: impl Future<Output = T>) -> Result<T> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = LocalSet::new().block_on(&runtime, work);
    // A file operation that hangs must not delay the exit.
    runtime.shutdown_background();
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
