//! What the types say about tables that Moondock defines: modules, requests, replies, options.

use super::DEFINITIONS;
use crate::host::OWN;
use luau_analysis::types::{
    PrimitiveTypeKind, SingletonType, SingletonValue, TableType, TypeGraph, TypeId, TypeKind,
};
use luau_common::ByteSlice;

/// The name of Luau's own definitions in the analysis.
const LIBRARY: &[u8] = b"@luau";

/// Returns the table that a type is, whether or not it may be nil.
pub fn table<'g>(graph: &'g TypeGraph, ty: TypeId) -> Option<&'g TableType> {
    let only = |parts: &[TypeId]| {
        let mut tables = parts.iter().filter_map(|part| table(graph, *part));
        tables.next().filter(|_| tables.next().is_none())
    };
    match graph.kind(graph.follow_type(ty)) {
        TypeKind::Table(table) => Some(table),
        TypeKind::Metatable(with) => table(graph, with.table),
        TypeKind::Union(union) => only(&union.options),
        TypeKind::Intersection(parts) => only(&parts.parts),
        _ => None,
    }
}

/// Returns the tables whose fields a type has.
pub fn tables<'g>(graph: &'g TypeGraph, ty: TypeId) -> Vec<&'g TableType> {
    match graph.kind(graph.follow_type(ty)) {
        TypeKind::Intersection(parts) => {
            let parts = parts.parts.iter();
            parts.flat_map(|part| tables(graph, *part)).collect()
        }
        _ => table(graph, ty).into_iter().collect(),
    }
}

/// Returns the table that Moondock defines, of those that a type may be.
pub fn own_option<'g>(graph: &'g TypeGraph, ty: TypeId) -> Option<&'g TableType> {
    let TypeKind::Union(union) = graph.kind(graph.follow_type(ty)) else {
        return None;
    };
    let mut tables = union.options.iter().filter_map(|part| table(graph, *part));
    tables.find(|table| is_own(table))
}

/// Whether Moondock defines the table.
pub fn is_own(table: &TableType) -> bool {
    let module = table.definition_module_name.as_bytes();
    module.starts_with(OWN.as_bytes()) || module == DEFINITIONS.as_bytes()
}

/// Whether the table has the hooks of an interface.
pub fn is_hooks(table: &TableType) -> bool {
    let name = table.name.as_ref().map(|name| name.as_bytes());
    is_own(table) && name.is_some_and(|name| name.ends_with(b"Hooks"))
}

/// Whether Luau defines the table.
pub fn is_library(table: &TableType) -> bool {
    table.definition_module_name.as_bytes() == LIBRARY
}

/// Returns the names of a table's fields.
pub fn names(table: &TableType) -> Vec<String> {
    table.props.keys().map(ToString::to_string).collect()
}

/// Returns the keys that a table can have, unless it can have any.
pub fn keys(graph: &TypeGraph, table: &TableType) -> Option<Vec<String>> {
    let mut keys = names(table);
    if let Some(indexer) = &table.indexer {
        for kind in kinds(graph, indexer.index_type)? {
            match kind {
                Kind::Text(text) => keys.push(text),
                Kind::Primitive(_) => return None,
            }
        }
    }
    Some(keys)
}

/// Returns what the table is called: the name of its type, if it has one.
pub fn name(table: &TableType) -> Option<String> {
    let name = table.name.as_ref()?.to_string();
    Some(match name.as_str() {
        // The part of the type that all actions have.
        "AuthzRequestFields" => "AuthzRequest".to_owned(),
        _ => name,
    })
}

/// Returns what a table of functions is called: `store`, `os`.
pub fn module(table: &TableType) -> String {
    if let Some(name) = name(table) {
        return name
            .trim_start_matches("typeof(")
            .trim_end_matches(')')
            .to_owned();
    }
    let module = table.definition_module_name.to_string();
    module.trim_start_matches(OWN).to_owned()
}

/// Whether no value of the type `given` can be one of the type `wanted`, whatever the analysis does
/// not know.
pub fn is_impossible(graph: &TypeGraph, given: TypeId, wanted: TypeId) -> bool {
    let kinds = kinds(graph, given).zip(kinds(graph, wanted));
    kinds.is_some_and(|(given, wanted)| {
        let fits = |kind: &Kind| wanted.iter().any(|other| kind.overlaps(other));
        !given.is_empty() && !given.iter().any(fits)
    })
}

/// A kind of values.
#[derive(PartialEq, Eq)]
enum Kind {
    Primitive(PrimitiveTypeKind),
    Text(String),
}

impl Kind {
    fn overlaps(&self, other: &Kind) -> bool {
        let text = Kind::Primitive(PrimitiveTypeKind::String);
        match (self, other) {
            (Kind::Text(_), other) if *other == text => true,
            (own, Kind::Text(_)) if *own == text => true,
            (own, other) => own == other,
        }
    }
}

/// Returns the kinds of a type's values, unless some are not known.
fn kinds(graph: &TypeGraph, ty: TypeId) -> Option<Vec<Kind>> {
    let kind = match graph.kind(graph.follow_type(ty)) {
        TypeKind::Primitive(primitive) => Kind::Primitive(primitive.kind),
        TypeKind::Singleton(SingletonType { value }) => match value {
            SingletonValue::Boolean(_) => Kind::Primitive(PrimitiveTypeKind::Boolean),
            SingletonValue::String(text) => Kind::Text(text.value.to_string()),
        },
        TypeKind::Table(_) | TypeKind::Metatable(_) => Kind::Primitive(PrimitiveTypeKind::Table),
        TypeKind::Function(_) => Kind::Primitive(PrimitiveTypeKind::Function),
        TypeKind::Union(union) => {
            let kinds = union.options.iter().map(|option| kinds(graph, *option));
            return Some(
                kinds
                    .collect::<Option<Vec<_>>>()?
                    .into_iter()
                    .flatten()
                    .collect(),
            );
        }
        _ => return None,
    };
    Some(vec![kind])
}
