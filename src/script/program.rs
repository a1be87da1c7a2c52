//! One generation of one interface's script.

use super::globals;
use super::hooks::{check_hooks, driver_line};
use super::loader::{Loader, kit_text};
use super::place::{OWN, Place};
use super::{CallFailure, Diagnostic, Hook, Problems, Sources, Vm};
use crate::host::{Exhausted, Host, Limits, Shared, log};
use crate::protocol::{Interface, Method};
use crate::sys::memory::{Held, Spent};
use mlua::{AnyUserData, Function, IntoLuaMulti, Lua, MultiValue, Value};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long the top level of a script may run, including its modules.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A loaded script.
pub struct Script {
    /// The interface that it implements.
    pub interface: Interface,
    /// Its generation, counted from 1.
    pub generation: u64,
    vm: Vm,
    hooks: Hooks,
    sources: Arc<Sources>,
    used: BTreeSet<PathBuf>,
    chunks: Vec<(PathBuf, Function)>,
    worn: Cell<bool>,
}

/// How often the lines of files ran, those that can run.
pub type LineHits = BTreeMap<PathBuf, BTreeMap<usize, u64>>;

impl Script {
    /// Loads the script of `interface` into a new state and checks its hooks.
    ///
    /// # Errors
    /// Everything that is wrong with it, as far as can be seen without a call.
    pub async fn load(
        interface: Interface,
        generation: u64,
        sources: Arc<Sources>,
        shared: Arc<Shared>,
        settings: Arc<toml::Table>,
        limits: Limits,
    ) -> Result<Self, Problems> {
        let file = interface.file();
        let excerpt =
            |diagnostic: Diagnostic| diagnostic.excerpt_from(|path| text_of(&sources, path));
        let host = Host::new(shared, settings, file.clone(), generation, limits);
        let vm = Vm::new(host.clone()).map_err(|e| Diagnostic::parse(&file, &e.to_string()))?;
        let (hooks, loader) = run_top_level(&vm, interface, &sources)
            .await
            .map_err(|all| all.map(excerpt))?;
        host.in_call.set(true);
        Ok(Self {
            interface,
            generation,
            vm,
            hooks,
            used: loader.used(),
            chunks: loader.chunks(),
            worn: Cell::new(false),
            sources: sources.clone(),
        })
    }

    /// Returns the state, to make values in.
    pub fn lua(&self) -> &Lua {
        self.vm.lua()
    }

    /// Counts `bytes` against what the script's calls may hold outside of its state.
    ///
    /// # Errors
    /// They hold too much already.
    pub fn hold(&self, bytes: usize) -> Result<Held, Spent> {
        self.vm.host().allowance.hold(bytes)
    }

    /// Returns the files that it was loaded from.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// Returns the plugin's own files that it was loaded from, with their texts.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        let used = self.used.iter().map(PathBuf::as_path);
        used.filter_map(|path| Some((path, self.sources.files.get(path)?.as_slice())))
    }

    /// Returns how often each line of the plugin's own files ran, while scripts are tested.
    pub fn line_hits(&self) -> LineHits {
        let mut hits = LineHits::new();
        for (file, chunk) in &self.chunks {
            let lines = hits.entry(file.clone()).or_default();
            chunk.coverage(|function| {
                let ran = function.hits.iter().enumerate();
                for (line, count) in
                    ran.filter_map(|(line, hits)| Some((line, u64::try_from(*hits).ok()?)))
                {
                    *lines.entry(line).or_default() += count;
                }
            });
        }
        hits
    }

    /// Returns whether the script has a hook for `method`.
    pub fn has(&self, method: &Method) -> bool {
        self.hooks.contains_key(method.hook)
    }

    /// Returns whether the state has run out of memory, and must be replaced.
    pub fn is_worn(&self) -> bool {
        self.worn.get()
    }

    /// Returns whether a file that this generation was loaded from differs in `sources`.
    pub fn is_changed_by(&self, sources: &Sources) -> bool {
        let manifest = PathBuf::from(crate::host::MANIFEST);
        self.used
            .iter()
            .chain([&manifest])
            .any(|file| self.sources.files.get(file) != sources.files.get(file))
    }

    /// Runs the hook of `method`.
    ///
    /// # Errors
    /// What the hook raised or exhausted, for its author and (shortened) for Docker's user.
    pub async fn call(
        &self,
        method: &Method,
        args: impl IntoLuaMulti,
        deadline: Duration,
    ) -> Result<MultiValue, Diagnostic> {
        let Some(hook) = self.hooks.get(method.hook) else {
            return Ok(MultiValue::new());
        };
        let outcome = self.vm.call(hook, args, deadline).await;
        outcome.map_err(|failure| self.failed(method, &failure))
    }

    /// Runs the hook of `method`, and returns its value.
    ///
    /// # Errors
    /// Those of [`Script::call`], and a second value: `return nil, "no room"` would pass for a
    /// success.
    pub async fn call_for_value(
        &self,
        method: &Method,
        args: impl IntoLuaMulti,
        deadline: Duration,
    ) -> Result<Value, Diagnostic> {
        let mut values = self.call(method, args, deadline).await?;
        let value = values.pop_front().unwrap_or(Value::Nil);
        match values.iter().find(|value| !value.is_nil()) {
            None => Ok(value),
            Some(second) => Err(self.second_value(method, second)),
        }
    }

    fn second_value(&self, method: &Method, second: &Value) -> Diagnostic {
        let shown = match second.as_string() {
            Some(text) => format!("\"{}\"", text.to_string_lossy().escape_debug()),
            None => format!("a {}", type_of(second)),
        };
        self.diagnose(
            method,
            &format!("`{}` returned a second value, {shown}", method.hook),
        )
    }

    /// Creates a diagnostic about the hook of `method`, at the line on which it begins.
    pub fn diagnose(&self, method: &Method, message: &str) -> Diagnostic {
        let diagnostic = Diagnostic::parse(&self.interface.file(), message);
        self.located(method, diagnostic.at_place(self.place_of(method), None))
    }

    fn failed(&self, method: &Method, failure: &CallFailure) -> Diagnostic {
        if matches!(failure, CallFailure::Exhausted(Exhausted::Memory(_), _)) {
            self.worn.set(true);
        }
        let place = self.place_of(method);
        let diagnostic = Diagnostic::of_failure(&self.interface.file(), failure, place);
        self.located(method, diagnostic)
    }

    /// Adds the text of the line. A fault in a hook that a kit made is on the line that had it made,
    /// if no other line of the author's led to it.
    fn located(&self, method: &Method, diagnostic: Diagnostic) -> Diagnostic {
        let file = PathBuf::from(self.interface.file());
        let is_kits = |(file, _): Place| file.starts_with(OWN);
        let made = self.place_of(method).is_some_and(is_kits);
        let line = made.then(|| driver_line(self.sources.files.get(&file)?));
        self.excerpt(diagnostic.or_at(line.flatten()))
    }

    fn place_of(&self, method: &Method) -> Option<Place> {
        self.hooks
            .get(method.hook)
            .and_then(|hook| hook.place.clone())
    }

    /// Adds the text of the line that a diagnostic points to.
    pub fn excerpt(&self, diagnostic: Diagnostic) -> Diagnostic {
        diagnostic.excerpt_from(|path| text_of(&self.sources, path))
    }
}

