//! JSON to Lua and back by the shapes of [`crate::protocol`], with no untyped JSON value of a message between.

mod decode;
mod encode;
mod ties;

pub use decode::decode;
pub use encode::{Mismatch, encode};
pub use ties::Owed;
