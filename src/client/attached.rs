//! What a container is attached to: mounts, ports, devices, networks.

use super::options::at;
use super::values::{Parsed, fields, mac, size, truth};
use serde_json::{Map, Value, json};

/// Returns the key of a field in lower case, and its value if it has one.
fn split(field: &str) -> (String, Option<&str>) {
    match field.split_once('=') {
        Some((key, value)) => (key.to_lowercase(), Some(value)),
        None => (field.to_lowercase(), None),
    }
}

/// The keys of `--mount` with a text: where the text goes.
const MOUNT_TEXTS: &[(&[&str], &str)] = &[
    (&["type"], "Type"),
    (&["source", "src"], "Source"),
    (&["target", "dst", "destination"], "Target"),
    (&["consistency"], "Consistency"),
    (&["bind-propagation"], "BindOptions.Propagation"),
    (&["volume-driver"], "VolumeOptions.DriverConfig.Name"),
    (&["volume-subpath"], "VolumeOptions.Subpath"),
    (&["image-subpath"], "ImageOptions.Subpath"),
];

/// The keys of `--mount` that may stand alone.
const MOUNT_FLAGS: &[(&[&str], &str)] = &[
    (&["readonly", "ro"], "ReadOnly"),
    (&["bind-nonrecursive"], "BindOptions.NonRecursive"),
    (&["bind-create-src"], "BindOptions.CreateMountpoint"),
    (&["volume-nocopy"], "VolumeOptions.NoCopy"),
];

