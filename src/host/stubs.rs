//! The types of host functions, as the stubs in `scripts/types` have them: for messages about
//! arguments, and for the fields of results.

use crate::shipped::TYPES;
use include_dir::File;

/// What a stub's types end with, and its functions begin with.
const FUNCTIONS: &str = "return (nil :: any) :: {";

/// Returns the stub of a module.
pub fn stub_text(module: &str) -> Option<&'static [u8]> {
    TYPES.get_file(format!("{module}.luau")).map(File::contents)
}

/// Returns the definitions of requests and replies.
pub fn definitions() -> &'static [u8] {
    let file = TYPES.get_file("hooks.d.luau").map(File::contents);
    file.unwrap_or_default()
}

/// A parameter, or a field of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// Its type; it ends with `?` if the value may be absent.
    pub ty: &'static str,
}

/// The stub of a module, or nothing if there is none.
#[derive(Debug, Clone, Copy)]
pub struct Stub {
    types: &'static str,
    functions: &'static str,
}

/// The type of a host function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Its parameters.
    pub parameters: Vec<Named>,
    /// The type of its first result; `()` if it has none.
    pub result: &'static str,
}

impl Stub {
    /// Returns the stub of a module.
    pub fn of(module: &str) -> Self {
        let file = TYPES.get_file(format!("{module}.luau"));
        let text = file.and_then(|file| file.contents_utf8());
        let (types, functions) = text
            .and_then(|text| text.split_once(FUNCTIONS))
            .unwrap_or_default();
        Self { types, functions }
    }

    /// Returns the type of a function.
    pub fn signature(self, function: &str) -> Option<Signature> {
        let ty = after(self.functions, &format!("\n\t{function}: "))?;
        Self::parsed(ty)
    }

    /// Returns the type of a method of the objects of type `ty`, without `self`.
    pub fn method(self, ty: &'static str, method: &str) -> Option<Signature> {
        let field = self
            .fields(ty)?
            .into_iter()
            .find(|field| field.name == method)?;
        let mut signature = Self::parsed(field.ty)?;
        signature
            .parameters
            .retain(|parameter| parameter.name != "self");
        Some(signature)
    }

    fn parsed(ty: &'static str) -> Option<Signature> {
        let open = ty.find('(')?;
        let inner = bracketed(&ty[open..]);
        let result = after(&ty[open + inner.len() + 2..], "-> ").unwrap_or("()");
        Some(Signature {
            parameters: named(inner),
            result: until(result, ','),
        })
    }

    /// Returns the fields of a type: of a table type, or of the name of one.
    pub fn fields(self, ty: &'static str) -> Option<Vec<Named>> {
        let ty = plain(ty);
        let table = self.alias(ty).unwrap_or(ty);
        let inner = table.starts_with('{').then(|| bracketed(table))?;
        let fields = named(inner);
        (!fields.is_empty() && !inner.trim_start().starts_with('[')).then_some(fields)
    }

    /// Describes the values of a type: `a string`, or `a table such as { mode = "0755" }`.
    pub fn noun(self, ty: &'static str) -> String {
        let ty = plain(ty);
        if let Some(fields) = self.fields(ty) {
            return table_noun(&fields);
        }
        if let Some(alias) = self.alias(ty) {
            return self.noun(alias);
        }
        let first = ty.chars().next().unwrap_or_default();
        match ty {
            "string" | "number" | "boolean" => format!("a {ty}"),
            _ if ty.contains("->") => "a function".to_owned(),
            _ if first == '{' && ty.contains(']') => "a table".to_owned(),
            _ if first == '{' => format!("a list such as {}", example(ty)),
            _ if ty.contains(" | ") => {
                let nouns: Vec<_> = ty.split(" | ").map(|part| self.noun(part)).collect();
                nouns.join(" or ")
            }
            _ if first == '"' => ty.to_owned(),
            _ => "a value".to_owned(),
        }
    }

    /// Returns what the name of a type stands for.
    fn alias(self, name: &str) -> Option<&'static str> {
        let is_name = name.chars().all(char::is_alphanumeric);
        let text = after(self.types, &format!("type {name} = ")).filter(|_| is_name)?;
        Some(if text.starts_with('{') {
            &text[..bracketed(text).len() + 2]
        } else {
            until(text, '\n')
        })
    }
}

/// Describes a table: the fields that it must have, or the first if it needs none.
fn table_noun(fields: &[Named]) -> String {
    let is_optional = |field: &&Named| field.ty.ends_with('?');
    let count = fields.iter().filter(|field| !is_optional(field)).count();
    let shown = fields
        .iter()
        .filter(|field| count == 0 || !is_optional(field));
    let shown: Vec<_> = shown
        .take(count.max(1))
        .map(|field| format!("{} = {}", field.name, example_of(*field)))
        .collect();
    let what = if count == 0 {
        "a table of options,"
    } else {
        "a table"
    };
    format!("{what} such as {{ {} }}", shown.join(", "))
}

