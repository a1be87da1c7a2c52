//! One loaded Lua program: its state, its budget, its diagnostics.

mod budget;
mod host;
pub mod json;

pub use budget::{Budget, Exhausted, Limits};
pub use host::{Host, Shared};
