//! What of the analysis is reported, and how bad it is.
//!
//! Without `--!strict`, the analysis must guess the types of most values, and guesses what the
//! author did not mean. Then a finding counts only if it is about something that Moondock defines
//! (see [`Places`]) or if no value could be right.

use super::config::Mode;
use super::globals::Globals;
use super::hooks::{Hook, hooks_in, interface_of};
use super::known::{is_hooks, is_impossible, is_library, is_own, table, tables};
use super::modules::Prepared;
use super::places::Places;
use super::shift::original;
use super::wording::{cure, lint, message};
use super::{Analysis, Remark, Severity};
use crate::script::{Diagnostic, global_names, missing_global};
use luau_analysis::diagnostics::error::types::{
    CountMismatchContext, MissingPropertiesContext, TypePackMismatch, UnknownSymbolContext,
};
use luau_analysis::diagnostics::{TypeError, TypeErrorData};
use luau_analysis::lint::LintWarning;
use luau_analysis::types::{TableType, TypeId};
use luau_analysis::{ModuleName, SemanticModel, TypeRef};
use luau_config::LintCode;
use luau_syntax::location::{Location, Position};
use std::path::Path;

/// Lints that say less than Moondock does about the same mistake.
const LEFT_OUT: [LintCode; 3] = [
    LintCode::UnknownGlobal,
    LintCode::GlobalUsedAsLocal,
    LintCode::LocalShadow,
];

/// Judges what the analysis found in a file.
pub struct Judge<'f> {
    model: SemanticModel<'f>,
    prepared: &'f Prepared,
    file: String,
    text: String,
    hooks: Vec<Hook<'f>>,
    mode: Mode,
}

impl<'f> Judge<'f> {
    pub fn new(
        analysis: &'f Analysis,
        prepared: &'f Prepared,
        name: &ModuleName,
        mode: Mode,
    ) -> Option<Self> {
        let model = analysis.semantic_model(name)?;
        let file = name.to_string();
        let root = model.module().root()?;
        let interface = interface_of(Path::new(&file));
        let hooks = interface.map(|interface| hooks_in(interface, root));
        let text = analysis.file_resolver().text(name)?;
        Some(Self {
            model,
            prepared,
            text: String::from_utf8_lossy(text).into_owned(),
            file,
            hooks: hooks.unwrap_or_default(),
            mode,
        })
    }

    /// Returns what is reported, in the order of the places; of several findings that begin at one
    /// place, the worst.
    pub fn remarks(&self) -> Vec<Remark> {
        let Some(root) = self.model.module().root() else {
            return Vec::new();
        };
        let places = Places::of(&self.model, root);
        let mut all = self.globals(&Globals::of(root));
        let keys = places.unknown_keys.iter();
        all.extend(keys.map(|(at, message)| self.found(*at, Severity::Error, message.clone())));
        let module = self.model.module();
        let errors = module.errors().iter();
        let errors = errors.filter(|error| !self.is_told(error, &places));
        all.extend(errors.filter_map(|error| self.type_error(error, &places)));
        all.extend(self.hooks.iter().filter_map(|hook| self.parameters(hook)));
        all.extend(self.lints());
        all.sort_by_key(|found| (found.at.begin, found.remark.severity == Severity::Warning));
        all.dedup_by_key(|found| found.at.begin);
        all.into_iter().map(|found| found.remark).collect()
    }

    fn found(&self, at: Location, severity: Severity, message: String) -> Found {
        let additions = &self.prepared.additions;
        let from = original(at.begin, additions);
        let to = original(at.end, additions);
        let line = from.line as usize;
        let columns = if to.line == from.line {
            (from.column as usize, to.column as usize)
        } else {
            (from.column as usize, usize::MAX)
        };
        let diagnostic = Diagnostic::of_file(&self.file, message).at(Some(line + 1));
        let text = Path::new(&self.file);
        let diagnostic = diagnostic
            .between(columns.0, columns.1)
            .excerpt_from(|file| (file == text).then_some(self.text.as_bytes()));
        Found {
            at,
            remark: Remark {
                severity,
                diagnostic,
            },
        }
    }

