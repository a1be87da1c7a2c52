//! The names of drivers in a body. The engine takes such a name for the path of a socket, and does
//! not clean it (protocol 1.1).

use super::{Document, Node, Refusal};

/// Where the bodies of actions name drivers; `[]` stands for the items of a list.
static FIELDS: &[(&str, &[&str])] = &[
    ("config.create", &["Templating.Name"]),
    ("config.update", &["Templating.Name"]),
    (
        "container.create",
        &[
            "HostConfig.LogConfig.Type",
            "HostConfig.Mounts[].VolumeOptions.DriverConfig.Name",
            "HostConfig.VolumeDriver",
        ],
    ),
    ("network.create", &["Driver", "IPAM.Driver"]),
    ("secret.create", &["Driver.Name", "Templating.Name"]),
    ("secret.update", &["Driver.Name", "Templating.Name"]),
    ("service.create", SERVICE),
    ("service.update", SERVICE),
    ("swarm.init", &["Spec.TaskDefaults.LogDriver.Name"]),
    ("swarm.update", &["TaskDefaults.LogDriver.Name"]),
    ("volume.create", &["Driver"]),
];

const SERVICE: &[&str] = &[
    "TaskTemplate.ContainerSpec.Mounts[].VolumeOptions.DriverConfig.Name",
    "TaskTemplate.LogDriver.Name",
];

/// Refuses a name that leads the engine out of its directories of plugins, to a socket inside of a
/// container for instance.
pub(super) fn refuse_paths(action: &str, body: &Document) -> Result<(), Refusal> {
    let found = FIELDS.iter().find(|(name, _)| *name == action);
    let mut fields = found.into_iter().flat_map(|(_, fields)| *fields);
    fields.try_for_each(|field| judge(body.root(), field, field))
}

/// Judges what stands at `path`, the rest of `field`, from a value on. A value of another type is
/// not judged, because the engine rejects it.
fn judge(node: Node<'_>, path: &str, field: &'static str) -> Result<(), Refusal> {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    if let Some(list) = step.strip_suffix("[]") {
        let mut items = node.get(list).into_iter().flat_map(Node::items);
        return items.try_for_each(|item| judge(item, rest, field));
    }
    match node.get(step) {
        None => Ok(()),
        Some(value) if !rest.is_empty() => judge(value, rest, field),
        Some(value) => match value.as_str() {
            Some(name) if !is_name(&name) => Err(Refusal::DriverPath {
                field,
                name: name.into_owned(),
            }),
            _ => Ok(()),
        },
    }
}

/// Returns whether it is the name of a driver, or empty for the engine's default.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    name.is_empty() || !name.contains('\0') && name.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::{Object, body_of, routes};
    use serde_json::{Value, json};

    /// Puts a value where a field of the table stands.
    fn body(field: &str, value: Value) -> Document {
        let body = field
            .rsplit('.')
            .fold(value, |inner, step| match step.strip_suffix("[]") {
                Some(list) => json!({ list: [{}, inner] }),
                None => json!({ step: inner }),
            });
        Document::parse(body.to_string()).unwrap()
    }

    fn fields() -> impl Iterator<Item = (&'static str, &'static str)> {
        let of_action = |(action, fields): &'static (&str, &[&str])| {
            fields.iter().map(move |field| (*action, *field))
        };
        FIELDS.iter().flat_map(of_action)
    }

    #[test]
    fn paths_are_refused_in_every_field() {
        for (action, field) in fields() {
            for path in [
                "../../../proc/1/root/p",
                "..",
                ".",
                "/run/p",
                "a/../b",
                "a/./b",
                "a//b",
                "a/",
                "a\0",
                "../../../proc/1/root/ops:1",
            ] {
                let refusal = refuse_paths(action, &body(field, json!(path)));
                let (name, at) = (path.to_owned(), field);
                let wanted = Err(Refusal::DriverPath { field: at, name });
                assert_eq!(refusal, wanted, "{action} {field}");
            }
        }
    }

    #[test]
    fn names_are_not_refused() {
        for (action, field) in fields() {
            for name in [
                json!(""),
                json!(null),
                json!("local"),
                json!("ops"),
                json!("vieux/sshfs:latest"),
                json!("registry:5000/a/b:tag"),
                json!("my.driver..x"),
                json!({}),
            ] {
                let refusal = refuse_paths(action, &body(field, name.clone()));
                assert_eq!(refusal, Ok(()), "{action} {field} {name}");
            }
        }
        let other = body("Driver", json!("../x"));
        assert_eq!(refuse_paths("exec.create", &other), Ok(()));
    }

    #[test]
    fn keys_fold() {
        let body = Document::parse(r#"{"iPAM":{"driver":"../x"}}"#).unwrap();
        assert!(refuse_paths("network.create", &body).is_err());
    }

    /// Collects the fields whose names say that they hold the name of a driver. That of
    /// `DeviceRequest` is one of the engine's own.
    fn named(object: &Object, path: &str, found: &mut Vec<String>) {
        let names = |field: &str| match object.name {
            "Driver" => field == "Name",
            "LogConfig" => field == "Type",
            "DeviceRequest" => false,
            _ => field.ends_with("Driver"),
        };
        let plain = object.plain.iter().filter(|field| names(field));
        found.extend(plain.map(|field| format!("{path}{field}")));
        for (field, inner) in object.objects {
            let list = if inner.name == "Mount" { "[]" } else { "" };
            named(inner, &format!("{path}{field}{list}."), found);
        }
        object
            .with
            .iter()
            .for_each(|other| named(other, path, found));
    }

    #[test]
    fn the_table_has_every_field_that_names_a_driver() {
        let mut wanted = Vec::new();
        let actions = routes().map(|route| route.action);
        for (action, object) in actions.filter_map(|action| Some((action, body_of(action)?))) {
            let mut paths = Vec::new();
            named(object, "", &mut paths);
            wanted.extend(paths.into_iter().map(|path| (action, path)));
        }
        let mut given: Vec<_> = fields().map(|(a, field)| (a, field.to_owned())).collect();
        wanted.sort();
        given.sort();
        assert_eq!(given, wanted);
    }
}
