//! The fields of bodies and the parameters of queries that policies can read, against the API's own
//! descriptions and what clients really sent.

use crate::authz_traffic::calls;
use moondock::authz::{Body, Kind, Node, Object, Target, body_of, query_of, routes};
use std::collections::BTreeSet;

/// What the descriptions of API 1.25 to 1.55 list: route, field, type, versions.
const BODIES: &str = include_str!("../golden/engine-bodies.tsv");
const QUERIES: &str = include_str!("../golden/engine-queries.tsv");

/// Fields that engines read though no description lists them.
const UNDESCRIBED_FIELDS: &[&str] = &[
    "checkpoint.create CheckpointDir",
    "checkpoint.create CheckpointID",
    "checkpoint.create Exit",
    "container.copy Resource",
    "container.create HostConfig.Mounts.ClusterOptions",
    "exec.create Container",
    "exec.create Detach",
    "service.create TaskTemplate.ContainerSpec.Mounts.ClusterOptions",
    "service.create TaskTemplate.PluginSpec.Env",
    "service.create TaskTemplate.PluginSpec.Privileges",
    "service.create TaskTemplate.PluginSpec.Privileges.Description",
    "service.create TaskTemplate.PluginSpec.Privileges.Name",
    "service.create TaskTemplate.PluginSpec.Privileges.Value",
    "service.create TaskTemplate.Resources.Reservations.Pids",
    "swarm.init AutoLockManagers",
    "swarm.init Availability",
    "swarm.join Availability",
    "system.auth auth",
    "system.auth identitytoken",
    "system.auth registrytoken",
    // The descriptions have these within `AccessMode`.
    "volume.create ClusterVolumeSpec.AccessMode.BlockVolume",
    "volume.create ClusterVolumeSpec.AccessMode.MountVolume.FsType",
    "volume.create ClusterVolumeSpec.AccessMode.MountVolume.MountFlags",
    "volume.create ClusterVolumeSpec.AccessibilityRequirements",
    "volume.create ClusterVolumeSpec.AccessibilityRequirements.Preferred",
    "volume.create ClusterVolumeSpec.AccessibilityRequirements.Preferred.Segments",
    "volume.create ClusterVolumeSpec.AccessibilityRequirements.Requisite",
    "volume.create ClusterVolumeSpec.AccessibilityRequirements.Requisite.Segments",
    "volume.create ClusterVolumeSpec.Availability",
    "volume.create ClusterVolumeSpec.CapacityRange",
    "volume.create ClusterVolumeSpec.CapacityRange.LimitBytes",
    "volume.create ClusterVolumeSpec.CapacityRange.RequiredBytes",
    "volume.create ClusterVolumeSpec.Secrets",
    "volume.create ClusterVolumeSpec.Secrets.Key",
    "volume.create ClusterVolumeSpec.Secrets.Secret",
];

/// Parameters that engines read though no description lists them.
const UNDESCRIBED_PARAMETERS: &[&str] = &[
    "build.cancel id",
    "checkpoint.list dir",
    "checkpoint.remove dir",
    "container.list before",
    "container.list since",
    "container.logs details",
    "container.start checkpoint",
    "container.start checkpoint-dir",
    "debug.pprof debug",
    "debug.pprof gc",
    "debug.pprof seconds",
    "image.build buildid",
    "image.build cgroupparent",
    "image.build cpusetmems",
    "image.build credentialspec",
    "image.build isolation",
    "image.build securityopt",
    "image.build session",
    "image.build ulimits",
    "image.list filter",
];

/// A field of a body, as the descriptions have it.
pub struct DescribedField {
    pub action: &'static str,
    /// The names that lead to it, such as `HostConfig.Mounts[].Type`.
    pub path: &'static str,
    /// Such as `list of string`.
    pub ty: &'static str,
}

/// All described fields of bodies.
pub fn described_fields() -> impl Iterator<Item = DescribedField> {
    let lines = BODIES.lines().filter(|line| !line.starts_with('#'));
    let types = lines.map(|line| line.split('\t').nth(2).unwrap());
    let fields = rows(BODIES).zip(types);
    fields.map(|((action, path), ty)| DescribedField { action, path, ty })
}

/// The action and the name of each row.
fn rows(tsv: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = tsv.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let mut columns = row.split('\t');
        let (route, name) = (columns.next().unwrap(), columns.next().unwrap());
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace(['{', '}'], "");
        (Target::parse(method, &path).action().unwrap(), name)
    })
}

