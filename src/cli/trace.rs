//! `moondock trace`: shows the calls of a running process as they pass.

use super::control::ProcessArgs;
use super::{on_this_thread, print, visible};
use crate::server::Status;
use anyhow::{Result, ensure};
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;

const LONG: &str = "Show the calls of the running moondock as they pass

Prints a line for each call, with its request and its reply below it, until
Ctrl-C. The values of fields, options, headers, variables and query parameters
whose names say that they are secrets (PASSWORD, API_KEY, X-Registry-Auth, ...)
are shown as ***, and so are passwords in URLs. Look at the output before you
give it away: a secret under another name is not known as one.

No call waits for this command. If it is slower than the calls, those that it
misses are counted.";

const AFTER: &str = "\
Examples:
  moondock trace                        every call of every plugin
  moondock trace ops --denied           what the policy `ops` denies
  moondock trace --slow 50 --json       calls that take 50 ms or more, for jq";

/// The arguments of `trace`.
#[derive(Debug, Args)]
#[command(about = "Show the calls of the running moondock as they pass", long_about = LONG, after_help = AFTER)]
pub struct Trace {
    /// Only calls of this plugin
    #[arg(value_name = "PLUGIN")]
    plugin: Option<String>,
    /// Only calls of this method, such as VolumeDriver.Mount
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Only denied requests
    #[arg(long, conflicts_with = "failed")]
    denied: bool,
    /// Only failed calls
    #[arg(long)]
    failed: bool,
    /// Only calls that take this long, in milliseconds
    #[arg(long, value_name = "MS")]
    slow: Option<f64>,
    /// End after this many calls
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print lines of JSON, as `GET /v1/trace` of the control socket does
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    process: ProcessArgs,
}

impl Trace {
    /// Prints calls until the process ends, or enough were seen.
    pub fn run(self) -> Result<ExitCode> {
        let verdict = match (self.denied, self.failed) {
            (true, _) => Some("denied".to_owned()),
            (_, true) => Some("failed".to_owned()),
            _ => None,
        };
        let wanted = [
            ("plugin", self.plugin),
            ("method", self.method),
            ("verdict", verdict),
            ("slow_ms", self.slow.map(|ms| ms.to_string())),
        ];
        let parameters: Vec<_> = wanted
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let control = self.process.control();
        let (json, mut left) = (self.json, self.count);
        if !json {
            eprintln!("watching calls, Ctrl-C ends");
        }
        let mut printed = Ok(());
        let seen = |line: &str| {
            printed = print(&visible(&if json {
                format!("{line}\n")
            } else {
                for_people(line)
            }));
            left = left.map(|left| left.saturating_sub(1));
            printed.is_ok() && left != Some(0)
        };
        on_this_thread(async {
            if let Some((_, name)) = parameters.iter().find(|(name, _)| *name == "plugin") {
                expect_plugin(&control.status().await?, name)?;
            }
            Ok::<_, anyhow::Error>(control.trace(&parameters, seen).await?)
        })??;
        printed.map(|()| ExitCode::SUCCESS)
    }
}

/// Fails if the process has no plugin of this name: nothing would ever be seen of it.
fn expect_plugin(status: &Status, name: &str) -> Result<()> {
    let names: Vec<_> = status
        .plugins
        .iter()
        .map(|plugin| plugin.name.as_str())
        .collect();
    ensure!(
        names.contains(&name),
        "no plugin `{name}` is served; there are: {}",
        names.join(", ")
    );
    Ok(())
}

/// Lays a call out for people.
fn for_people(line: &str) -> String {
    let call: Value = serde_json::from_str(line).unwrap_or_default();
    if let Some(missed) = call["missed"].as_u64() {
        return format!("({missed} calls passed unseen)\n");
    }
    // A line end in a name must not begin a line that looks like another call.
    let text = |name: &str| {
        let text = call[name].as_str().unwrap_or_default();
        text.replace('\n', "\\n")
    };
    let mut shown = format!(
        "{}: {} ({:.1} ms, generation {})\n",
        ["time", "plugin", "method", "object"]
            .map(text)
            .join(" ")
            .trim_end(),
        text("outcome"),
        call["ms"].as_f64().unwrap_or_default(),
        call["generation"]
    );
    for part in ["request", "reply"] {
        if !call[part].is_null() {
            shown += &["  ", part, " ", &call[part].to_string(), "\n"].concat();
        }
    }
    shown
}
