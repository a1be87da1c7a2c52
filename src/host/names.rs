//! `@moondock/names`: suggestions for misspelt names.

use super::near::nearest;
use super::record::{RecordError, typed};
use super::{Host, Module, Needs, function};
use mlua::{Lua, Value};

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "names",
    functions: &[
        function("nearest", Needs::Nothing, |lua, bind| bind.pure(lua, nearest_of)),
    ],
};

/// The limit of a list, as the comparison is not interrupted by the budget.
const MAX_NAMES: usize = 1000;

#[derive(Debug, thiserror::Error)]
enum NamesFailure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`names` must have at most {MAX_NAMES} names")]
    TooMany,
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
