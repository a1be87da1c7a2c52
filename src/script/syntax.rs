//! Syntax checks of files that are not run.

use super::Diagnostic;
use mlua::Lua;

/// Compiles the text of `file` without running it.
///
/// # Errors
/// The first syntax error.
pub fn check_syntax(file: &str, text: &[u8]) -> Result<(), Diagnostic> {
    let lua = Lua::new();
    let chunk = lua.load(text).set_name(format!("={file}"));
    match chunk.into_function() {
        Ok(_) => Ok(()),
        Err(mlua::Error::SyntaxError { message, .. }) => Err(Diagnostic::parse(file, &message)),
        Err(error) => Err(Diagnostic::parse(file, &error.to_string())),
    }
}
