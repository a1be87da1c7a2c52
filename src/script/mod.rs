//! One loaded Lua program: its state, its budget, its diagnostics.

mod budget;
mod codec;
mod host;

pub use budget::{Budget, Exhausted, Limits};
pub use codec::{Mismatch, decode, encode};
pub use host::{Host, Shared};
