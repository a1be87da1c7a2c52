//! `moondock status`: shows what a running process is doing.

use super::control::ProcessArgs;
use super::{on_this_thread, print, visible};
use crate::plugin::{LogStatus, PluginStatus, ScriptStatus};
use crate::server::{Phase, ServedPlugin, Status};
use anyhow::Result;
use clap::Args;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const LONG: &str = "Show what the running moondock is doing

Finds the process by its state directory, and shows its plugins: where each is
served, how often an engine has activated it, its grants, its scripts with their
live generation, calls and memory, the calls in flight, and what is wrong.

The exit code is 1 if something that is on disk does not run.";

/// The arguments of `status`.
#[derive(Debug, Args)]
#[command(about = "Show what the running moondock is doing", long_about = LONG)]
pub struct StatusArgs {
    /// Print JSON, as `GET /v1/status` of the control socket does
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    process: ProcessArgs,
}

impl StatusArgs {
    /// Asks the process, and prints its answer.
    pub fn run(self) -> Result<ExitCode> {
        let status = on_this_thread(self.process.control().status())??;
        if self.json {
            print(&visible(&format!(
                "{}\n",
                serde_json::to_string_pretty(&status)?
            )))?;
        } else {
            print(&visible(&page(&status, OffsetDateTime::now_utc())))?;
        }
        Ok(if has_problems(&status) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn has_problems(status: &Status) -> bool {
    let has_problem = |served: &ServedPlugin| {
        let plugin = served.plugin.as_ref();
        plugin.is_some_and(|plugin| !plugin.problems.is_empty())
    };
    !status.problems.is_empty() || status.plugins.iter().any(has_problem)
}

/// Lays the status out for people.
fn page(status: &Status, now: OffsetDateTime) -> String {
    let mut page = format!(
        "moondock {}, process {}, up {}, state in {}\n",
        status.version,
        status.pid,
        ago(&status.started, now),
        status.state.display()
    );
    for problem in &status.problems {
        add(&mut page, 0, "not served", problem);
    }
    for served in &status.plugins {
        page.push('\n');
        add_plugin(&mut page, served, now);
    }
    if status.plugins.is_empty() {
        page += "no plugins yet: make one with `moondock new NAME INTERFACE`\n";
    }
    page
}

fn add_plugin(page: &mut String, served: &ServedPlugin, now: OffsetDateTime) {
    let phase = match served.phase {
        Phase::Opening => ", opening",
        Phase::Serving => "",
        Phase::Draining => ", draining",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{}{phase}", served.name);
    add(
        page,
        2,
        "directory",
        &served.directory.display().to_string(),
    );
    add(page, 2, "address", &served.address);
    let Some(plugin) = &served.plugin else { return };
    add(page, 2, "engine", &engine(plugin));
    add_list(page, "grants", &plugin.grants.accepted);
    add_list(page, "grants that wait", &plugin.grants.waiting);
    for script in &plugin.scripts {
        add(page, 2, &script.file, &summary(script, now));
        if let Some(failure) = &script.last_failure {
            let label = format!("failed {} ago", ago(&failure.at, now));
            let call = [&failure.method, failure.object.as_str()]
                .map(String::from)
                .join(" ");
            add(
                page,
                4,
                &label,
                &format!("{}: {}", call.trim_end(), failure.error),
            );
        }
    }
    for call in &plugin.calls_in_flight {
        add(
            page,
            2,
            "in flight",
            &format!("{} for {:.1} s", call.method, call.ms / 1e3),
        );
    }
    let logs = &plugin.log_streams;
    if *logs != LogStatus::default() {
        let text = format!(
            "{} open, {} bytes on disk, {} entries dropped, {} failed deliveries",
            logs.open, logs.spilled_bytes, logs.dropped_entries, logs.failed_deliveries
        );
        add(page, 2, "log streams", &text);
    }
    for (file, problem) in &plugin.problems {
        add(page, 2, &format!("problem in {file}"), problem);
    }
}

fn engine(plugin: &PluginStatus) -> String {
    match plugin.activations {
        0 => "has not activated it yet".to_owned(),
        1 => format!(
            "activated it once; open connections: {}",
            plugin.connections
        ),
        times => format!(
            "activated it {times} times; open connections: {}",
            plugin.connections
        ),
    }
}

fn summary(script: &ScriptStatus, now: OffsetDateTime) -> String {
    let version = match (&script.loaded, script.generation) {
        (_, 0) | (None, _) => "cannot be loaded".to_owned(),
        (Some(loaded), generation) => {
            format!("generation {generation}, loaded {} ago", ago(loaded, now))
        }
    };
    let calls = &script.calls;
    format!(
        "{version}; calls: {} ok, {} denied, {} failed; {:.1} MiB",
        calls.ok,
        calls.denied,
        calls.failed,
        script.memory_bytes as f64 / f64::from(1 << 20)
    )
}

fn add_list(page: &mut String, label: &str, items: &[String]) {
    if !items.is_empty() {
        add(page, 2, label, &items.join(", "));
    }
}

/// Adds a line; the further lines of `text` are indented below it.
fn add(page: &mut String, indent: usize, label: &str, text: &str) {
    let text = text
        .trim_end()
        .replace('\n', &format!("\n{:1$}", "", indent + 2));
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{:indent$}{label}: {text}", "");
}

/// Returns how long ago a moment was, in the largest unit that fits.
fn ago(moment: &str, now: OffsetDateTime) -> String {
    let Ok(moment) = OffsetDateTime::parse(moment, &Rfc3339) else {
        return moment.to_owned();
    };
    let passed = Duration::try_from(now - moment).unwrap_or_default();
    match passed.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86400),
    }
}
