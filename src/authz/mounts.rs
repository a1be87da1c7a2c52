//! Every way in which a request's body reaches a path of the host, in one list (protocol 3.5 and 16).

mod fields;
mod local;
mod resolve;

use std::path::PathBuf;

use self::fields::{Spot, refused};
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
    /// Whether the request asks for no writing. Mounts below it may be writable all the same.
    pub read_only: bool,
    /// Where it stands in the body, as in `HostConfig.Binds[0]`.
    pub via: String,
    walk: Walk,
}

/// Who makes sense of `..` in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// The engine cleans the text before the kernel sees it.
    Cleaned,
    /// The kernel, link by link.
    Kernel,
}

/// Lists the host paths that the call `action` with this body reaches, unresolved; no file is touched.
///
/// Covered: binds, mounts and devices of containers (also at the top level, where engines 20.10 to 26 read them), local volumes
/// with options, created or inline, mounts and plugins of services, and what a plugin asks for. Not covered, as they
/// open nothing: `VolumesFrom`, device requests, paths of block I/O limits.
///
/// # Errors
/// [`Refusal::HostPath`] for what the engine might understand and this does not.
pub fn host_paths(action: &str, body: &Document) -> Result<Vec<HostMount>, Refusal> {
    let root = Spot::root(body);
    let mut found = Vec::new();
    match action {
        "container.create" => {
            host_config(&root, &mut found)?;
            host_config(&root.field("HostConfig")?, &mut found)?;
        }
        "container.update" => devices(&root.field("Devices")?, &mut found)?,
        "volume.create" => local::volume(
            &root,
            ("Driver", "DriverOpts"),
            &Place::default(),
            &mut found,
        )?,
        "service.create" | "service.update" => service(&root, &mut found)?,
        "plugin.pull" | "plugin.upgrade" => privileges(&root, &mut found)?,
        "plugin.set" => settings(&root, &mut found)?,
        _ => {}
    }
    Ok(found)
}

/// What is said of a mount besides its source.
#[derive(Debug, Clone, Default)]
struct Place {
    target: Option<String>,
    read_only: bool,
}

fn host_config(config: &Spot<'_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    let [binds, mounted, used] = config.fields(["Binds", "Mounts", "Devices"])?;
    for entry in binds.items()? {
        bind(&entry, found)?;
    }
    mounts(&mounted, found)?;
    devices(&used, found)
}

/// `SOURCE:TARGET[:MODE]`, where a source that is no path is a volume's name, or `TARGET` alone.
fn bind(entry: &Spot<'_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    let text = entry.text()?.unwrap_or_default();
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] if !target.is_empty() => return Ok(()),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return refused(&entry.via, "it is not of the form `source:target:mode`"),
    };
    if !source.is_empty() && !source.contains('/') {
        return Ok(());
    }
    let place = Place {
        target: Some(target.to_owned()),
        read_only: mode.split(',').any(|word| word == "ro"),
    };
    push(source, Walk::Cleaned, &place, &entry.via, found)
}

fn mounts(list: &Spot<'_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    for entry in list.items()? {
        let place = Place {
            target: entry.field("Target")?.text()?.map(Into::into),
            read_only: entry.field("ReadOnly")?.is_true(),
        };
        mount(&entry, &place, found)?;
    }
    Ok(())
}

fn mount(entry: &Spot<'_>, place: &Place, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    match entry.field("Type")?.text()?.as_deref() {
        Some("tmpfs" | "image" | "cluster") => Ok(()),
        Some("volume") => {
            let config = entry.field("VolumeOptions")?.field("DriverConfig")?;
            local::volume(&config, ("Name", "Options"), place, found)
        }
        _ => {
            let source = entry.field("Source")?;
            match source.text()?.unwrap_or_default() {
                // A mount without a source makes the engine complain.
                text if text.is_empty() => Ok(()),
                text => push(&text, Walk::Cleaned, place, &source.via, found),
            }
        }
    }
}

fn devices(list: &Spot<'_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    for entry in list.items()? {
        let source = entry.field("PathOnHost")?.text()?.unwrap_or_default();
        let place = Place {
            target: entry.field("PathInContainer")?.text()?.map(Into::into),
            read_only: entry.field("CgroupPermissions")?.text()?.as_deref() == Some("r"),
        };
        push(
            &source,
            Walk::Kernel,
            &place,
            &[&entry.via, ".PathOnHost"].concat(),
            found,
        )?;
    }
    Ok(())
}

fn service(root: &Spot<'_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    let task = root.field("TaskTemplate")?;
    mounts(&task.field("ContainerSpec")?.field("Mounts")?, found)?;
    let plugin = task.field("PluginSpec")?;
    privileges(&plugin.field("Privileges")?, found)?;
    privileges(&plugin.field("PluginPrivilege")?, found)
}

/// What the user of a managed plugin accepts: its mounts and devices are host paths.
fn privileges(list: &Spot<'_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    for entry in list.items()? {
        let name = entry
            .field("Name")?
            .text()?
            .unwrap_or_default()
            .to_ascii_lowercase();
        if name == "mount" || name == "device" {
            for value in entry.field("Value")?.items()? {
                let text = value.text()?.unwrap_or_default();
                push_if_path(&text, &value.via, found)?;
            }
        }
    }
    Ok(())
}

/// `NAME=VALUE`: whether it sets a mount's source, a device or a variable only the plugin's configuration knows, so
/// each path counts.
fn settings(list: &Spot<'_>, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    for entry in list.items()? {
        let text = entry.text()?.unwrap_or_default();
        let value = text.split_once('=').map_or("", |(_, value)| value);
        push_if_path(value, &entry.via, found)?;
    }
    Ok(())
}

fn push_if_path(text: &str, via: &str, found: &mut Vec<HostMount>) -> Result<(), Refusal> {
    if text.starts_with('/') {
        push(text, Walk::Kernel, &Place::default(), via, found)
    } else {
        Ok(())
    }
}

fn push(
    source: &str,
    walk: Walk,
    place: &Place,
    via: &str,
    found: &mut Vec<HostMount>,
) -> Result<(), Refusal> {
    if !source.starts_with('/') {
        return refused(via, "it is not an absolute path");
    }
    if source.contains('\0') {
        return refused(via, "it holds a NUL byte");
    }
    found.push(HostMount {
        source: source.to_owned(),
        resolved: None,
        target: place.target.clone(),
        read_only: place.read_only,
        via: via.to_owned(),
        walk,
    });
    Ok(())
}

#[cfg(test)]
mod tests;
