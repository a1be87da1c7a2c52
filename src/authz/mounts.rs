//! Every way in which a request's body reaches a path of the host, in one list (protocol 3.5 and
//! 16).

mod fields;
mod local;
mod resolve;

use std::path::PathBuf;

use self::fields::BodyField;
use super::{Document, Refusal};

pub use resolve::{HIDDEN, ReadLink, resolve};

/// A host path that a request would make reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMount {
    /// The path as written: absolute, not always clean.
    pub source: String,
    /// Where it leads once symbolic links are followed; set by [`resolve`].
    pub resolved: Option<PathBuf>,
    /// Where it appears in the container, if the request says so.
    pub target: Option<String>,
    /// Whether the request asks for a read-only mount. Mounts below it may be writable
    /// nevertheless.
    pub read_only: bool,
    /// Where it stands in the body, as in `HostConfig.Binds[0]`.
    pub via: String,
    walk: Walk,
}

/// Who interprets `..` in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// The engine cleans the text before the kernel sees it.
    Cleaned,
    /// The kernel, link by link.
    Kernel,
}

/// What a request says of a mount besides its source.
#[derive(Debug, Clone, Default)]
struct Destination {
    target: Option<String>,
    read_only: bool,
}

/// Lists the host paths that the call `action` with this body reaches, unresolved. It reads no
/// file.
///
/// The list covers binds, mounts and devices of containers, local volumes with options, created or inline, mounts and plugins of
/// services, and the privileges of managed plugins. It does not cover what opens nothing:
/// `VolumesFrom`, device requests, paths of block I/O limits.
///
/// # Errors
/// [`Refusal::HostPath`] for what the engine might interpret and this does not.
pub fn host_paths(action: &str, body: &Document) -> Result<Vec<HostMount>, Refusal> {
    let root = BodyField::root(body);
    let mut found = Vec::new();
    match action {
        "container.create" => host_config(&root.field("HostConfig")?, &mut found)?,
        "container.update" => devices(&root.field("Devices")?, &mut found)?,
        "volume.create" => {
            let names = ("Driver", "DriverOpts");
            local::volume(&root, names, &Destination::default(), &mut found)?;
        }
        "service.create" | "service.update" => service(&root, &mut found)?,
        "plugin.pull" | "plugin.upgrade" => privileges(&root, &mut found)?,
        "plugin.set" => settings(&root, &mut found)?,
        _ => {}
    }
    Ok(found)
}

fn host_config(config: &BodyField<'_, '_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    let [binds, mounted, used] = config.fields(["Binds", "Mounts", "Devices"])?;
    for entry in binds.items()? {
        bind(&entry, found)?;
    }
    mounts(&mounted, found)?;
    devices(&used, found)
}

/// Reads `SOURCE:TARGET[:MODE]`, where a source without a slash is a volume's name, or `TARGET`
/// alone.
fn bind(entry: &BodyField<'_, '_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    let text = entry.text_or_empty()?;
    let mut parts = text.split(':');
    let (source, target, mode) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(target), None, None, None) if !target.is_empty() => return Ok(()),
        (Some(source), Some(target), None, None) => (source, target, ""),
        (Some(source), Some(target), Some(mode), None) => (source, target, mode),
        _ => return Err(entry.refusal("it is not of the form `source:target:mode`")),
    };
    if !source.is_empty() && !source.contains('/') {
        return Ok(());
    }
    let to = Destination {
        target: Some(target.to_owned()),
        read_only: mode.split(',').any(|word| word == "ro"),
    };
    push(source, Walk::Cleaned, &to, entry, found)
}

fn mounts(list: &BodyField<'_, '_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    for entry in list.items()? {
        let [target, read_only] = entry.fields(["Target", "ReadOnly"])?;
        let to = Destination {
            target: target.text()?.map(Into::into),
            read_only: read_only.is_true(),
        };
        mount(&entry, &to, found)?;
    }
    Ok(())
}

fn mount(
    entry: &BodyField<'_, '_>,
    to: &Destination,
    found: &mut Vec<HostMount>,
) -> Result<(), Refusal> {
    let [kind, source, options] = entry.fields(["Type", "Source", "VolumeOptions"])?;
    match kind.text()?.as_deref() {
        Some("tmpfs" | "image" | "cluster") => Ok(()),
        Some("volume") => {
            let config = options.field("DriverConfig")?;
            local::volume(&config, ("Name", "Options"), to, found)
        }
        _ => match source.text_or_empty()? {
            // The engine refuses a mount without a source.
            text if text.is_empty() => Ok(()),
            text => push(&text, Walk::Cleaned, to, &source, found),
        },
    }
}

fn devices(list: &BodyField<'_, '_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    for entry in list.items()? {
        let [source, target, permissions] =
            entry.fields(["PathOnHost", "PathInContainer", "CgroupPermissions"])?;
        let path = source.text_or_empty()?;
        let to = Destination {
            target: target.text()?.map(Into::into),
            read_only: permissions.text()?.as_deref() == Some("r"),
        };
        push(&path, Walk::Kernel, &to, &source, found)?;
    }
    Ok(())
}

fn service(root: &BodyField<'_, '_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    let task = root.field("TaskTemplate")?;
    let [container, plugin] = task.fields(["ContainerSpec", "PluginSpec"])?;
    mounts(&container.field("Mounts")?, found)?;
    privileges(&plugin.field("Privileges")?, found)?;
    privileges(&plugin.field("PluginPrivilege")?, found)
}

/// Reads what the user of a managed plugin accepts: its mounts and devices are host paths.
fn privileges(list: &BodyField<'_, '_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    for entry in list.items()? {
        let name = entry.field("Name")?.text_or_empty()?.to_ascii_lowercase();
        if name == "mount" || name == "device" {
            for value in entry.field("Value")?.items()? {
                push_if_path(&value.text_or_empty()?, &value, found)?;
            }
        }
    }
    Ok(())
}

/// Reads `NAME=VALUE`. Only the plugin's configuration knows whether it sets a mount's source, a
/// device or a variable, so each path counts.
fn settings(list: &BodyField<'_, '_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    for entry in list.items()? {
        let text = entry.text_or_empty()?;
        let value = text.split_once('=').map_or("", |(_, value)| value);
        push_if_path(value, &entry, found)?;
    }
    Ok(())
}

fn push_if_path(
    text: &str,
    field: &BodyField<'_, '_>,
    found: &mut Vec<HostMount>,
) -> Result<(), Refusal> {
    if text.starts_with('/') {
        push(text, Walk::Kernel, &Destination::default(), field, found)
    } else {
        Ok(())
    }
}

fn push(
    source: &str,
    walk: Walk,
    to: &Destination,
    field: &BodyField<'_, '_>,
    found: &mut Vec<HostMount>,
) -> Result<(), Refusal> {
    if !source.starts_with('/') {
        return Err(field.refusal("it is not an absolute path"));
    }
    if source.contains('\0') {
        return Err(field.refusal("it holds a NUL byte"));
    }
    found.push(HostMount {
        source: source.to_owned(),
        resolved: None,
        target: to.target.clone(),
        read_only: to.read_only,
        via: field.via(),
        walk,
    });
    Ok(())
}

#[cfg(test)]
mod tests;
