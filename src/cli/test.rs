//! `moondock test`: runs the tests of plugins.

use super::{on_this_thread, print, visible};
use crate::config::{Found, Roster};
use crate::plugin::{PluginSpec, Watcher};
use crate::script::Sources;
use crate::telemetry::chain;
use crate::testing::{Format, Options, Summary, run};
use anyhow::{Result, bail};
use clap::Args;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, available_parallelism};
use std::time::Instant;

const LONG: &str = "Run the tests of plugins, without an engine

Tests are in files such as `volume_test.lua` beside the scripts. Their cases
call the plugin as Docker does. Files are in a temporary directory, time stands
still while something is done, and programs, servers, mounts and the network
are not real. The exit code is 1 if a test fails.";

const AFTER: &str = "\
Examples:
  moondock test scripts/mynas
  moondock test --watch --filter creates scripts/mynas
  moondock test --cover-min 80 --format junit scripts > results.xml";

/// The arguments of `test`.
#[derive(Debug, Args)]
#[command(about = "Run the tests of plugins, without an engine", long_about = LONG, after_help = AFTER)]
pub struct Test {
    /// Directory of a plugin, or of several plugins
    #[arg(value_name = "PATH", default_value = "scripts")]
    paths: Vec<PathBuf>,
    /// Run only the cases whose name contains TEXT
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    filter: String,
    /// Run the cases in the order that an earlier run had
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Run so many cases at once; by default one on each processor
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZero<usize>>,
    /// Format of the results: pretty, tap or junit
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    #[arg(hide_possible_values = true)]
    format: Format,
    /// Replace snapshots that differ
    #[arg(long)]
    update: bool,
    /// Show which lines never ran, and which hooks were never called
    #[arg(long)]
    cover: bool,
    /// Fail if fewer lines of a plugin ran, in percent
    #[arg(long, value_name = "PERCENT")]
    cover_min: Option<f64>,
    /// Run the tests again whenever a file is saved
    #[arg(long)]
    watch: bool,
}

/// A plugin, and its files at one moment.
type Read = (PluginSpec, Arc<Sources>);

impl Test {
    /// Runs the tests, and prints their results.
    pub fn run(self) -> Result<ExitCode> {
        let roster = Roster::new(&self.paths)?;
        if self.watch {
            return on_this_thread(self.watch(&roster))?;
        }
        let found = roster.find_some()?;
        let read = on_this_thread(read(&found))??;
        self.run_once(&found, &read)
    }

    /// Runs the tests now and after each change.
    async fn watch(&self, roster: &Roster) -> Result<ExitCode> {
        let mut watcher = Watcher::new()?;
        loop {
            let found = roster.find_some()?;
            let read = read(&found).await?;
            let watched = read.iter().flat_map(|(_, sources)| sources.watch.clone());
            if watcher.follow(&watched.collect::<Vec<_>>()) {
                // Only another reading sees what changed before the watch was in place.
                continue;
            }
            // Tests have event loops of their own.
            let running = || self.run_once(&found, &read);
            let result = thread::scope(|scope| scope.spawn(running).join());
            if let Ok(Err(error)) = result {
                eprintln!("moondock: {error:#}");
            }
            watcher.changed().await;
        }
    }

    fn run_once(&self, found: &Found, read: &[Read]) -> Result<ExitCode> {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
        let jobs = self.jobs.or_else(|| available_parallelism().ok());
        let options = Options {
            filter: self.filter.clone(),
            seed,
            jobs: jobs.unwrap_or(NonZero::<usize>::MIN),
            update: self.update,
            unattended: false,
        };
        let begun = Instant::now();
        print(Summary::begin(self.format))?;
        let summary = Mutex::new(Summary::default());
        let report = |tested| {
            let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
            let text = visible(&summary.add(tested, self.format));
            // If stdout cannot be written, the exit code still says what became of the tests.
            let _ = print(&text);
        };
        let (mut coverage, mut is_covered) = (String::new(), true);
        for (plugin, sources) in read {
            let reached = run(plugin, sources, &options, &report);
            if sources.tests.is_empty() {
                continue;
            }
            coverage += &reached.describe(&plugin.name);
            is_covered &= self
                .cover_min
                .is_none_or(|least| reached.percent() >= least);
        }
        let summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        if summary.is_empty() {
            bail!("no tests: put them into files such as `volume_test.lua`, beside the scripts");
        }
        print(&visible(&summary.end(self.format, seed, begun.elapsed())))?;
        if self.cover || !is_covered {
            eprint!("{}", visible(&coverage));
        }
        if !is_covered {
            eprintln!("moondock: fewer lines ran than --cover-min asks for");
        }
        for problem in &found.problems {
            eprintln!("moondock: {}", visible(&chain(problem)));
        }
        let is_fine = summary.failed() == 0 && is_covered && found.problems.is_empty();
        Ok(if is_fine {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

async fn read(found: &Found) -> Result<Vec<Read>> {
    let mut all = Vec::new();
    for plugin in &found.plugins {
        let spec = PluginSpec::new(plugin.name.clone(), plugin.dir.clone(), PathBuf::new());
        let sources = Arc::new(spec.read_sources().await?);
        all.push((spec, sources));
    }
    Ok(all)
}