/// Returns the mount of `--mount`.
pub fn mount(text: &str) -> Parsed {
    let mut mount = json!({ "Type": "volume" });
    for field in fields(text) {
        let (key, value) = split(&field);
        let find = |table: &[(&[&str], &'static str)]| {
            let row = table.iter().find(|(keys, _)| keys.contains(&key.as_str()));
            row.map(|(_, path)| *path)
        };
        if let Some(path) = find(MOUNT_FLAGS) {
            if truth(value.unwrap_or("true"))? {
                *at(&mut mount, path) = true.into();
            }
            continue;
        }
        let value = value.ok_or_else(|| format!("`{field}` needs a value"))?;
        if let Some(path) = find(MOUNT_TEXTS) {
            *at(&mut mount, path) = value.into();
            continue;
        }
        special(&mut mount, &key, value)?;
    }
    finished(mount)
}

fn special(mount: &mut Value, key: &str, value: &str) -> Result<(), String> {
    let mut entry = |path| {
        let (key, value) = value.split_once('=').unwrap_or((value, ""));
        at(mount, path)[key] = value.into();
    };
    match key {
        "volume-opt" => entry("VolumeOptions.DriverConfig.Options"),
        "volume-label" => entry("VolumeOptions.Labels"),
        "tmpfs-size" => *at(mount, "TmpfsOptions.SizeBytes") = size(value)?.into(),
        "tmpfs-mode" => {
            let mode =
                u32::from_str_radix(value, 8).map_err(|_| "the mode is octal, as in 1770")?;
            *at(mount, "TmpfsOptions.Mode") = mode.into();
        }
        "bind-recursive" => match value {
            "enabled" => {}
            "disabled" => *at(mount, "BindOptions.NonRecursive") = true.into(),
            "writable" => *at(mount, "BindOptions.ReadOnlyNonRecursive") = true.into(),
            "readonly" => *at(mount, "BindOptions.ReadOnlyForceRecursive") = true.into(),
            _ => return Err("`bind-recursive` is enabled, disabled, writable or readonly".into()),
        },
        _ => return Err(format!("there is no key `{key}`")),
    }
    Ok(())
}

fn finished(mount: Value) -> Parsed {
    if mount["Target"].as_str().unwrap_or_default().is_empty() {
        return Err("add target=PATH".into());
    }
    for (options, kind) in [
        ("BindOptions", "bind"),
        ("VolumeOptions", "volume"),
        ("TmpfsOptions", "tmpfs"),
    ] {
        if mount.get(options).is_some() && mount["Type"] != kind {
            return Err(format!(
                "the options `{kind}-…` are for mounts with type={kind}"
            ));
        }
    }
    Ok(mount)
}

/// Returns a device with its path inside and its rights.
pub fn device(text: &str) -> Parsed {
    let is_rights = |text: &str| !text.is_empty() && text.chars().all(|c| "rwm".contains(c));
    let parts: Vec<_> = text.split(':').collect();
    let (outside, inside, rights) = match parts[..] {
        [path] => (path, path, "rwm"),
        [path, rights] if is_rights(rights) => (path, path, rights),
        [path, inside] => (path, inside, "rwm"),
        [path, inside, rights] if is_rights(rights) => (path, inside, rights),
        _ => return Err("write /dev/NAME[:PATH[:rwm]]".into()),
    };
    if !outside.starts_with('/') || !inside.starts_with('/') {
        return Err("both paths begin with `/`".into());
    }
    Ok(json!({ "PathOnHost": outside, "PathInContainer": inside, "CgroupPermissions": rights }))
}

/// Returns the request of `--gpus`.
pub fn gpus(text: &str) -> Parsed {
    let mut request = json!({ "Driver": "", "Count": 0, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {} });
    let count = |value: &str| match value {
        "all" => Ok(-1),
        _ => value
            .parse()
            .map_err(|_| "write `all` or a number".to_owned()),
    };
    let mut counted = false;
    for field in fields(text) {
        let (key, value) = split(&field);
        match (key.as_str(), value) {
            (_, None) => {
                request["Count"] = count(&field)?.into();
                counted = true;
            }
            ("count", Some(value)) => {
                request["Count"] = count(value)?.into();
                counted = true;
            }
            ("driver", Some(value)) => request["Driver"] = value.into(),
            ("device", Some(value)) => request["DeviceIDs"] = json!(fields(value)),
            ("capabilities", Some(value)) => {
                let mut names = fields(value);
                names.push("gpu".into());
                request["Capabilities"] = json!([names]);
            }
            ("options", Some(value)) => {
                for option in fields(value) {
                    let (key, value) = option.split_once('=').unwrap_or((&option, ""));
                    request["Options"][key] = value.into();
                }
            }
            _ => return Err(format!("there is no key `{key}`")),
        }
    }
    if !counted && request["DeviceIDs"].is_null() {
        request["Count"] = 1.into();
    }
    Ok(request)
}

/// A published port: the port inside with its protocol, and the address and port outside.
pub struct Port {
    pub inside: String,
    pub address: String,
    pub outside: String,
}

fn range(text: &str, what: &str) -> Result<(u16, u16), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| format!("`{text}` is no port {what}"))
    };
    let (from, to) = (number(from)?, number(to)?);
    if from > to {
        return Err(format!("the range {text} is empty"));
    }
    Ok((from, to))
}

/// Returns the ports of `--publish`, in the short and the long form.
pub fn ports(text: &str) -> Result<Vec<Port>, String> {
    if text.contains('=') {
        return long_port(text).map(|port| {
            let outside = port["PublishedPort"].as_u64().unwrap_or_default();
            vec![Port {
                inside: format!(
                    "{}/{}",
                    port["TargetPort"],
                    port["Protocol"].as_str().unwrap_or("tcp")
                ),
                address: String::new(),
                outside: outside.to_string(),
            }]
        });
    }
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err(format!(
            "`{protocol}` is no protocol: write tcp, udp or sctp"
        ));
    }
    let (before, inside) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, outside) = before.rsplit_once(':').unwrap_or(("", before));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("`{address}` is no IP address"));
    }
    let (first, last) = range(inside, "of the container")?;
    let count = last - first;
    let spread = match outside {
        "" => None,
        outside => Some(range(outside, "of the host")?),
    };
    if let Some((from, to)) = spread
        && to - from != count
        && count != 0
    {
        return Err(format!(
            "the ranges {outside} and {inside} differ in length"
        ));
    }
    let port = |n: u16| Port {
        inside: format!("{}/{protocol}", first + n),
        address: address.to_owned(),
        outside: match spread {
            Some(_) if count == 0 => outside.to_owned(),
            Some((from, _)) => (from + n).to_string(),
            None => String::new(),
        },
    };
    Ok((0..=count).map(port).collect())
}

