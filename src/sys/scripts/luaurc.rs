//! Luau's own file of settings, which editors read too.

use crate::sys::files::whole::read_file;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The name of the file.
pub const NAME: &str = ".luaurc";

/// Reads the settings for the scripts in `directory`: of the file in it, or else of the one beside
/// it. Returns `None` if there is neither.
pub fn read(directory: &Path) -> io::Result<Option<String>> {
    let places = [Some(directory), directory.parent()];
    for place in places.into_iter().flatten() {
        match read_file(&place.join(NAME)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(io::Error::other)?;
                return Ok(Some(text));
            }
        }
    }
    Ok(None)
}
