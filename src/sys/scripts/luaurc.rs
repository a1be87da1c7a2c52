//! Luau's own file of settings, which editors read too.

use super::sources::MAX_SIZE;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The name of the file.
pub const NAME: &str = ".luaurc";

/// Reads the settings for the scripts in `directory`: of the file in it, or else of the one beside
/// it.
pub fn read(directory: &Path) -> Option<String> {
    let places = [Some(directory), directory.parent()];
    let mut files = places
        .into_iter()
        .flatten()
        .filter_map(|place| File::open(place.join(NAME)).ok());
    let mut text = String::new();
    files
        .next()?
        .take(MAX_SIZE)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}
