//! Identifiers of the current boot and of this process.

use std::fs;
use std::io;

/// The index of `starttime` in `/proc/self/stat` after the command, see proc(5).
const START_TIME_FIELD: usize = 19;

/// Returns an identifier of the current boot.
///
/// # Errors
/// Fails if `/proc` cannot be read.
pub fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// Returns an identifier of this process, unique across boots.
///
/// # Errors
/// Fails if `/proc` cannot be read.
pub fn process() -> io::Result<String> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let start = fields
        .split(' ')
        .nth(START_TIME_FIELD)
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok(format!("{}/{start}", boot()?))
}
