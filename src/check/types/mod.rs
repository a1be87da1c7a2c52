//! Luau's own analysis: the types of scripts, and its lints.
//!
//! All files are checked as strictly as `--!strict` asks for, with the stubs and kits that this
//! Moondock ships. In a file that did not ask for it, only what is certainly wrong is reported: see
//! [`judgement`].

mod config;
mod globals;
mod hooks;
mod judgement;
mod known;
mod modules;
mod places;
mod shift;
mod wording;

use self::config::{Configuration, Mode};
use self::judgement::Judge;
use self::modules::Modules;
use super::Severity;
use crate::host::definitions;
use crate::script::{Diagnostic, Sources};
use luau_analysis::{DefinitionEnvironment, Frontend, FrontendOptions, NullConfigResolver};
use luau_common::BString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// The name of the definitions of requests and replies in the analysis.
const DEFINITIONS: &str = "@hooks";
/// The stack of the thread that analyses, in bytes: the analysis follows the nesting of the source.
const STACK: usize = 64 << 20;
/// The limit on the analysis of a file, in seconds.
const TIME_LIMIT: f64 = 20.0;

/// What the analysis says about a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub severity: Severity,
    pub diagnostic: Diagnostic,
}

/// The analysis of a plugin's files, with everything that it needs.
type Analysis = Frontend<Modules, NullConfigResolver>;

/// Checks the types of all scripts of a plugin, required or not, on a thread of its own. `settings`
/// is the text of `.luaurc`. Returns nothing if the analysis panics, which must not hide what else is
/// wrong with the plugin.
pub fn check(sources: &Arc<Sources>, settings: io::Result<Option<String>>) -> Option<Vec<Remark>> {
    let sources = sources.clone();
    let work = thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || remarks(&sources, settings));
    work.ok()?.join().ok()
}

/// Says that the types were not checked.
pub fn unchecked(file: &str) -> Remark {
    Remark {
        severity: Severity::Note,
        diagnostic: Diagnostic::of_file(file, "the types were not checked: the analysis failed"),
    }
}

fn remarks(sources: &Arc<Sources>, settings: io::Result<Option<String>>) -> Vec<Remark> {
    let configuration = Configuration::of(settings);
    let mut remarks = configuration.problem().into_iter().collect();
    let modules = Modules::new(sources.clone());
    let Some(mut analysis) = analysis(modules, &configuration) else {
        return vec![unchecked(".")];
    };
    for file in sources.files.keys().filter(|file| is_script(file)) {
        check_file(&mut analysis, &configuration, file, &mut remarks);
    }
    remarks
}

/// Returns an analysis that knows Luau's library, the requests and the replies.
fn analysis(modules: Modules, configuration: &Configuration) -> Option<Analysis> {
    let options = FrontendOptions {
        retain_full_type_graphs: true,
        run_lint_checks: true,
        module_time_limit_sec: Some(TIME_LIMIT),
        ..FrontendOptions::default()
    };
    let mut analysis = Frontend::new(modules, configuration.resolver(), options);
    let globals = DefinitionEnvironment::Globals;
    analysis.register_builtin_globals(globals).ok()?;
    let scope = analysis.global_scope(globals);
    let loaded = analysis.load_definition_file(scope, definitions(), DEFINITIONS, false);
    loaded
        .ok()
        .filter(|loaded| loaded.success)
        .map(|_| analysis)
}

fn is_script(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "lua" || extension == "luau")
}

fn check_file(
    analysis: &mut Analysis,
    configuration: &Configuration,
    file: &Path,
    remarks: &mut Vec<Remark>,
) {
    let name = BString::from(file.display().to_string());
    if analysis.check(&name, None).is_err() {
        return remarks.push(unchecked(&file.display().to_string()));
    }
    let Some(prepared) = analysis.file_resolver().prepared(&name) else {
        return;
    };
    let mode = configuration.mode(prepared.declared);
    // What is wrong with the syntax is reported without the analysis, which would add guesses.
    if mode != Mode::NoCheck
        && prepared.is_sound
        && let Some(judge) = Judge::new(analysis, prepared, &name, mode)
    {
        remarks.extend(judge.remarks());
    }
}
