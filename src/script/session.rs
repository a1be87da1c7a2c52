//! A state that runs what is typed at a prompt, with the modules and the grants of a plugin.

use super::loader::{kit_text, own_names};
use super::place::{OWN, PROMPT};
use super::program::{install_globals, text_of};
use super::typed::{Typed, without_locals};
use super::{Diagnostic, Hook, Sources, Vm};
use crate::host::{Host, Limits, Shared, keys};
use mlua::chunk::Compiler;
use mlua::{Error, Function, LuaString, MultiValue, Table, Value};
use std::cell::RefCell;
use std::iter::successors;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a line may wait: until it is interrupted.
const DEADLINE: Duration = Duration::from_hours(24 * 365);

/// The file of the kit of tests that shows values.
const COMPARE: &str = "@moondock/test/compare";

/// What Luau says of a long string or comment that does not end.
const UNFINISHED: [&str; 2] = ["malformed string", "unfinished comment"];

/// A state that runs what is typed.
pub struct Session {
    vm: Vm,
    show: Hook,
    sources: Arc<Sources>,
    typed: RefCell<Typed>,
}

impl Session {
    /// Creates a state whose globals are the modules and kits of Moondock, besides those of Luau.
    ///
    /// # Errors
    /// Only if memory is exhausted.
    pub fn new(
        shared: Arc<Shared>,
        settings: Arc<toml::Table>,
        limits: Limits,
        sources: Arc<Sources>,
    ) -> Result<Self, Diagnostic> {
        let host = Host::new(shared, settings, PROMPT.to_owned(), 1, limits);
        let failed = |error: Error| Diagnostic::parse(PROMPT, &error.to_string());
        let vm = Vm::new(host).map_err(failed)?;
        let show = prepare(&vm, &sources).map_err(failed)?;
        Ok(Self {
            vm,
            show,
            sources,
            typed: RefCell::default(),
        })
    }

    /// Whether more lines must follow before `text` can run.
    pub fn is_incomplete(&self, text: &str) -> bool {
        match self.compile(text) {
            Ok(_) => false,
            Err(errors) => errors.iter().any(|error| is_cut(error, text)),
        }
    }

    /// Counts lines that are no Lua, so that the later ones have their numbers.
    pub fn skip(&self, text: &str) {
        self.typed.borrow_mut().add(text);
    }

    /// Runs what was typed, and returns its values as a script would write them.
    ///
    /// # Errors
    /// What is wrong with it, or that `interrupt` came first.
    pub async fn run(
        &self,
        text: &str,
        interrupt: impl Future<Output = ()>,
    ) -> Result<Vec<String>, Diagnostic> {
        let compiled = self.compile(text);
        self.typed.borrow_mut().add(text);
        let function = compiled.map_err(|errors| {
            let [of_value, of_statement] = &*errors;
            let is_value = of_statement.to_string().contains("Incomplete statement");
            self.failed(if is_value { of_value } else { of_statement })
        })?;
        let running = async { self.shown(self.call(&function).await?).await };
        tokio::select! {
            outcome = running => outcome,
            () = interrupt => {
                self.vm.collect_abandoned();
                Err(Diagnostic::of_file(PROMPT, "interrupted"))
            }
        }
    }

    /// Returns the names that may follow a path such as `fs`; all variables for an empty path.
    pub fn names_in(&self, path: &str) -> Vec<String> {
        let mut steps = path.split(['.', ':']).filter(|step| !step.is_empty());
        let found = steps.try_fold(self.vm.lua().globals(), |table, step| {
            tables_of(table).find_map(|table| table.raw_get::<Option<Table>>(step).ok()?)
        });
        found
            .map(|table| tables_of(table).flat_map(|table| keys(&table)).collect())
            .unwrap_or_default()
    }

    /// Compiles a value, or else statements, with the number of its first line.
    ///
    /// # Errors
    /// Those of the text as a value, and as statements.
    fn compile(&self, text: &str) -> Result<Function, Box<[Error; 2]>> {
        // The time that the last slice was allowed has passed.
        self.vm.host().budget.begin(self.vm.host().limits.cpu);
        let load = |text: &str| {
            let text = format!("{}{text}", self.typed.borrow().lines_before());
            // Otherwise members of globals are looked up once, when a function is compiled.
            let compiler = Compiler::new().set_optimization_level(0);
            let chunk = self.vm.lua().load(text).set_name(format!("={PROMPT}"));
            chunk.set_compiler(compiler).into_function()
        };
        load(&format!("return {text}")).or_else(|of_value| {
            load(&without_locals(text)).map_err(|of_statement| Box::new([of_value, of_statement]))
        })
    }

    async fn call(&self, function: &Function) -> Result<MultiValue, Diagnostic> {
        let hook = self.vm.hook(function).map_err(|e| self.failed(&e))?;
        self.called(&hook, MultiValue::new()).await
    }

    async fn called(&self, hook: &Hook, args: MultiValue) -> Result<MultiValue, Diagnostic> {
        let outcome = self.vm.call(hook, args, DEADLINE).await;
        outcome.map_err(|failure| self.explained(Diagnostic::of_failure(PROMPT, &failure, None)))
    }

    async fn shown(&self, values: MultiValue) -> Result<Vec<String>, Diagnostic> {
        let mut shown = Vec::new();
        for value in values {
            let text = self
                .called(&self.show, MultiValue::from_iter([value]))
                .await?;
            let text = text
                .front()
                .and_then(Value::as_string)
                .map(LuaString::to_string_lossy);
            shown.extend(text);
        }
        Ok(shown)
    }

    fn failed(&self, error: &Error) -> Diagnostic {
        let failure = self.vm.rust_failure(error);
        self.explained(Diagnostic::of_failure(PROMPT, &failure, None))
    }

    /// Adds the line that a diagnostic is about.
    fn explained(&self, diagnostic: Diagnostic) -> Diagnostic {
        let typed = self.typed.borrow();
        diagnostic.or_in(PROMPT).excerpt_from(|path| {
            if path == Path::new(PROMPT) {
                Some(typed.text())
            } else {
                text_of(&self.sources, path)
            }
        })
    }
}

/// Gives a state its globals. Returns the function that shows a value.
fn prepare(vm: &Vm, sources: &Arc<Sources>) -> mlua::Result<Hook> {
    install_globals(vm, sources, None)?;
    let globals = vm.lua().globals();
    let require: Function = globals.get("require")?;
    for name in own_names() {
        let module: Value = require.call(format!("{OWN}{name}"))?;
        globals.raw_set(name, module)?;
    }
    let text = kit_text(Path::new(COMPARE)).unwrap_or_default();
    let compare: Table = vm
        .lua()
        .load(text)
        .set_name(format!("={COMPARE}"))
        .call(())?;
    vm.host().in_call.set(true);
    vm.hook(&compare.raw_get("show")?)
}

/// Whether a syntax error is about the end of the text.
fn is_cut(error: &Error, text: &str) -> bool {
    let Error::SyntaxError {
        message,
        incomplete_input,
    } = error
    else {
        return false;
    };
    let has_long = text.contains("[[") || text.contains("[=");
    *incomplete_input || has_long && UNFINISHED.iter().any(|part| message.contains(part))
}

/// Returns a table, and those in which its missing members are looked up.
fn tables_of(table: Table) -> impl Iterator<Item = Table> {
    successors(Some(table), |table| {
        table
            .metatable()?
            .raw_get::<Option<Table>>("__index")
            .ok()?
    })
}