/// Returns an example of a field's value.
fn example_of(field: Named) -> String {
    match field.name {
        "mode" => "\"0755\"".to_owned(),
        _ => example(field.ty),
    }
}

fn example(ty: &str) -> String {
    let ty = plain(ty);
    match ty {
        "number" => "1".to_owned(),
        "boolean" => "true".to_owned(),
        "string" => "\"…\"".to_owned(),
        _ if ty.starts_with('"') => until(ty, '|').trim().to_owned(),
        _ if ty.starts_with('{') && !ty.contains(':') => {
            format!("{{ {} }}", example(bracketed(ty).trim()))
        }
        _ => "…".to_owned(),
    }
}

/// Returns the type of the items, if a type is that of a list.
pub fn item_of(ty: &str) -> Option<&str> {
    let inner = plain(ty).strip_prefix("{ ")?.strip_suffix(" }")?;
    (!inner.contains(':')).then_some(inner)
}

/// Returns a type without the mark that it may be absent.
fn plain(ty: &str) -> &str {
    ty.trim().trim_end_matches('?')
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

/// Returns what is between the bracket at the beginning of a text and the one that closes it.
fn bracketed(text: &str) -> &str {
    let end = outside(&text[1..], |c| matches!(c, ')' | '}'));
    &text[1..=end]
}

/// Returns the text up to the first `end` outside of brackets.
fn until(text: &str, end: char) -> &str {
    &text[..outside(text, |c| c == end)]
}

/// Returns the place of the first character outside of brackets that `is_end` accepts.
fn outside(text: &str, is_end: impl Fn(char) -> bool) -> usize {
    let mut depth = 0;
    let end = text.char_indices().find(|(_, c)| {
        let found = depth == 0 && is_end(*c);
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            _ => {}
        }
        found
    });
    end.map_or(text.len(), |(at, _)| at)
}

/// Splits `name: type, name: type`.
fn named(mut list: &'static str) -> Vec<Named> {
    let mut all = Vec::new();
    while !list.trim().is_empty() {
        let part = until(list, ',');
        if let Some((name, ty)) = part.split_once(": ") {
            let (name, ty) = (name.trim(), ty.trim());
            all.push(Named { name, ty });
        }
        list = list.get(part.len() + 1..).unwrap_or_default();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MODULES;

    #[test]
    fn every_host_function_has_a_signature() {
        for module in MODULES {
            for function in module.functions {
                let signature = Stub::of(module.name).signature(function.name);
                assert!(signature.is_some(), "{}.{}", module.name, function.name);
            }
        }
    }

    #[test]
    fn types_are_described_by_what_to_write() {
        for (module, function, expected) in [
            (
                "fs",
                "read",
                "a string; a table of options, such as { offset = 1 }",
            ),
            (
                "fs",
                "mkdir",
                "a string; a table of options, such as { mode = \"0755\" }",
            ),
            ("fs", "chmod", "a string; a number or a string"),
            (
                "fs",
                "mount",
                "a table such as { source = \"…\", target = \"…\" }",
            ),
            ("process", "run", "a table such as { argv = { \"…\" } }"),
            (
                "firewall",
                "free_port",
                "\"tcp\" or \"udp\" or \"sctp\"; a string",
            ),
            ("names", "nearest", "a string; a list such as { \"…\" }"),
            ("log", "info", "a string; a table"),
            ("store", "lock", "a string; a function"),
            (
                "json",
                "encode",
                "a value; a table of options, such as { pretty = true }",
            ),
            (
                "net",
                "create_veth",
                "a string; a string; a table of options, such as { mac = \"…\" }",
            ),
            ("time", "now", ""),
        ] {
            let stub = Stub::of(module);
            let parameters = stub.signature(function).unwrap().parameters;
            let nouns: Vec<_> = parameters.iter().map(|p| stub.noun(p.ty)).collect();
            assert_eq!(nouns.join("; "), expected, "{module}.{function}");
        }
    }

    #[test]
    fn results_have_the_fields_of_their_types() {
        let fields = |module: &str, function: &str| {
            let stub = Stub::of(module);
            let result = stub.signature(function).unwrap().result;
            let fields = stub.fields(result).unwrap_or_default();
            fields.iter().map(|field| field.name).collect::<Vec<_>>()
        };
        assert_eq!(fields("fs", "usage"), ["total", "free", "used"]);
        assert_eq!(
            fields("process", "run"),
            ["code", "signal", "stdout", "stderr"]
        );
        assert_eq!(fields("docker", "request"), ["status", "body"]);
        assert_eq!(fields("net", "link")[..3], ["index", "name", "kind"]);
        assert_eq!(fields("fs", "exists"), [""; 0]);
        assert_eq!(fields("plugin", "settings"), [""; 0]);
    }
}
