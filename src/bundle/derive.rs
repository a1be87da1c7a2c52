//! Derives `config.json` from a plugin's manifest and grants.

use super::config::{InterfaceConfig, Linux, Mount, Network, PluginConfig, Variable};
use super::needs::{FixedMount, Value, need_of, type_of};
use super::{BundleError, Subject};
use crate::config::STATE;
use crate::grants::Grant;
use crate::plugin::{form_of, variable_of};
use crate::protocol::Interface;
use std::collections::BTreeSet;
use std::path::Path;

/// The directory of a plugin's state, the same as outside of an engine. Its files survive an
/// upgrade, and mounts made in it reach containers, so volumes belong there too (protocol 2.4,
/// 5.4).
pub const PROPAGATED: &str = STATE;
/// The path of `moondock` in the plugin.
pub const BINARY: &str = "/usr/bin/moondock";
/// The longest name of a socket, in bytes: its path on the host also contains the plugin's ID
/// (protocol 2.4).
pub const SOCKET_MAX: usize = 20;
/// File systems of the kernel, of which a plugin has its own.
const KERNEL: [&str; 2] = ["/proc", "/sys"];
pub(super) const DEVICES: &str = "/dev";

/// Variables that `serve` reads: name, default value and description.
pub const VARIABLES: &[(&str, &str, &str)] = &[
    (
        "MOONDOCK_LOG_LEVEL",
        "info",
        "what is logged: off, error, warn, info, debug or trace",
    ),
    (
        "MOONDOCK_LOG_FORMAT",
        "pretty",
        "how it is logged: pretty or json",
    ),
];

/// Derives `config.json` of `subject`.
///
/// # Errors
/// Fails if a name, a setting or a grant is not possible in a managed plugin.
pub fn derive(subject: &Subject) -> Result<PluginConfig, BundleError> {
    let needs = &subject.needs;
    let mounts = mounts(subject)?;
    let host_network = subject.host_network || needs.iter().any(|need| need.host_network);
    let description = &subject.manifest.description;
    Ok(PluginConfig {
        description: if description.is_empty() {
            format!("plugin {}", subject.name)
        } else {
            description.clone()
        },
        documentation: String::new(),
        interface: interface(subject)?,
        entrypoint: entrypoint(subject, &mounts),
        work_dir: "/".to_owned(),
        network: Network {
            kind: if host_network { "host" } else { "none" },
        },
        mounts,
        propagated_mount: PROPAGATED.to_owned(),
        env: variables(subject)?,
        linux: Linux {
            capabilities: needs
                .iter()
                .flat_map(|need| need.capabilities)
                .copied()
                .collect(),
            allow_all_devices: needs.iter().any(|need| need.all_devices),
            devices: Vec::new(),
        },
    })
}

fn interface(subject: &Subject) -> Result<InterfaceConfig, BundleError> {
    let socket = format!("{}.sock", subject.name);
    if socket.len() > SOCKET_MAX {
        let limit = SOCKET_MAX - ".sock".len();
        return Err(BundleError::LongName {
            name: subject.name.clone(),
            limit,
        });
    }
    Ok(InterfaceConfig {
        types: subject.interfaces.iter().copied().map(type_of).collect(),
        socket,
    })
}

fn entrypoint(subject: &Subject, mounts: &[Mount]) -> Vec<String> {
    let scripts = subject.scripts.display().to_string();
    let fixed = [
        BINARY,
        "serve",
        &scripts,
        "--managed",
        "--settings-from-env",
        "--drain",
        "1",
    ];
    let seen = mounts
        .iter()
        .filter(|mount| shows_host_path(subject, mount));
    let seen = seen.flat_map(|mount| ["--host-path".to_owned(), mount.destination.clone()]);
    fixed
        .iter()
        .map(|&argument| argument.to_owned())
        .chain(seen)
        .collect()
}

/// Returns whether a policy may follow links below the mount: it shows the host's files at the same
/// path, and the administrator cannot change that.
fn shows_host_path(subject: &Subject, mount: &Mount) -> bool {
    has_policy(subject) && mount.source == mount.destination && mount.settable.is_empty()
}

fn has_policy(subject: &Subject) -> bool {
    subject.interfaces.contains(&Interface::Authz)
}

/// Returns a note for authors of a policy, which rejects host paths that it cannot see.
pub(super) fn note_on_paths(subject: &Subject, config: &PluginConfig) -> Option<String> {
    let seen = config
        .mounts
        .iter()
        .filter(|mount| shows_host_path(subject, mount));
    let seen: Vec<&str> = seen.map(|mount| mount.destination.as_str()).collect();
    let (seen, refused) = if seen.is_empty() {
        ("no path".to_owned(), "a host path")
    } else {
        (seen.join(", "), "any other path")
    };
    has_policy(subject).then(|| {
        format!(
            "authz.lua sees {seen} of the host, so requests that mount {refused} are rejected: grant `fs.read:` for each directory that containers may mount"
        )
    })
}

fn mounts(subject: &Subject) -> Result<Vec<Mount>, BundleError> {
    let mut mounts: Vec<Mount> = scripts_mount(subject).into_iter().collect();
    let needs = subject.needs.iter();
    mounts.extend(needs.flat_map(|need| need.mounts).map(fixed_mount));
    let paths = subject
        .manifest
        .grants
        .iter()
        .filter_map(|grant| Some((path_of(grant)?, grant)));
    let mut paths: Vec<_> = paths.collect();
    // A deeper path is mounted later; the mount above would hide it otherwise.
    paths.sort_by_key(|(path, _)| *path);
    paths.dedup();
    for (path, grant) in paths {
        if let Some(Value::Path(options)) = need_of(grant).map(|need| need.value)
            && is_mounted(subject, grant, path)?
            && !covered(subject, grant, path)
        {
            mounts.push(path_mount(subject, &mounts, grant, path, options));
        }
    }
    Ok(mounts)
}

