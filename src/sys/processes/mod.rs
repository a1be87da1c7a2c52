//! Programs to run, and the identity of this process.

mod command;
mod error;
pub mod life;
pub mod programs;

pub use self::command::{Command, Output};
pub use self::error::ProcessError;
