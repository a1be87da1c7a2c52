//! Options of the `local` volume driver, which are an unchecked `mount(2)` (protocol 16).

use super::fields::{Spot, refused};
use super::{HostMount, Place, Walk, push};
use crate::authz::Refusal;

/// Options that name no path whatever they look like, and must not be repeated in a message.
const SECRETS: [&str; 2] = ["password", "pass"];

/// Reads the driver and its options, under these two names, of a volume.
pub(super) fn volume(
    volume: &Spot<'_>,
    (driver, options): (&str, &str),
    place: &Place,
    found: &mut Vec<HostMount>,
) -> Result<(), Refusal> {
    let driver = volume.field(driver)?.text()?.unwrap_or_default();
    if !(driver.is_empty() || driver == "local") {
        return Ok(());
    }
    let options = volume.field(options)?;
    let (flags, device) = (options.field("o")?, options.field("device")?);
    let text = flags.text()?.unwrap_or_default();
    let read_only = place.read_only || text.split(',').any(|flag| flag == "ro");
    let place = Place {
        read_only,
        ..place.clone()
    };
    let kind = options.field("type")?.text()?.unwrap_or_default();
    mounted(&kind, &device, &text, &place, found)?;
    text.split(',')
        .try_for_each(|flag| option(flag, &flags.via, &place, found))
}

/// A bind is one by its flags, whatever the type says. Other devices count when they are paths, and only those of
/// these network file systems may have a slash without being one: `//server/share`, `server:/export`.
const NETWORK_TYPES: [&str; 5] = ["cifs", "nfs", "nfs4", "smb3", "smbfs"];

fn mounted(
    kind: &str,
    device: &Spot<'_>,
    flags: &str,
    place: &Place,
    found: &mut Vec<HostMount>,
) -> Result<(), Refusal> {
    let text = device.text()?.unwrap_or_default();
    let binds = flags
        .to_ascii_lowercase()
        .split(',')
        .any(|flag| flag.contains("bind"));
    let path = if NETWORK_TYPES.contains(&kind) {
        text.starts_with('/') && !text.starts_with("//")
    } else {
        text.contains('/')
    };
    if binds || path {
        push(&text, Walk::Kernel, place, &device.via, found)
    } else {
        Ok(())
    }
}

/// Options such as overlay's `lowerdir=/a:/b` name paths too.
fn option(flag: &str, via: &str, place: &Place, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    let Some((key, value)) = flag.split_once('=') else {
        return Ok(());
    };
    let layer = ["lowerdir", "upperdir", "workdir", "datadir"]
        .iter()
        .any(|name| key.starts_with(name));
    if layer && value.contains('\\') {
        return refused(via, "a path in it is escaped");
    }
    if SECRETS.contains(&key) {
        return Ok(());
    }
    let pieces = value
        .split(':')
        .filter(|piece| piece.starts_with('/') || layer && !piece.is_empty());
    pieces
        .into_iter()
        .try_for_each(|piece| push(piece, Walk::Kernel, place, via, found))
}
