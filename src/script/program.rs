//! One generation of one interface's script.

use super::loader::{Loader, kit_text, nearest};
use super::{Diagnostic, Failure, Hook, Problems, Sources, Vm};
use crate::host::{Host, Limits, Shared, log};
use crate::protocol::{Interface, Method, Missing, methods_of};
use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long the top level of a script, its modules included, may take.
const LOADING: Duration = Duration::from_secs(5);

/// A loaded script.
pub struct Script {
    /// The interface that it answers.
    pub interface: Interface,
    /// Its generation, counted from 1.
    pub generation: u64,
    vm: Vm,
    hooks: Hooks,
    sources: Arc<Sources>,
    used: BTreeSet<PathBuf>,
    worn: Cell<bool>,
}

impl Script {
    /// Loads the script of `interface` in a new state and checks its hooks.
    ///
    /// # Errors
    /// All that its author must mend, as far as it can be seen.
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
        let host = Host::new(shared, settings, file.clone(), generation);
        let vm =
            Vm::new(host.clone(), limits).map_err(|e| Diagnostic::parse(&file, &e.to_string()))?;
        let (hooks, used) = run_top_level(&vm, interface, &sources, &host)
            .await
            .map_err(|all| all.map(excerpt))?;
        host.in_call.set(true);
        Ok(Self {
            interface,
            generation,
            vm,
            hooks,
            used,
            worn: Cell::new(false),
            sources: sources.clone(),
        })
    }

    /// The state's values are made here.
    pub fn lua(&self) -> &Lua {
        self.vm.lua()
    }

    /// The files that it was loaded from.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// Whether the script answers `method` itself.
    pub fn has(&self, method: &Method) -> bool {
        self.hooks.contains_key(method.hook)
    }

    /// True once the state ran out of memory: a new one is to take its place.
    pub fn is_worn(&self) -> bool {
        self.worn.get()
    }

    /// Whether a file that this generation was loaded from is another in `sources`.
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
    /// What the hook raised or used up, for its author and (shortened) for the engine's user.
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

    fn failed(&self, method: &Method, failure: &Failure) -> Diagnostic {
        if matches!(
            failure,
            Failure::Exhausted(crate::host::Exhausted::Memory(_))
        ) {
            self.worn.set(true);
        }
        let diagnostic = Diagnostic::of_failure(&self.interface.file(), failure);
        self.excerpt(diagnostic.or_at(|| self.line_of(method)))
    }

    /// The line on which the hook of `method` begins.
    pub fn line_of(&self, method: &Method) -> Option<usize> {
        self.hooks.get(method.hook).and_then(|hook| hook.line)
    }

    /// Adds the text of the line that a diagnostic is about.
    pub fn excerpt(&self, diagnostic: Diagnostic) -> Diagnostic {
        diagnostic.excerpt_from(|path| text_of(&self.sources, path))
    }
}

fn text_of<'a>(sources: &'a Sources, path: &Path) -> Option<&'a [u8]> {
    sources
        .files
        .get(path)
        .map(Vec::as_slice)
        .or_else(|| kit_text(path))
}

type Hooks = BTreeMap<&'static str, Hook>;
type Loaded = (Hooks, BTreeSet<PathBuf>);

async fn run_top_level(
    vm: &Vm,
    interface: Interface,
    sources: &Arc<Sources>,
    host: &Rc<Host>,
) -> Result<Loaded, Problems> {
    let file = interface.file();
    let in_rust = |e: mlua::Error| Diagnostic::of_failure(&file, &vm.rust_failure(&e));
    let loader = Loader::install(vm.lua(), sources.clone(), host.clone()).map_err(in_rust)?;
    let print = log::print(vm.lua(), host).map_err(in_rust)?;
    vm.lua()
        .globals()
        .raw_set("print", print)
        .map_err(in_rust)?;
    vm.seal().map_err(in_rust)?;
    let main = loader
        .compile(vm.lua(), Path::new(&file))
        .map_err(in_rust)?;
    let main = vm.hook(&main).map_err(in_rust)?;
    let result = vm.call(&main, (), LOADING).await;
    let mut values =
        result.map_err(|failure| Diagnostic::of_failure(&file, &failure).or_in(&file))?;
    let hooks = match values.pop_front() {
        Some(Value::Table(table)) => check_hooks(interface, &table, sources)?,
        other => return Err(no_table(interface, other.as_ref()).into()),
    };
    let ready = |(name, hook)| Ok((name, vm.hook(&hook).map_err(in_rust)?));
    let hooks = hooks
        .into_iter()
        .map(ready)
        .collect::<Result<Hooks, Diagnostic>>()?;
    Ok((hooks, loader.used()))
}

fn no_table(interface: Interface, returned: Option<&Value>) -> Diagnostic {
    let what = match returned {
        None | Some(Value::Nil) => "nothing".to_owned(),
        Some(value) => format!("a {}", type_of(value)),
    };
    let name = interface.name();
    Diagnostic::of_file(
        interface.file(),
        format!("the script returns {what} instead of a table of hooks"),
    )
    .cure(format!(
        "begin with `local {name} = {{}}` and end with `return {name}`"
    ))
}

