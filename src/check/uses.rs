//! What scripts use of the std modules, and whether the plugin's grants fit that.

use super::Severity;
use super::types::Remark;
use crate::grants::Grant;
use crate::host::{Function, MANIFEST, MODULES, Needs, OWN};
use crate::plugin::Manifest;
use crate::script::{Diagnostic, Sources, kit_text};
use luau_common::ByteSlice;
use luau_syntax::allocator::AstArena;
use luau_syntax::ast::{AstVisitor, Expression, ExpressionKind, Statement};
use luau_syntax::ast_names::AstNameTable;
use luau_syntax::location::Location;
use luau_syntax::parser::{ParseOptions, parse};
use std::collections::BTreeSet;
use std::path::Path;

/// Compares the grants of a plugin with what its scripts, and the kits that they require, use.
pub fn check(sources: &Sources, manifest: &Manifest) -> Vec<Remark> {
    let (mut remarks, mut used, mut kits) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (file, text) in &sources.files {
        if file != Path::new(MANIFEST) {
            let uses = Uses::of(text);
            remarks.extend(uses.without_grant(file, text, &manifest.grants));
            used.extend(uses.needs());
            kits.extend(uses.required);
        }
    }
    used.extend(needs_of_kits(kits));
    let grants = manifest.grants_by_line();
    let unused = grants.filter(|(grant, _)| !used.iter().any(|needs| needs.may_use(grant)));
    remarks.extend(unused.map(|(grant, line)| unused_grant(grant, line, sources)));
    remarks
}

/// Returns what kits need, with the kits and inner files that they require.
fn needs_of_kits(kits: BTreeSet<String>) -> Vec<Needs> {
    let (mut needs, mut known) = (Vec::new(), kits.clone());
    let mut waiting = Vec::from_iter(kits);
    while let Some(kit) = waiting.pop() {
        let text = kit_text(Path::new(&format!("{OWN}{kit}"))).unwrap_or_default();
        let uses = Uses::of(text);
        needs.extend(uses.needs());
        let required = uses.required.into_iter();
        waiting.extend(required.filter(|name| known.insert(name.clone())));
    }
    needs
}

fn unused_grant(grant: &Grant, line: usize, sources: &Sources) -> Remark {
    let message = format!("no script uses the grant `{grant}`");
    let diagnostic = Diagnostic::of_file(MANIFEST, message).at(Some(line));
    let text_of = |file: &Path| sources.files.get(file).map(Vec::as_slice);
    Remark {
        severity: Severity::Warning,
        diagnostic: diagnostic.cure("leave it out").excerpt_from(text_of),
    }
}

/// The std modules that a file uses.
#[derive(Default)]
struct Uses {
    /// The variables that hold modules, by where they are declared.
    variables: Vec<(Location, String)>,
    /// The functions that are named: module, function, place.
    functions: Vec<(&'static str, &'static Function, Location)>,
    /// The modules that are handed on, whose functions may all be used.
    handed_on: BTreeSet<String>,
    /// All modules and kits that are required.
    required: BTreeSet<String>,
}

impl Uses {
    /// Returns nothing of a file with mistakes in its syntax, which are reported elsewhere.
    fn of(text: &[u8]) -> Self {
        let arena = AstArena::new();
        let mut names = AstNameTable::new(&arena);
        let mut uses = Self::default();
        if let Ok(parsed) = parse(text, &arena, &mut names, ParseOptions::default()) {
            parsed.root.visit(&mut uses);
        }
        uses
    }

    /// Returns everything that the file may need.
    fn needs(&self) -> Vec<Needs> {
        let named = self.functions.iter().map(|(_, function, _)| function.needs);
        let modules = MODULES.iter();
        let handed_on = modules.filter(|module| self.handed_on.contains(module.name));
        let all = handed_on.flat_map(|module| module.functions);
        named.chain(all.map(|function| function.needs)).collect()
    }

    /// Reports each function that can only fail, once.
    fn without_grant(&self, file: &Path, text: &[u8], grants: &[Grant]) -> Vec<Remark> {
        let mut told = BTreeSet::new();
        let functions = self.functions.iter();
        let first = functions.filter(|(module, function, _)| told.insert((module, function.name)));
        let remarks = first.filter_map(|(module, function, at)| {
            let missing = function.needs.missing_in(grants)?;
            let message = format!("`{module}.{}` needs the grant `{missing}`", function.name);
            let diagnostic = Diagnostic::of_file(file.display().to_string(), message)
                .at(Some(at.begin.line as usize + 1))
                .between(at.begin.column as usize, at.end.column as usize)
                .cure(format!("add `\"{missing}\"` to `grants` in {MANIFEST}"))
                .excerpt_from(|path| (path == file).then_some(text));
            Some(Remark {
                severity: Severity::Warning,
                diagnostic,
            })
        });
        remarks.collect()
    }

    /// Returns the module that a variable holds.
    fn module_of(&self, expression: Expression) -> Option<&str> {
        let declared = expression.as_local()?.local.location;
        let mut variables = self.variables.iter();
        let found = variables.find(|(at, _)| *at == declared);
        found.map(|(_, module)| module.as_str())
    }
}

/// Returns the name after `@moondock/` in `require("@moondock/…")`.
fn required(expression: Expression) -> Option<String> {
    let ExpressionKind::Call { func, args, .. } = expression.kind() else {
        return None;
    };
    let ExpressionKind::Global(function) = func.kind() else {
        return None;
    };
    let path = args.first()?.as_string()?.value.as_bytes().to_str().ok()?;
    let name = path.strip_prefix(OWN)?;
    (function.bytes() == b"require").then(|| name.to_owned())
}

/// Returns the name of the module and the function.
fn function(module: &str, name: &[u8]) -> Option<(&'static str, &'static Function)> {
    let module = MODULES.iter().find(|known| known.name == module)?;
    let mut functions = module.functions.iter();
    let function = functions.find(|function| function.name.as_bytes() == name)?;
    Some((module.name, function))
}

impl<'ast> AstVisitor<'ast> for Uses {
    /// Learns what `local fs = require("@moondock/fs")` declares.
    fn visit_local_statement(&mut self, statement: Statement<'ast>) -> bool {
        let Some(local) = statement.as_local() else {
            return true;
        };
        for (binding, value) in local.bindings.iter().zip(local.values) {
            match required(*value) {
                Some(name) => {
                    self.required.insert(name.clone());
                    self.variables.push((binding.location, name));
                }
                None => value.visit(self),
            }
        }
        false
    }

    fn visit_call_expression(&mut self, expression: Expression<'ast>) -> bool {
        if let Some(name) = required(expression) {
            self.required.insert(name.clone());
            self.handed_on.insert(name);
        }
        true
    }

    fn visit_index_name_expression(&mut self, expression: Expression<'ast>) -> bool {
        let index = expression.as_index_name();
        let named = index.and_then(|index| {
            let module = self.module_of(index.expr)?;
            Some((function(module, index.index.bytes()), expression.location()))
        });
        if let Some((found, at)) = named {
            let found = found.map(|(module, function)| (module, function, at));
            self.functions.extend(found);
            return false;
        }
        true
    }

    fn visit_local_expression(&mut self, expression: Expression<'ast>) -> bool {
        if let Some(module) = self.module_of(expression) {
            self.handed_on.insert(module.to_owned());
        }
        true
    }
}
