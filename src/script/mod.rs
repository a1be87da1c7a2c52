//! One loaded Lua program: its state, its files, its diagnostics.

mod codec;
mod diagnostic;
mod failure;
mod hooks;
mod loader;
mod place;
mod prelude;
mod program;
mod syntax;
mod vm;

pub use crate::host::nearest;
pub use crate::sys::scripts::sources::Sources;
pub use codec::{Mismatch, Owed, close_message, decode, encode};
pub use diagnostic::{Diagnostic, Problems};
pub use failure::{CallFailure, Raised};
pub use program::{Script, type_of};
pub use syntax::check_syntax;
pub use vm::{Hook, Vm};
