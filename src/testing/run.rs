//! Runs the cases of a plugin's tests, several at once.

use super::case::Loaded;
use super::coverage::Coverage;
use super::snapshots::Snapshots;
use super::{Failure, Options, Tested};
use crate::plugin::PluginSpec;
use crate::script::Sources;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::task::LocalSet;

/// The tests of a plugin, while they run.
struct Run<'a> {
    plugin: &'a PluginSpec,
    sources: &'a Arc<Sources>,
    options: &'a Options,
    report: &'a (dyn Fn(Tested) + Sync),
    /// The snapshots by files of tests.
    snapshots: Mutex<BTreeMap<String, Snapshots>>,
    coverage: Mutex<Coverage>,
}

/// A case to run.
struct Planned {
    file: String,
    case: String,
}

/// Runs the tests of a plugin on these files, and passes each result to `report` as it comes.
/// Returns what they reached.
pub fn run(
    plugin: &PluginSpec,
    sources: &Arc<Sources>,
    options: &Options,
    report: &(dyn Fn(Tested) + Sync),
) -> Coverage {
    let run = Run {
        plugin,
        sources,
        options,
        report,
        snapshots: Mutex::default(),
        coverage: Mutex::default(),
    };
    let mut planned = run.plan();
    planned.retain(|planned| planned.case.contains(&options.filter));
    fastrand::Rng::with_seed(options.seed).shuffle(&mut planned);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(planned) = planned.get(next.fetch_add(1, Relaxed)) {
            run.case(planned);
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.jobs.get().min(planned.len()) {
            scope.spawn(work);
        }
    });
    run.end()
}

impl Run<'_> {
    /// Loads all files of tests, and returns their cases.
    fn plan(&self) -> Vec<Planned> {
        let mut planned = Vec::new();
        for file in self.sources.tests.keys() {
            let (file, begun) = (file.display().to_string(), Instant::now());
            match self.list(&file) {
                Ok(cases) => planned.extend(cases.into_iter().map(|case| Planned {
                    file: file.clone(),
                    case,
                })),
                Err(failure) => self.tell(file, None, begun, Some(failure)),
            }
        }
        planned
    }

    /// Loads a file of tests. Returns the names of its cases.
    fn list(&self, file: &str) -> Result<Vec<String>, Failure> {
        let kept = Snapshots::read(&self.plugin.dir, file, self.options.update)
            .map_err(|error| Failure::of(format!("cannot read the snapshots: {error}")))?;
        locked(&self.snapshots).insert(file.to_owned(), kept.clone());
        block_on(async {
            let loaded = self.load(file, kept).await?;
            Ok(loaded.names())
        })
    }

    async fn load(&self, file: &str, kept: Snapshots) -> Result<Loaded, Failure> {
        let unattended = self.options.unattended;
        Loaded::new(self.plugin, self.sources, file, kept, unattended).await
    }

    fn case(&self, Planned { file, case }: &Planned) {
        let begun = Instant::now();
        let kept = locked(&self.snapshots).get(file).cloned();
        let failure = kept.and_then(|kept| {
            let running = async {
                let loaded = self.load(file, kept).await?;
                let result = loaded.run(case).await;
                self.take(file, &loaded);
                result
            };
            block_on(running).err()
        });
        self.tell(file.clone(), Some(case.clone()), begun, failure);
    }

    /// Takes over what a case has reached, and its new snapshots.
    fn take(&self, file: &str, loaded: &Loaded) {
        locked(&self.coverage).merge(loaded.rig.coverage.take());
        if let Some(kept) = locked(&self.snapshots).get_mut(file) {
            kept.merge(&loaded.rig.snapshots.borrow());
        }
    }

    fn tell(&self, file: String, case: Option<String>, begun: Instant, failure: Option<Failure>) {
        let took: Duration = begun.elapsed();
        (self.report)(Tested {
            plugin: self.plugin.name.clone(),
            file,
            case,
            took,
            failure,
        });
    }

    /// Writes the snapshots, and returns what was reached.
    fn end(self) -> Coverage {
        let snapshots = locked(&self.snapshots);
        let written = snapshots.iter().filter(|_| !self.options.unattended);
        for (file, kept) in written {
            if let Err(error) = kept.write() {
                let failure = Failure::of(format!("cannot write the snapshots: {error}"));
                self.tell(file.clone(), None, Instant::now(), Some(failure));
            }
        }
        drop(snapshots);
        self.coverage
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` on this thread, with a clock that passes only while there is nothing to do.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    #[expect(clippy::expect_used, reason = "as for the threads of a scope")]
    let runtime = runtime.expect("the system gives this thread an event loop");
    let result = LocalSet::new().block_on(&runtime, work);
    // A file operation that hangs must not hold up the other cases.
    runtime.shutdown_background();
    result
}
