//! The table of hooks that a script returns, checked against the methods of its interface.

use super::tokens::{Token, TokenKind, tokens};
use super::{Diagnostic, Problems, Sources, type_of};
use crate::host::nearest;
use crate::protocol::{Interface, Method, Missing, methods_of};
use mlua::{Function, Table, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Functions = BTreeMap<&'static str, Function>;

/// Checks what the script returned, and returns its hooks by name.
///
/// # Errors
/// Every entry that is not a hook, and every hook that is missing.
pub(super) fn check_hooks(
    interface: Interface,
    returned: Option<&Value>,
    sources: &Sources,
) -> Result<Functions, Problems> {
    let Some(Value::Table(table)) = returned else {
        return Err(not_a_table(interface, returned, sources).into());
    };
    let check = Check { interface, sources };
    let (mut hooks, mut problems, mut intended) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    for (key, value) in check.entries(table)? {
        match (check.hook(&key), value) {
            (Some(method), Value::Function(hook)) => {
                hooks.insert(method.hook, hook);
            }
            (Some(method), value) => {
                intended.insert(method.hook);
                problems.push(check.not_a_function(method, &value));
            }
            (None, value) => {
                intended.extend(check.nearest(&key));
                problems.push(check.unknown(&key, &value));
            }
        }
    }
    problems.extend(check.duplicates(&hooks));
    problems.sort_by_key(|problem| problem.line);
    intended.extend(hooks.keys());
    problems.extend(check.missing(&intended));
    Problems::of(problems).map_or(Ok(hooks), Err)
}

fn not_a_table(interface: Interface, returned: Option<&Value>, sources: &Sources) -> Diagnostic {
    let what = match returned {
        None | Some(Value::Nil) => "nothing".to_owned(),
        Some(value) => format!("a {}", type_of(value)),
    };
    let name = interface.name();
    let message = format!("the script must return a table of hooks; it returned {what}");
    let diagnostic = Diagnostic::of_file(interface.file(), message);
    let text = sources.files.get(Path::new(&interface.file()));
    match text.and_then(|text| forgotten_return(text)) {
        Some((line, call)) => diagnostic
            .at(Some(line))
            .cure(format!("write `return {call}({{ … }})`")),
        None => diagnostic.cure(format!(
            "begin with `local {name} = {{}}` and end with `return {name}`"
        )),
    }
}

/// Finds a statement that makes a driver with a kit and does nothing with it: `volume.driver({ … })`.
fn forgotten_return(text: &[u8]) -> Option<(usize, &str)> {
    let lines = std::str::from_utf8(text).ok()?.lines().enumerate();
    let mut calls = lines.filter_map(|(index, line)| {
        let call = line.split(['(', '{']).next()?.trim();
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let is_call = call.contains('.') && call.ends_with("driver") && call.chars().all(plain);
        is_call.then_some((index + 1, call))
    });
    calls.next()
}

/// Finds the line on which a script has a kit make its hooks: `return volume.driver({ … })`.
pub(super) fn driver_line(text: &[u8]) -> Option<usize> {
    let tokens = tokens(std::str::from_utf8(text).ok()?);
    let is_call = |pair: &&[Token]| {
        let [dot, name] = [pair[0].kind, pair[1].kind];
        dot == TokenKind::Sign(".") && name == TokenKind::Name("driver")
    };
    tokens.windows(2).find(is_call).map(|pair| pair[1].line)
}

/// Returns the methods that a script can answer.
fn hooks_of(interface: Interface) -> impl Iterator<Item = &'static Method> {
    methods_of(interface)
        .iter()
        .filter(|method| method.has_hook())
}

/// The hooks of a script that are being checked.
struct Check<'a> {
    interface: Interface,
    sources: &'a Sources,
}