/// Returns the object that holds the last field of `path`, and the field.
pub fn holder<'p>(body: &'static Object, path: &'p str) -> (&'static Object, &'p str) {
    let path = path.trim_start_matches("[].");
    match path.split_once('.') {
        Some((field, rest)) => {
            let field = field.trim_end_matches(['[', ']', '{', '}']);
            let inner = body.within(field);
            holder(inner.unwrap_or_else(|| panic!("{field} of {path}")), rest)
        }
        None => (body, path),
    }
}

#[test]
fn every_described_field_is_known() {
    for (action, path) in rows(BODIES) {
        let (object, field) = holder(body_of(action).unwrap(), path);
        assert!(object.has(field), "{action} {path}");
    }
}

#[test]
fn every_described_parameter_is_known() {
    for (action, name) in rows(QUERIES) {
        assert!(query_of(action).contains(&name), "{action} {name}");
    }
}

/// Writes every field of an object and what it holds as `before.Field`.
fn paths(object: &Object, before: &str, found: &mut BTreeSet<String>) {
    for name in object.names() {
        let path = format!("{before}{name}");
        if let Some(inner) = object.within(name) {
            paths(inner, &format!("{path}."), found);
        }
        found.insert(path);
    }
}

fn is_described(found: &str, rows: &BTreeSet<String>) -> bool {
    rows.contains(&found.to_lowercase())
}

#[test]
fn every_known_field_is_described_or_listed_here() {
    let plain = |path: &str| path.replace("[].", ".").replace("{}.", ".");
    let rows = rows(BODIES).map(|(action, path)| {
        let path = plain(path).trim_start_matches('.').to_lowercase();
        format!("{action} {path}")
    });
    let rows: BTreeSet<_> = rows.collect();
    let mut unlisted = BTreeSet::new();
    for action in routes().map(|route| route.action) {
        // The bodies of updates are those of creates, and of `volume.update` a part of it.
        let same = action.ends_with(".update") && action != "container.update";
        if let Some(body) = body_of(action).filter(|_| !same) {
            paths(body, &format!("{action} "), &mut unlisted);
        }
    }
    unlisted.retain(|path| !is_described(path, &rows));
    assert_eq!(Vec::from_iter(unlisted), UNDESCRIBED_FIELDS);
}

#[test]
fn every_known_parameter_is_described_or_listed_here() {
    let rows: BTreeSet<_> = rows(QUERIES).collect();
    let actions: BTreeSet<_> = routes().map(|route| route.action).collect();
    let all = actions
        .into_iter()
        .flat_map(|action| query_of(action).iter().map(move |name| (action, *name)));
    let unlisted = all.filter(|row| !rows.contains(row));
    let unlisted: Vec<_> = unlisted
        .map(|(action, name)| format!("{action} {name}"))
        .collect();
    assert_eq!(unlisted, UNDESCRIBED_PARAMETERS);
}

/// Collects the fields of a recorded body that are not known.
fn unknown(node: Node<'_>, known: Option<&'static Object>, at: &str, found: &mut Vec<String>) {
    match (node.kind(), known) {
        (Kind::Array, _) => node
            .items()
            .for_each(|item| unknown(item, known, at, found)),
        (Kind::Object, _) if node.is_map() => node
            .entries()
            .for_each(|(_, value)| unknown(value, known, at, found)),
        (Kind::Object, Some(object)) => {
            for (name, value) in node.entries() {
                let at = format!("{at}.{name}");
                if !object.has(&name) {
                    found.push(at.clone());
                }
                unknown(value, object.within(&name), &at, found);
            }
        }
        _ => {}
    }
}

#[test]
fn recorded_requests_have_no_unknown_field_or_parameter() {
    let mut judged = 0;
    for call in calls() {
        let target = call.request.target();
        let Some(action) = target.action() else {
            continue;
        };
        for (name, _) in target.query.pairs() {
            let name = String::from_utf8_lossy(&name).into_owned();
            assert!(query_of(action).contains(&name.as_str()), "{action} {name}");
        }
        if let Ok(Body::Json(document)) = call.request.body() {
            let mut found = Vec::new();
            unknown(document.root(), body_of(action), action, &mut found);
            assert_eq!(found, Vec::<String>::new(), "{}", call.op);
            judged += usize::from(body_of(action).is_some());
        }
    }
    assert!(judged > 20, "{judged}");
}