pub(super) fn text_of<'a>(sources: &'a Sources, path: &Path) -> Option<&'a [u8]> {
    sources
        .files
        .get(path)
        .map(Vec::as_slice)
        .or_else(|| kit_text(path))
}

type Hooks = BTreeMap<&'static str, Hook>;
type Loaded = (Hooks, Rc<Loader>);

/// Runs the script once, and returns its hooks and the files that it required.
async fn run_top_level(
    vm: &Vm,
    interface: Interface,
    sources: &Arc<Sources>,
) -> Result<Loaded, Problems> {
    let file = interface.file();
    let (returned, loader) = run_file(vm, &file, sources, None).await?;
    let hooks = check_hooks(interface, returned.front(), sources)?;
    let failed = |e: mlua::Error| Diagnostic::of_failure(&file, &vm.rust_failure(&e), None);
    let hooks = wrap(vm, hooks).map_err(failed)?;
    Ok((hooks, loader))
}

/// Runs a file of a plugin in a new state. Returns its values, and what has loaded it and what it
/// required. `native` is for the kit of tests.
///
/// # Errors
/// What keeps it from being loaded.
pub async fn run_file(
    vm: &Vm,
    file: &str,
    sources: &Arc<Sources>,
    native: Option<AnyUserData>,
) -> Result<(MultiValue, Rc<Loader>), Diagnostic> {
    let failed = |e: mlua::Error| Diagnostic::of_failure(file, &vm.rust_failure(&e), None);
    let loader = install_globals(vm, sources, native).map_err(failed)?;
    let main = loader.compile(vm.lua(), Path::new(file)).map_err(failed)?;
    let main = vm.hook(&main).map_err(failed)?;
    let returned = vm.call(&main, (), LOAD_TIMEOUT).await;
    let returned = returned.map_err(|e| Diagnostic::of_failure(file, &e, None).or_in(file))?;
    Ok((returned, loader))
}

/// Gives the state `require` and `print`, and makes its globals read-only.
pub(super) fn install_globals(
    vm: &Vm,
    sources: &Arc<Sources>,
    native: Option<AnyUserData>,
) -> mlua::Result<Rc<Loader>> {
    let host = vm.host();
    let loader = Loader::install(vm.lua(), sources.clone(), host.clone(), native)?;
    let print = log::print(vm.lua(), host)?;
    vm.lua().globals().raw_set("print", print)?;
    globals::close_all(vm.lua(), sources.clone())?;
    vm.seal()?;
    Ok(loader)
}

fn wrap(vm: &Vm, hooks: BTreeMap<&'static str, Function>) -> mlua::Result<Hooks> {
    let wrap = |(name, hook)| Ok((name, vm.hook(&hook)?));
    hooks.into_iter().map(wrap).collect()
}

/// Returns the name that Luau gives to the value's type.
pub fn type_of(value: &Value) -> &'static str {
    if value.is_integer() {
        "number"
    } else {
        value.type_name()
    }
}
