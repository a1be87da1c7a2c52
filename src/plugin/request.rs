//! A request to the engine as a policy sees it: a table whose fields are made when they are first
//! read.
//!
//! The tables are plain. What Rust keeps of a request is found by a table's address while the call
//! runs, and is dropped with the call, so that the collector never holds a body.

mod fields;
mod lint;
mod records;
mod registry;

pub use fields::{REQUEST_FIELDS, REQUEST_TYPES};
pub use registry::{RequestField, RunningCall};

use self::lint::{Lint, lint};
use self::registry::Registry;
use crate::authz::Request;
use crate::protocol::Interface;
use crate::script::{Diagnostic, Problems, Script};
use mlua::Table;

/// Judges the source of a policy that has been loaded; scripts of other interfaces get no requests.
///
/// # Errors
/// Comparisons that are never true. Warnings are returned otherwise.
pub fn lint_policy(script: &Script) -> Result<Vec<Diagnostic>, Problems> {
    if script.interface != Interface::Authz {
        return Ok(Vec::new());
    }
    let Lint { errors, warnings } = lint(script.files());
    let excerpts = |all: Vec<Diagnostic>| {
        let all = all.into_iter().map(|diagnostic| script.excerpt(diagnostic));
        all.collect::<Vec<_>>()
    };
    Problems::of(excerpts(errors)).map_or(Ok(excerpts(warnings)), Err)
}

/// Creates the table of a request for its policy, and what ends the call when it is dropped.
pub fn request_table(script: &Script, request: Request) -> mlua::Result<(Table, RunningCall)> {
    Registry::of(script, REQUEST_FIELDS)?.table(script.lua(), request)
}