    /// Judges the globals, by those that scripts have.
    fn globals(&self, globals: &Globals) -> Vec<Found> {
        let known = global_names();
        let is_unknown = |name: &str| !known.iter().any(|known| known == name);
        let mut found = Vec::new();
        for global in globals
            .read
            .iter()
            .filter(|global| is_unknown(&global.name))
        {
            let message = missing_global(&global.name, &self.text);
            found.push(self.found(global.location, Severity::Error, message));
        }
        let mut names = Vec::new();
        for global in globals.set.iter().filter(|global| is_unknown(&global.name)) {
            if !names.contains(&&global.name) {
                names.push(&global.name);
                found.push(self.accidental(&global.name, global.location));
            }
        }
        found
    }

    fn accidental(&self, name: &str, at: Location) -> Found {
        let severity = match self.mode {
            Mode::Strict => Severity::Error,
            _ => Severity::Warning,
        };
        let message =
            format!("`{name}` is not declared: this sets a global, which outlives the call");
        let found = self.found(at, severity, message);
        found.cure(format!("declare it with `local {name}`"))
    }

    /// Reports parameters of a hook that nothing passes.
    fn parameters(&self, hook: &Hook) -> Option<Found> {
        let passed = hook.method.arguments.len();
        let first = hook.function.args.get(passed)?;
        let name = String::from_utf8_lossy(first.name.bytes());
        let hook = hook.method;
        let message = format!(
            "`{}` is called without `{name}`, which is always nil",
            hook.hook
        );
        let found = self.found(first.location, Severity::Warning, message);
        Some(found.cure(format!("write `{}({})`", hook.hook, hook.parameters())))
    }

    fn type_error(&self, error: &TypeError, places: &Places) -> Option<Found> {
        let severity = match self.mode {
            Mode::Strict => strict(error),
            _ => self.certain(error, places),
        };
        let severity = severity?;
        let found = self.found(place(error), severity, message(&self.model, error));
        Some(found.cured(cure(&self.model, error)))
    }

    /// Whether fields are missing only because a name is misspelt, or because they are hooks, which
    /// are added later and were judged when the script was loaded.
    fn is_told(&self, error: &TypeError, places: &Places) -> bool {
        let TypeErrorData::MissingProperties(missing) = &error.data else {
            return false;
        };
        let wanted = self.model.type_ref(missing.super_type);
        let wanted = wanted.and_then(|ty| table(self.model.graph(), ty.id()));
        let mut keys = places.unknown_keys.iter();
        wanted.is_some_and(is_hooks) || keys.any(|(at, _)| error.location.encloses(*at))
    }

    /// Returns how bad an error is in a file that did not ask for strictness, unless the author may
    /// be right.
    fn certain(&self, error: &TypeError, places: &Places) -> Option<Severity> {
        let is_certain = match &error.data {
            TypeErrorData::UnknownSymbol(symbol) => symbol.context == UnknownSymbolContext::Type,
            TypeErrorData::UnknownProperty(unknown) => self.is_known(unknown.table),
            TypeErrorData::UnknownPropButFoundLikeProp(unknown) => self.is_known(unknown.table),
            TypeErrorData::MissingProperties(missing) => {
                missing.context == MissingPropertiesContext::Missing
                    && places.contain(error.location)
                    && self.is_known(missing.super_type)
            }
            TypeErrorData::TypeMismatch(mismatch) => {
                places.contain(error.location)
                    && self.is_impossible(mismatch.given_type, mismatch.wanted_type)
            }
            TypeErrorData::TypePackMismatch(mismatch) => {
                places.contain(error.location) && self.is_impossible_result(mismatch)
            }
            TypeErrorData::CountMismatch(count) => {
                count.context == CountMismatchContext::Arg
                    && count.actual < count.expected
                    && places.calls(error.location)
            }
            TypeErrorData::DeprecatedApiUsed(_) => return Some(Severity::Warning),
            _ => false,
        };
        is_certain.then_some(Severity::Error)
    }

