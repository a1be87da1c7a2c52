//! One loaded Lua program: its state, its files, its diagnostics.

mod codec;
mod diagnostic;
mod loader;
mod program;
mod syntax;
mod vm;

pub use crate::sys::scripts::sources::Sources;
pub use codec::{Mismatch, Owed, decode, encode};
pub use diagnostic::{Diagnostic, Problems};
pub use loader::nearest;
pub use program::{Script, type_of};
pub use syntax::check_syntax;
pub use vm::{Failure, Hook, Raised, Vm};
