//! Options of the `local` volume driver, which the engine passes to `mount(2)` unchecked (protocol
//! 16).

use super::fields::BodyField;
use super::{Destination, HostMount, Walk, push};
use crate::authz::Refusal;

/// Options that name no path whatever they look like, and must not be repeated in a message.
const SECRETS: [&str; 2] = ["password", "pass"];

/// Types of network file systems, whose devices may hold a slash without being a path:
/// `//server/share`, `server:/export`.
const NETWORK_TYPES: [&str; 5] = ["cifs", "nfs", "nfs4", "smb3", "smbfs"];

/// Options of overlay file systems that name paths.
const LAYERS: [&str; 4] = ["lowerdir", "upperdir", "workdir", "datadir"];

/// Reads the driver and its options, under these two names, of a volume.
pub(super) fn volume(
    volume: &BodyField<'_, '_>,
    (driver, options): (&'static str, &'static str),
    to: &Destination,
    found: &mut Vec<HostMount>,
) -> Result<(), Refusal> {
    let driver = volume.field(driver)?.text_or_empty()?;
    if !(driver.is_empty() || driver == "local") {
        return Ok(());
    }
    let options = volume.field(options)?;
    let [flags, device, kind] = options.fields(["o", "device", "type"])?;
    let text = flags.text_or_empty()?;
    let to = Destination {
        read_only: to.read_only || text.split(',').any(|flag| flag == "ro"),
        ..to.clone()
    };
    let source = device.text_or_empty()?;
    if is_path(&kind.text_or_empty()?, &source, &text) {
        push(&source, Walk::Kernel, &to, &device, found)?;
    }
    text.split(',')
        .try_for_each(|flag| option(flag, &flags, &to, found))
}

/// Returns whether the device is a path of the host. A bind is one by its flags, whatever the type
/// says. Other devices are when they look like a path.
fn is_path(kind: &str, device: &str, flags: &str) -> bool {
    let binds = flags
        .to_ascii_lowercase()
        .split(',')
        .any(|flag| flag.contains("bind"));
    let path = if NETWORK_TYPES.contains(&kind) {
        device.starts_with('/') && !device.starts_with("//")
    } else {
        device.contains('/')
    };
    binds || path
}

/// Finds the paths in an option: overlay's `lowerdir=/a:/b` names some too.
fn option(
    flag: &str,
    flags: &BodyField<'_, '_>,
    to: &Destination,
    found: &mut Vec<HostMount>,
) -> Result<(), Refusal> {
    let Some((key, value)) = flag.split_once('=') else {
        return Ok(());
    };
    let layer = LAYERS.iter().any(|name| key.starts_with(name));
    if layer && value.contains('\\') {
        return Err(flags.refusal("a path in it is escaped"));
    }
    if SECRETS.contains(&key) {
        return Ok(());
    }
    value
        .split(':')
        .filter(|piece| piece.starts_with('/') || layer && !piece.is_empty())
        .try_for_each(|piece| push(piece, Walk::Kernel, to, flags, found))
}