impl Check<'_> {
    fn entries(&self, table: &Table) -> Result<Vec<(String, Value)>, Diagnostic> {
        let entry = |pair: mlua::Result<(Value, Value)>| {
            let (key, value) = pair?;
            Ok((key.to_string().unwrap_or_default(), value))
        };
        let entries: mlua::Result<_> = table.pairs().map(entry).collect();
        entries.map_err(|e| Diagnostic::parse(&self.interface.file(), &e.to_string()))
    }

    fn hook(&self, name: &str) -> Option<&'static Method> {
        hooks_of(self.interface).find(|method| method.hook == name)
    }

    fn nearest(&self, key: &str) -> Option<&'static str> {
        nearest(key, hooks_of(self.interface).map(|method| method.hook))
    }

    fn problem(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::of_file(self.interface.file(), message)
    }

    fn unknown(&self, key: &str, value: &Value) -> Diagnostic {
        let name = self.interface.name();
        let is_answered = methods_of(self.interface)
            .iter()
            .any(|method| method.hook == key);
        let cure = match self.nearest(key) {
            _ if is_answered => "remove it: Moondock answers this method itself".to_owned(),
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let hooks: Vec<_> = hooks_of(self.interface).map(|method| method.hook).collect();
                let hooks = hooks.join(", ");
                format!("{name} has the hooks {hooks}; make everything else a local")
            }
        };
        let defined = value.as_function().and_then(|f| f.info().line_defined);
        self.problem(format!("{name} has no hook `{key}`"))
            .at(defined.or_else(|| self.line_of_word(key)))
            .cure(cure)
    }

    fn not_a_function(&self, method: &Method, value: &Value) -> Diagnostic {
        let (name, hook) = (self.interface.name(), method.hook);
        self.problem(format!(
            "the hook `{hook}` must be a function, not a {}",
            type_of(value)
        ))
        .at(self.line_of_word(hook))
        .cure(format!(
            "write `function {name}.{hook}({}) … end`",
            method.parameters()
        ))
    }

    /// Reports pairs of hooks of which only one can be called.
    fn duplicates(&self, hooks: &Functions) -> Vec<Diagnostic> {
        let duplicate = |method: &Method| {
            let (first, other) = alternatives(method)?;
            let line = hooks.get(first)?.info().line_defined;
            hooks.contains_key(other).then(|| {
                self.problem(format!("`{first}` and `{other}` cannot both be defined"))
                    .at(line)
                    .cure(format!("remove `{first}`"))
            })
        };
        hooks_of(self.interface).filter_map(duplicate).collect()
    }

    /// Reports the required hooks that are not in `present`.
    fn missing(&self, present: &BTreeSet<&str>) -> Vec<Diagnostic> {
        let is_missing = |method: &&Method| match method.missing {
            Missing::Refused => !present.contains(method.hook),
            Missing::Instead(_) => alternatives(method)
                .is_some_and(|(first, other)| !present.contains(first) && !present.contains(other)),
            Missing::NotFound | Missing::Answered(_) => false,
        };
        let missing = hooks_of(self.interface).filter(is_missing);
        missing.map(|method| self.missing_hook(method)).collect()
    }

    fn missing_hook(&self, method: &Method) -> Diagnostic {
        let hook = method.hook;
        let caller = if method.is_called_by_engine() {
            method.wire
        } else {
            "moondock"
        };
        let message = match method.missing {
            Missing::Instead(other) => format!("the hook `{hook}` or `{other}` is missing"),
            _ => format!("the hook `{hook}` is missing: {caller} needs it"),
        };
        let (name, parameters) = (self.interface.name(), method.parameters());
        self.problem(message)
            .cure(format!("add `function {name}.{hook}({parameters}) … end`"))
    }

    /// Returns the first line of the script that contains `word` as a whole word.
    fn line_of_word(&self, word: &str) -> Option<usize> {
        let text = self.sources.files.get(Path::new(&self.interface.file()))?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let text = String::from_utf8_lossy(text);
        text.lines()
            .position(|line| line.split(|c| !is_word(c)).any(|part| part == word))
            .map(|index| index + 1)
    }
}

/// Returns a pair of hooks that can stand for each other, once for each pair: for the method of the
/// first by name.
fn alternatives(method: &Method) -> Option<(&'static str, &'static str)> {
    match method.missing {
        Missing::Instead(other) if method.hook < other => Some((method.hook, other)),
        _ => None,
    }
}