fn check_hooks(
    interface: Interface,
    table: &Table,
    sources: &Sources,
) -> Result<BTreeMap<&'static str, Function>, Problems> {
    let (mut hooks, mut problems, mut meant) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    for pair in table.pairs::<Value, Value>() {
        let (key, value) =
            pair.map_err(|e| Diagnostic::parse(&interface.file(), &e.to_string()))?;
        let key = key.to_string().unwrap_or_default();
        match (hooks_of(interface).find(|method| method.hook == key), value) {
            (Some(method), Value::Function(hook)) => {
                hooks.insert(method.hook, hook);
            }
            (Some(method), value) => {
                meant.insert(method.hook);
                problems.push(no_function(interface, &key, &value, sources));
            }
            (None, value) => {
                meant.extend(near_hook(interface, &key));
                problems.push(unknown_hook(interface, &key, &value, sources));
            }
        }
    }
    problems.extend(superfluous_hooks(interface, &hooks));
    problems.sort_by_key(|problem| problem.line);
    meant.extend(hooks.keys());
    let missing = hooks_of(interface).filter(|method| is_missed(method, &meant));
    problems.extend(missing.map(|method| missing_hook(interface, method)));
    Problems::of(problems).map_or(Ok(hooks), Err)
}

/// The rows that a script can answer.
fn hooks_of(interface: Interface) -> impl Iterator<Item = &'static Method> {
    methods_of(interface)
        .iter()
        .filter(|method| method.has_hook())
}

/// Of two hooks that can stand for each other, the first is the one to ask for.
fn is_missed(method: &Method, there: &BTreeSet<&str>) -> bool {
    match method.missing {
        Missing::Refused => !there.contains(method.hook),
        Missing::Instead(other) => {
            !there.contains(method.hook) && !there.contains(other) && method.hook < other
        }
        Missing::NotFound | Missing::Answered(_) => false,
    }
}

/// Two hooks for one matter: which of them would be called, nobody could see.
fn superfluous_hooks(
    interface: Interface,
    hooks: &BTreeMap<&'static str, Function>,
) -> Vec<Diagnostic> {
    let both = |method: &&Method| match method.missing {
        Missing::Instead(other) => {
            method.hook < other && hooks.contains_key(method.hook) && hooks.contains_key(other)
        }
        _ => false,
    };
    let diagnostic = |method: &Method| {
        let Missing::Instead(other) = method.missing else {
            return None;
        };
        let line = hooks
            .get(method.hook)
            .and_then(|hook| hook.info().line_defined);
        let message = format!(
            "there are both `{}` and `{other}`: one of them is called",
            method.hook
        );
        let cure = format!("remove `{}`", method.hook);
        Some(
            Diagnostic::of_file(interface.file(), message)
                .at(line)
                .cure(cure),
        )
    };
    hooks_of(interface)
        .filter(both)
        .filter_map(diagnostic)
        .collect()
}

fn near_hook(interface: Interface, key: &str) -> Option<&'static str> {
    nearest(key, hooks_of(interface).map(|method| method.hook))
}

fn unknown_hook(interface: Interface, key: &str, value: &Value, sources: &Sources) -> Diagnostic {
    let hooks: Vec<_> = hooks_of(interface).map(|method| method.hook).collect();
    let answered = methods_of(interface)
        .iter()
        .any(|method| method.hook == key);
    let cure = match near_hook(interface, key) {
        _ if answered => "remove it: Moondock answers that by itself".to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!(
                "{} has the hooks {}; make anything else a local",
                interface.name(),
                hooks.join(", ")
            )
        }
    };
    let line = value
        .as_function()
        .and_then(|f| f.info().line_defined)
        .or_else(|| find_word(interface, key, sources));
    Diagnostic::of_file(
        interface.file(),
        format!("`{key}` is no hook of {}", interface.name()),
    )
    .at(line)
    .cure(cure)
}

fn no_function(interface: Interface, key: &str, value: &Value, sources: &Sources) -> Diagnostic {
    Diagnostic::of_file(
        interface.file(),
        format!("the hook `{key}` is a {}, not a function", type_of(value)),
    )
    .at(find_word(interface, key, sources))
    .cure(format!(
        "write `function {}.{key}({}) … end`",
        interface.name(),
        parameters(interface, key)
    ))
}

fn parameters(interface: Interface, hook: &str) -> String {
    hooks_of(interface)
        .find(|method| method.hook == hook)
        .map(Method::parameters)
        .unwrap_or_default()
}

/// The name that Luau gives to the value's type.
pub fn type_of(value: &Value) -> &'static str {
    if value.is_integer() {
        "number"
    } else {
        value.type_name()
    }
}

fn missing_hook(interface: Interface, method: &Method) -> Diagnostic {
    let wanted_by = if method.is_called_by_engine() {
        method.wire
    } else {
        "moondock"
    };
    let message = match method.missing {
        Missing::Instead(other) => {
            format!(
                "there is no hook `{}` or `{other}`, and one is needed",
                method.hook
            )
        }
        _ => format!(
            "there is no hook `{}`, which {wanted_by} needs",
            method.hook
        ),
    };
    let head = format!(
        "{}.{}({})",
        interface.name(),
        method.hook,
        method.parameters()
    );
    Diagnostic::of_file(interface.file(), message).cure(format!("add `function {head} … end`"))
}

/// The first line of the script that has `word` as a whole word.
fn find_word(interface: Interface, word: &str, sources: &Sources) -> Option<usize> {
    let text = sources.files.get(Path::new(&interface.file()))?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let text = String::from_utf8_lossy(text);
    text.lines()
        .position(|line| line.split(|c| !is_word(c)).any(|part| part == word))
        .map(|index| index + 1)
}
