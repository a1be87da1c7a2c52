//! What tells one life of the machine, or of this process, from the next.

use std::fs;
use std::io;

/// The place of `starttime` in `/proc/self/stat`, counted after the command's closing parenthesis; see proc(5).
const START_TIME: usize = 19;

/// Another one each time the machine is started.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// Another one for each process, and each start of the machine.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn process() -> io::Result<String> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let start = fields
        .split(' ')
        .nth(START_TIME)
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok(format!("{}/{start}", boot()?))
}