fn scripts_mount(subject: &Subject) -> Option<Mount> {
    let path = subject.scripts.display().to_string();
    subject.scripts_mounted.then(|| Mount {
        name: "scripts".to_owned(),
        description:
            "the directory of the scripts on the host: what is saved there is live at once"
                .to_owned(),
        source: path.clone(),
        destination: path,
        kind: "bind",
        options: vec!["rbind", "ro"],
        settable: vec!["source"],
    })
}

fn fixed_mount(mount: &FixedMount) -> Mount {
    Mount {
        name: mount.name.to_owned(),
        description: mount.description.to_owned(),
        source: mount.source.to_owned(),
        destination: mount.destination.to_owned(),
        kind: "bind",
        options: mount.options.to_vec(),
        settable: if mount.settable {
            vec!["source"]
        } else {
            Vec::new()
        },
    }
}

fn path_of(grant: &Grant) -> Option<&Path> {
    match grant {
        Grant::FsRead(path) | Grant::FsWrite(path) => Some(path),
        _ => None,
    }
}

/// Returns the mount of a granted path. If the plugin has a policy, which follows links below it,
/// the source is fixed to the host's path.
fn path_mount(
    subject: &Subject,
    others: &[Mount],
    grant: &Grant,
    path: &Path,
    options: &[&'static str],
) -> Mount {
    let text = path.display().to_string();
    Mount {
        name: free_name(others, &text),
        description: format!("what the scripts may use by the grant `{grant}`"),
        source: text.clone(),
        destination: text,
        kind: "bind",
        options: options.to_vec(),
        settable: if has_policy(subject) {
            Vec::new()
        } else {
            vec!["source"]
        },
    }
}

/// Returns a unique name for `docker plugin set NAME.source=…`: `srv-my-data` for `/srv/my.data`.
fn free_name(others: &[Mount], path: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let base: String = path.trim_start_matches('/').chars().map(plain).collect();
    let taken = |name: &str| others.iter().any(|mount| mount.name == name);
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.clone())
        .chain(numbered)
        .find(|name| !taken(name))
        .unwrap_or(base)
}

/// Returns whether a path must be mounted to exist in the plugin.
fn is_mounted(subject: &Subject, grant: &Grant, path: &Path) -> Result<bool, BundleError> {
    let refuse = |reason: &str| {
        Err(BundleError::Path {
            grant: grant.to_string(),
            reason: reason.to_owned(),
        })
    };
    let has_devices = || subject.manifest.grants.contains(&Grant::Mount);
    if path.starts_with(PROPAGATED) || KERNEL.iter().any(|tree| path.starts_with(tree)) {
        return Ok(false);
    }
    if path.display().to_string().starts_with(PROPAGATED) {
        return refuse(
            "the engine treats each path that begins with the text `/var/lib/moondock` as one below that directory: choose another",
        );
    }
    if path.starts_with(DEVICES) {
        return if has_devices() {
            Ok(false)
        } else {
            refuse("devices need the grant `mount`")
        };
    }
    Ok(true)
}

/// Returns whether the mount of another grant contains the path.
fn covered(subject: &Subject, grant: &Grant, path: &Path) -> bool {
    subject.manifest.grants.iter().any(|other| match other {
        Grant::FsWrite(parent) => {
            parent != path && path.starts_with(parent) || is_read(grant) && parent == path
        }
        Grant::FsRead(parent) => is_read(grant) && parent != path && path.starts_with(parent),
        _ => false,
    })
}

fn is_read(grant: &Grant) -> bool {
    matches!(grant, Grant::FsRead(_))
}

fn variables(subject: &Subject) -> Result<Vec<Variable>, BundleError> {
    let mut all: Vec<Variable> = VARIABLES
        .iter()
        .map(|row| variable(row.0, row.2, Some(row.1)))
        .collect();
    for (setting, value) in &subject.manifest.settings {
        let refused = |reason| BundleError::Setting {
            setting: setting.clone(),
            reason,
        };
        let name = variable_of(setting).map_err(refused)?;
        let about = subject
            .comments
            .get(setting)
            .map(|text| format!("{text} "))
            .unwrap_or_default();
        let about = format!(
            "{about}(setting `{setting}`, {}; when empty: {value})",
            form_of(value)
        );
        all.push(variable(&name, &about, Some("")));
    }
    for grant in &subject.manifest.grants {
        if let Grant::Env(name) = grant {
            all.push(variable(
                name,
                &format!("what the scripts read by the grant `{grant}`"),
                None,
            ));
        }
    }
    refuse_duplicates(&all)?;
    Ok(all)
}

fn variable(name: &str, description: &str, value: Option<&str>) -> Variable {
    Variable {
        name: name.to_owned(),
        description: description.to_owned(),
        value: value.map(str::to_owned),
        settable: vec!["value"],
    }
}

fn refuse_duplicates(variables: &[Variable]) -> Result<(), BundleError> {
    let mut names = BTreeSet::new();
    match variables
        .iter()
        .find(|variable| !names.insert(&variable.name))
    {
        Some(twin) => Err(BundleError::Twins(twin.name.clone())),
        None => Ok(()),
    }
}