pub fn published(text: &str) -> Parsed {
    ports(text).map(|_| Value::Null)
}

/// Returns the port of a service: `80:8080` or `published=80,target=8080,mode=host`.
pub fn long_port(text: &str) -> Parsed {
    let mut port = json!({ "Protocol": "tcp", "PublishMode": "ingress" });
    for field in fields(text) {
        let (key, value) = split(&field);
        let value = value.unwrap_or_default();
        match key.as_str() {
            "target" => port["TargetPort"] = range(value, "of the container")?.0.into(),
            "published" => port["PublishedPort"] = range(value, "of the host")?.0.into(),
            "mode" => port["PublishMode"] = value.into(),
            "protocol" => port["Protocol"] = value.into(),
            _ => return Err(format!("there is no key `{key}`")),
        }
    }
    if port.get("TargetPort").is_none() {
        return Err("add target=PORT".into());
    }
    Ok(port)
}

/// Returns the ports of `--expose`.
pub fn exposed(text: &str) -> Result<Vec<String>, String> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (from, to) = range(numbers, "of the container")?;
    Ok((from..=to)
        .map(|port| format!("{port}/{protocol}"))
        .collect())
}

pub fn exposing(text: &str) -> Parsed {
    exposed(text).map(|_| Value::Null)
}

/// Whether a network is one that users create.
pub fn is_own(network: &str) -> bool {
    !matches!(network, "" | "default" | "bridge" | "host" | "none" | "nat")
        && !network.starts_with("container:")
}

/// Returns what the client sends of a network to which nothing is said.
pub fn endpoint() -> Value {
    json!({
        "IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": "", "EndpointID": "", "Gateway": "",
        "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
        "MacAddress": "", "DriverOpts": null,
    })
}

/// Returns the name and the endpoint of `--network`, in the short and the long form.
pub fn network(text: &str) -> Result<(String, Value), String> {
    let (mut name, mut endpoint) = (text.to_owned(), endpoint());
    if !text.contains('=') {
        return Ok((name, endpoint));
    }
    name.clear();
    for field in fields(text) {
        let (key, value) = split(&field);
        let value = value.unwrap_or_default();
        match key.as_str() {
            "name" => value.clone_into(&mut name),
            "alias" => super::options::push(&mut endpoint["Aliases"], value.into()),
            "ip" => *at(&mut endpoint, "IPAMConfig.IPv4Address") = value.into(),
            "ip6" => *at(&mut endpoint, "IPAMConfig.IPv6Address") = value.into(),
            "link-local-ip" => {
                super::options::push(at(&mut endpoint, "IPAMConfig.LinkLocalIPs"), value.into());
            }
            "mac-address" => endpoint["MacAddress"] = mac(value)?,
            "gw-priority" => endpoint["GwPriority"] = super::values::number(value)?,
            "driver-opt" => {
                let (key, value) = super::values::setting(value)?;
                at(&mut endpoint, "DriverOpts")[key] = value;
            }
            _ => return Err(format!("there is no key `{key}`")),
        }
    }
    if name.is_empty() {
        return Err("add name=NETWORK".into());
    }
    Ok((name, endpoint))
}

pub fn networked(text: &str) -> Parsed {
    network(text).map(|_| Value::Null)
}

/// Returns a security option as the engine expects it.
pub fn security(text: &str) -> Parsed {
    let (key, value) = match text.split_once('=').or_else(|| text.split_once(':')) {
        Some(parts) => parts,
        None if text == "no-new-privileges" => return Ok(text.into()),
        None => return Err("write KEY=VALUE".into()),
    };
    if key == "seccomp" && !matches!(value, "unconfined" | "builtin") {
        return Err("a profile is a file, which is not read here: write seccomp=unconfined, or pass the body of the request".into());
    }
    Ok(text.into())
}

/// The `Map` of names to empty objects, as the client writes sets.
pub fn set(names: impl Iterator<Item = String>) -> Value {
    Value::Object(names.map(|name| (name, json!({}))).collect::<Map<_, _>>())
}
