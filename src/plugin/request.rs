//! A request to the engine as a policy sees it: a table whose fields are made when they are first
//! read.
//!
//! The tables are plain. What Rust keeps of a request is found by a table's address while the call
//! runs, and is dropped with the call, so that the collector never holds a body.

mod fields;
mod records;
mod registry;

pub use fields::{REQUEST_FIELDS, REQUEST_TYPES};
pub use registry::{RequestField, RunningCall};

use self::registry::Registry;
use crate::authz::Request;
use crate::script::Script;
use mlua::Table;

/// Creates the table of a request for its policy, and what ends the call when it is dropped.
pub fn request_table(script: &Script, request: Request) -> mlua::Result<(Table, RunningCall)> {
    Registry::of(script, REQUEST_FIELDS)?.table(script.lua(), request)
}