    /// Whether Moondock or Luau defines the table.
    fn is_known(&self, ty: TypeId) -> bool {
        let Some(ty) = self.model.type_ref(ty) else {
            return false;
        };
        let tables = tables(self.model.graph(), ty.id());
        let is_known = |table: &&TableType| is_own(table) || is_library(table);
        !tables.is_empty() && tables.iter().all(is_known)
    }

    fn is_impossible(&self, given: TypeId, wanted: TypeId) -> bool {
        let known = |ty| self.model.type_ref(ty).map(TypeRef::id);
        let types = known(given).zip(known(wanted));
        types.is_some_and(|(given, wanted)| is_impossible(self.model.graph(), given, wanted))
    }

    /// Whether the first of the given values is wrong; the others may be left out.
    fn is_impossible_result(&self, mismatch: &TypePackMismatch) -> bool {
        let first = |pack| {
            let pack = self.model.pack_ref(pack)?;
            self.model.graph().first_type_pack(pack.id(), true)
        };
        let first = first(mismatch.given_tp).zip(first(mismatch.wanted_tp));
        first.is_some_and(|(given, wanted)| self.is_impossible(given, wanted))
    }

    fn lints(&self) -> Vec<Found> {
        let module = self.model.module();
        let result = module.lint_result();
        let all = [
            (&result.errors, Severity::Error),
            (&result.warnings, Severity::Warning),
        ];
        let of = |(lints, severity): (&Vec<LintWarning>, Severity)| {
            let kept = lints.iter().filter(|lint| !LEFT_OUT.contains(&lint.code));
            kept.map(|lint| self.lint(lint, severity))
                .collect::<Vec<_>>()
        };
        all.into_iter().flat_map(of).collect()
    }

    fn lint(&self, warning: &LintWarning, severity: Severity) -> Found {
        let (message, cure) = lint(&warning.text.to_string());
        self.found(warning.location, severity, message).cured(cure)
    }
}

/// Returns how bad an error is in a file that asked for strictness.
fn strict(error: &TypeError) -> Option<Severity> {
    match &error.data {
        TypeErrorData::UnknownSymbol(symbol) if symbol.context == UnknownSymbolContext::Binding => {
            None
        }
        TypeErrorData::SyntaxError(_) | TypeErrorData::ExtraInformation(_) => None,
        TypeErrorData::DeprecatedApiUsed(_) => Some(Severity::Warning),
        _ => Some(Severity::Error),
    }
}

/// Returns what to point at: of `a.b`, the name that is wrong.
fn place(error: &TypeError) -> Location {
    let key = match &error.data {
        TypeErrorData::UnknownProperty(unknown) => unknown.key.len(),
        TypeErrorData::UnknownPropButFoundLikeProp(unknown) => unknown.key.len(),
        TypeErrorData::CannotExtendTable(extended) => extended.prop.len(),
        _ => return error.location,
    };
    let mut location = error.location;
    let begin = u32::try_from(key)
        .ok()
        .and_then(|key| location.end.column.checked_sub(key));
    if let Some(column) = begin {
        location.begin = Position::new(location.end.line, column);
    }
    location
}

/// A remark, and where it is in the extended source.
struct Found {
    at: Location,
    remark: Remark,
}

impl Found {
    fn cured(self, cure: Option<String>) -> Self {
        match cure {
            Some(cure) => self.cure(cure),
            None => self,
        }
    }

    fn cure(self, cure: String) -> Self {
        let Remark {
            severity,
            diagnostic,
        } = self.remark;
        Self {
            at: self.at,
            remark: Remark {
                severity,
                diagnostic: diagnostic.cure(cure),
            },
        }
    }
}
