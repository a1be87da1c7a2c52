//! A file of tests, and the run of one of its cases.

use super::Failure;
use super::native::Native;
use super::rig::Rig;
use super::snapshots::Snapshots;
use crate::host::{Host, Limits};
use crate::plugin::PluginSpec;
use crate::script::{Diagnostic, Sources, Vm, run_file};
use mlua::Function;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a case may run: no time at all but for those that use the real machine, as the clock
/// of a test stands still while something is done.
const DEADLINE: Duration = Duration::from_hours(24 * 365);
/// How much a case may compute.
const CPU: Duration = Duration::from_mins(1);
const MEMORY: usize = 512 << 20;
/// How many of the last calls and lines of the log are shown with a failure.
const SHOWN: usize = 12;

/// A file of tests that was loaded on a rig.
pub struct Loaded {
    pub rig: Rc<Rig>,
    vm: Vm,
    file: String,
    sources: Arc<Sources>,
}

impl Loaded {
    /// Loads a file of tests, which adds its cases.
    ///
    /// # Errors
    /// What keeps it from being loaded.
    pub async fn new(
        plugin: &PluginSpec,
        sources: &Arc<Sources>,
        file: &str,
        snapshots: Snapshots,
        unattended: bool,
    ) -> Result<Self, Failure> {
        let rig = Rig::new(plugin, sources.clone(), snapshots)
            .await
            .map_err(|problem| Failure::of(problem.to_string()))?;
        let limits = Limits {
            cpu: CPU,
            memory: MEMORY,
            log_lines: usize::MAX,
            ..Limits::default()
        };
        let host = Host::new(
            rig.shared.clone(),
            Arc::default(),
            file.to_owned(),
            1,
            limits,
        );
        let broken = |error: mlua::Error| Failure::of(error.to_string());
        let vm = Vm::new(host.clone()).map_err(broken)?;
        let native = vm
            .lua()
            .create_userdata(Native {
                rig: rig.clone(),
                unattended,
            })
            .map_err(broken)?;
        let all = Arc::new(sources.with_tests());
        run_file(&vm, file, &all, Some(native))
            .await
            .map_err(|diagnostic| Failure::of(show(diagnostic, &all)))?;
        host.in_call.set(true);
        Ok(Self {
            rig,
            vm,
            file: file.to_owned(),
            sources: all,
        })
    }

    /// Returns the names of the cases, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        let cases = self.rig.cases.borrow();
        cases.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Runs a case.
    ///
    /// # Errors
    /// Why it failed, with the calls and the log that led to it.
    pub async fn run(&self, case: &str) -> Result<(), Failure> {
        let rig = &self.rig;
        let found = rig
            .cases
            .borrow()
            .iter()
            .find(|(name, _)| name == case)
            .cloned();
        let Some((_, function)) = found else {
            return Err(Failure::of("the file has no such case any more".to_owned()));
        };
        rig.prepare()
            .map_err(|error| Failure::of(error.to_string()))?;
        let outcome = self.call(&function).await;
        let problems = rig.machine().map(|machine| machine.problems());
        rig.stop();
        let beside = problems.and_then(Result::ok).unwrap_or_default();
        let failed = outcome.err();
        let failed = failed.map(|diagnostic| show(diagnostic, &self.sources));
        let problems: Vec<_> = failed.into_iter().chain(beside).collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(Failure {
            message: problems.join("\n"),
            calls: last(&rig.calls.borrow()),
            log: last(&rig.log()),
        })
    }

    async fn call(&self, function: &Function) -> Result<(), Diagnostic> {
        let failed =
            |e: mlua::Error| Diagnostic::of_failure(&self.file, &self.vm.rust_failure(&e), None);
        let hook = self.vm.hook(function).map_err(failed)?;
        let outcome = self.vm.call(&hook, (), DEADLINE).await;
        let place = hook.place.clone();
        let failed = |failure| Diagnostic::of_failure(&self.file, &failure, place);
        outcome
            .map(drop)
            .map_err(|failure| failed(failure).or_in(&self.file))
    }
}

impl Drop for Loaded {
    /// Lets go of the functions of the state, which hold the rig.
    fn drop(&mut self) {
        self.rig.end();
    }
}

fn show(diagnostic: Diagnostic, sources: &Sources) -> String {
    let text_of = |file: &Path| sources.files.get(file).map(Vec::as_slice);
    diagnostic.excerpt_from(text_of).to_string()
}

fn last(lines: &[String]) -> Vec<String> {
    lines[lines.len().saturating_sub(SHOWN)..].to_vec()
}
