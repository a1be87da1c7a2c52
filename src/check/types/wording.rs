//! Messages about types and lints.

use super::known::{is_own, module, name, names, own_option, table, tables};
use crate::host::{hint, unknown_field};
use crate::script::missing_member;
use luau_analysis::SemanticModel;
use luau_analysis::diagnostics::{TypeError, TypeErrorData};
use luau_analysis::types::{Name, TableType, TypeId};

/// Returns the message about a type error.
pub fn message(model: &SemanticModel, error: &TypeError) -> String {
    let table_of = |ty: TypeId| {
        let ty = model.type_ref(ty)?;
        table(model.graph(), ty.id())
    };
    let unknown_member = |ty: TypeId, key: &Name| {
        let ty = model.type_ref(ty)?;
        unknown_member(&tables(model.graph(), ty.id()), &key.to_string())
    };
    let own = match &error.data {
        TypeErrorData::UnknownProperty(unknown) => unknown_member(unknown.table, &unknown.key),
        TypeErrorData::UnknownPropButFoundLikeProp(unknown) => {
            unknown_member(unknown.table, &unknown.key)
        }
        TypeErrorData::CannotExtendTable(extended) => table_of(extended.table_type)
            .filter(|table| is_own(table))
            .and_then(|table| self::unknown_member(&[table], &extended.prop.to_string())),
        TypeErrorData::MissingProperties(missing) => table_of(missing.super_type)
            .filter(|table| is_own(table))
            .and_then(|table| missing_fields(table, &missing.properties)),
        _ => None,
    };
    own.unwrap_or_else(|| plain(&model.error_message(error).to_string()))
}

/// Returns what to do about a type error: after `local x = y or {}`, the empty table has no fields.
pub fn cure(model: &SemanticModel, error: &TypeError) -> Option<String> {
    let TypeErrorData::MissingUnionProperty(missing) = &error.data else {
        return None;
    };
    let name = name(own_option(model.graph(), model.type_ref(missing.ty)?.id())?)?;
    Some(format!(
        "give the variable its type: `local x: {name} = … or {{}}`"
    ))
}

/// Returns the message about a field or a function that none of the tables has, of which the first
/// names them all.
fn unknown_member(tables: &[&TableType], key: &str) -> Option<String> {
    let first = tables.first()?;
    let known: Vec<_> = tables.iter().flat_map(|table| names(table)).collect();
    let functions = name(first).is_none_or(|name| name.starts_with("typeof("));
    Some(match name(first) {
        Some(name) if !functions => {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            unknown_field(&format!("`{name}`"), &known, key)
        }
        _ => missing_member(&module(first), key, &known),
    })
}

/// Returns the message about fields that a table must have.
fn missing_fields(table: &TableType, fields: &[Name]) -> Option<String> {
    let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
    let noun = if fields.len() == 1 { "field" } else { "fields" };
    Some(format!(
        "`{}` needs the {noun} {}",
        name(table)?,
        fields.join(", ")
    ))
}

/// Returns the message about a key of a table constructor. `ty` is the name of its type.
pub fn unknown_key(ty: Option<&str>, key: &str, known: &[String]) -> String {
    match ty {
        Some(ty) => {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            unknown_field(&format!("`{ty}`"), &known, key)
        }
        None => format!("there is no option `{key}`{}", hint(key, known)),
    }
}

/// Returns a message of Luau in one line, with names in backticks, as Moondock's own have them.
pub fn plain(message: &str) -> String {
    let lines: Vec<_> = message.lines().map(str::trim).collect();
    let message = lines.join(" ");
    let reason = message
        .find("; this is because")
        .or_else(|| message.find("; the 1st"));
    let message = &message[..reason.unwrap_or(message.len())];
    let message = message.trim_start_matches("Argument count mismatch. ");
    let mut characters = message.trim_end_matches(['.', ';', ' ']).chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    let message: String = first.into_iter().chain(characters).collect();
    message.replace('\'', "`")
}

/// Returns the message of a lint, and what to do about it.
pub fn lint(text: &str) -> (String, Option<String>) {
    match text.split_once("; ") {
        Some((message, cure)) => (plain(message), Some(cure.replace('\'', "`"))),
        None => (plain(text), None),
    }
}
