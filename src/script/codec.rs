//! JSON to Lua and back by the shapes of [`crate::protocol`], without an untyped JSON value
//! between.

mod closed;
mod decode;
mod encode;
mod mismatch;
mod ties;

pub use closed::close_message;
pub use decode::decode;
pub use encode::encode;
pub use mismatch::Mismatch;
pub use ties::Owed;
