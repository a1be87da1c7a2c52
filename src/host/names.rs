//! `@moondock/names`: suggestions for misspelt names, and the names that a pattern matches.

use super::near::nearest;
use super::record::{RecordError, typed};
use super::{Host, Module, Needs, function};
use mlua::{Lua, Value};
use regex_lite::RegexBuilder;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "names",
    functions: &[
        function("nearest",  Needs::Nothing, |lua, bind| bind.pure(lua, nearest_of)),
        function("matching", Needs::Nothing, |lua, bind| bind.pure(lua, matching_of)),
    ],
};

/// The limit of a list, as the comparison is not interrupted by the budget.
const MAX_NAMES: usize = 1000;

/// The limit of all bytes in which a pattern is searched for, for the same reason.
const MAX_SEARCHED: usize = 1 << 16;

/// The limit of a compiled pattern, in bytes. The time of a search is the product of both.
const MAX_PATTERN: usize = 1 << 14;

#[derive(Debug, thiserror::Error)]
enum NamesFailure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`names` must have at most {MAX_NAMES} names")]
    TooMany,
    #[error("`names` must have at most {MAX_SEARCHED} bytes")]
    TooLong,
    #[error("no regular expression: {0}")]
    Pattern(#[from] regex_lite::Error),
}

fn nearest_of(
    _: &Lua,
    _: &Host,
    (name, names): (String, Value),
) -> Result<Option<String>, NamesFailure> {
    let names: Vec<String> = typed("names", &names)?;
    if names.len() > MAX_NAMES {
        return Err(NamesFailure::TooMany);
    }
    Ok(nearest(&name, names.iter().map(String::as_str)).map(str::to_owned))
}

fn matching_of(
    _: &Lua,
    _: &Host,
    (pattern, names): (String, Value),
) -> Result<Vec<String>, NamesFailure> {
    matching(&pattern, typed("names", &names)?)
}

/// Returns the names in which a regular expression is found.
fn matching(pattern: &str, mut names: Vec<String>) -> Result<Vec<String>, NamesFailure> {
    if names.iter().map(String::len).sum::<usize>() > MAX_SEARCHED {
        return Err(NamesFailure::TooLong);
    }
    let pattern = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build()?;
    names.retain(|name| pattern.is_match(name));
    Ok(names)
}
