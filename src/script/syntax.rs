//! Syntax checks of files that are not run.

use super::Diagnostic;
use mlua::{Error, Function, Lua};

/// Compiles the text of `file` without running it.
///
/// # Errors
/// The first syntax error.
pub fn check_syntax(file: &str, text: &[u8]) -> Result<(), Diagnostic> {
    match compile(&Lua::new(), file, text) {
        Ok(_) => Ok(()),
        Err(Error::SyntaxError { message, .. } | Error::RuntimeError(message)) => {
            Err(Diagnostic::parse(file, &message))
        }
        Err(error) => Err(Diagnostic::parse(file, &error.to_string())),
    }
}

/// Compiles the text of `file`, which may begin with the byte order mark of UTF-8.
///
/// # Errors
/// A syntax error, and a text in UTF-16.
pub(super) fn compile(lua: &Lua, file: &str, text: &[u8]) -> mlua::Result<Function> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        let message = format!("{file}:1: the file is in UTF-16: save it as UTF-8");
        return Err(Error::runtime(message));
    }
    lua.load(text).set_name(format!("={file}")).into_function()
}
