//! One loaded Lua program: its state, its files, its diagnostics.

mod codec;
mod cures;
mod diagnostic;
mod excerpt;
mod failure;
mod globals;
mod hooks;
mod loader;
mod misnamed;
mod misplaced;
mod place;
mod prelude;
mod program;
mod session;
mod syntax;
mod tokens;
mod typed;
mod vm;

pub use crate::host::nearest;
pub use crate::sys::scripts::sources::Sources;
pub use codec::{Mismatch, Owed, close_message, decode, encode};
pub use diagnostic::{Diagnostic, Problems};
pub use failure::{CallFailure, Raised};
pub use globals::{global_names, missing_global, missing_member};
pub use loader::{kit_text, required_file};
pub use misnamed::misnamed;
pub use program::{LineHits, Script, run_file, type_of};
pub use session::Session;
pub use syntax::check_syntax;
pub use tokens::{Token, TokenKind, tokens};
pub use vm::{Hook, Vm};
