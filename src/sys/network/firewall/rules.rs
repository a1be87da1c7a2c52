//! The rules of a plugin's table, which are the same for all networks, and the elements of its sets
//! and maps by which a network takes part in them.

use super::elements::{Element, device_key, ip_bytes, ip_of, padded};
use super::nft::Family;
use super::statements::{among, ct, is_local, loopback, matches, meta, payload, verdict};
use super::{Network, Port, Protocol};
use crate::sys::network::ip::{self, Cidr};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The bridges of all networks, with their IDs and settings as comments.
pub const BRIDGES: &str = "bridges";
/// The bridges of networks that let others in that do, too.
const OPEN: &str = "open";
/// The bridges of internal networks.
const INTERNAL: &str = "internal";
/// The bridges of networks whose containers do not reach each other.
const SEALED: &str = "sealed";
/// Each bridge as input and output device.
const WITHIN: &str = "within";
/// The subnets of all networks, with their text and the networks' IDs as comments.
pub const SUBNETS: &str = "subnets";
/// The subnets whose packets leave the host with its address.
const MASQUERADE: &str = "masquerade";
/// The addresses and ports of containers by published ports of all addresses.
pub const ANY_IP: &str = "any_ip";
const ANY_PORT: &str = "any_port";
/// The same by published ports of one address.
pub const AT_IP: &str = "at_ip";
const AT_PORT: &str = "at_port";

/// A base chain.
#[expect(clippy::struct_field_names, reason = "the names are those of nftables")]
struct Hook {
    name: &'static str,
    kind: &'static str,
    hook: &'static str,
    priority: i32,
}

const fn hook(name: &'static str, kind: &'static str, hook: &'static str, priority: i32) -> Hook {
    Hook {
        name,
        kind,
        hook,
        priority,
    }
}

const HOOKS: &[Hook] = &[
    hook("raw", "filter", "prerouting", -300),
    hook("prerouting", "nat", "prerouting", -100),
    hook("output", "nat", "output", -100),
    hook("postrouting", "nat", "postrouting", 100),
    hook("forward", "filter", "forward", 0),
    hook("input", "filter", "input", 0),
];

/// A chain of rules, which a rule with this verdict continues with.
const INSIDE: &str = "inside";

/// The statements of a rule.
type Statements = Vec<Value>;

/// Returns the commands that make a table with its rules, or restore them, and keep the elements.
pub fn skeleton(table: &str, family: Family) -> Vec<Value> {
    let named = |name: &str| json!({ "family": family.as_str(), "table": table, "name": name });
    let with = |name: &str, more: Value| {
        let mut object = named(name);
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        object
    };
    let mut commands =
        vec![json!({ "add": { "table": { "family": family.as_str(), "name": table } } })];
    for (name, spec) in sets(family) {
        let kind = if spec.get("map").is_some() {
            "map"
        } else {
            "set"
        };
        commands.push(json!({ "add": { kind: with(name, spec) } }));
    }
    for hook in HOOKS {
        let spec = json!({
            "type": hook.kind, "hook": hook.hook, "prio": hook.priority, "policy": "accept",
        });
        commands.push(json!({ "add": { "chain": with(hook.name, spec) } }));
    }
    commands.push(json!({ "add": { "chain": named(INSIDE) } }));
    let names = HOOKS.iter().map(|hook| hook.name).chain([INSIDE]);
    commands.extend(names.map(|name| json!({ "flush": { "chain": named(name) } })));
    let version = version(family);
    commands.extend(rules(family).into_iter().map(|(chain, statements)| {
        json!({ "add": { "rule": {
            "family": family.as_str(), "table": table, "chain": chain, "expr": statements, "comment": version,
        } } })
    }));
    commands
}

/// Returns the commands that remove the tables of that name, if they exist.
pub fn removal(table: &str) -> Vec<Value> {
    let of = |verb: &str, family: Family| json!({ verb: { "table": { "family": family.as_str(), "name": table } } });
    Family::supported()
        .flat_map(|family| [of("add", family), of("delete", family)])
        .collect()
}

/// Returns whether a table has exactly these rules, by their comments.
pub fn is_whole(family: Family, found: &[Option<String>]) -> bool {
    let version = version(family);
    let wanted = rules(family);
    found.len() == wanted.len()
        && found
            .iter()
            .all(|comment| comment.as_deref() == Some(version.as_str()))
}

/// Returns the comment of all rules, by which those of another version are recognized.
fn version(family: Family) -> String {
    let text = json!([sets(family), rules(family)]).to_string();
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    format!("moondock rules {}", &digest[..12])
}

fn sets(family: Family) -> Vec<(&'static str, Value)> {
    let ip = match family {
        Family::Ip => "ipv4_addr",
        Family::Ip6 => "ipv6_addr",
    };
    let device = || json!({ "type": "ifname" });
    let interval = || json!({ "type": ip, "flags": ["interval"] });
    let any = |to: &str| json!({ "type": ["inet_proto", "inet_service"], "map": to });
    let at = |to: &str| json!({ "type": ["inet_proto", ip, "inet_service"], "map": to });
    vec![
        (BRIDGES, device()),
        (OPEN, device()),
        (INTERNAL, device()),
        (SEALED, device()),
        (WITHIN, json!({ "type": ["ifname", "ifname"] })),
        (SUBNETS, interval()),
        (MASQUERADE, interval()),
        (ANY_IP, any(ip)),
        (ANY_PORT, any("inet_service")),
        (AT_IP, at(ip)),
        (AT_PORT, at("inet_service")),
    ]
}

/// Returns the rules with the names of their chains.
fn rules(family: Family) -> Vec<(&'static str, Statements)> {
    let mut rules = Vec::new();
    let mut add = |chain: &'static str, list: Vec<Statements>| {
        rules.extend(list.into_iter().map(|statements| (chain, statements)));
    };
    if family == Family::Ip {
        add("raw", guard_loopback());
    }
    // A port on a loopback address is reachable from the host only.
    let to_loopback = vec![loopback(family, "daddr"), verdict("return")];
    add("prerouting", vec![to_loopback.clone()]);
    add("prerouting", published(family));
    if family == Family::Ip6 {
        // The kernel does not translate ::1.
        add("output", vec![to_loopback]);
    }
    add("output", published(family));
    add("postrouting", masquerades(family));
    add("forward", forward());
    add(INSIDE, inside());
    add("input", vec![internal_input()]);
    rules
}

/// Drops packets that `route_localnet` would let through: containers must not reach services on
/// 127.0.0.1.
fn guard_loopback() -> Vec<Statements> {
    let from = |field| {
        vec![
            among("iifname", BRIDGES),
            loopback(Family::Ip, field),
            verdict("drop"),
        ]
    };
    vec![from("daddr"), from("saddr")]
}

/// Translates the destination of connections to published ports.
fn published(family: Family) -> Vec<Statements> {
    let protocol = || meta("l4proto");
    let port = || payload("th", "dport");
    let daddr = || payload(family.as_str(), "daddr");
    let at = || json!({ "concat": [protocol(), daddr(), port()] });
    let any = || json!({ "concat": [protocol(), port()] });
    let mapped =
        |key: Value, map: &str| json!({ "map": { "key": key, "data": format!("@{map}") } });
    let dnat = |addr: Value, port: Value| json!({ "dnat": { "addr": addr, "port": port } });
    let protocols = Protocol::ALL.map(Protocol::as_str);
    let has_port = || matches("==", protocol(), json!({ "set": protocols }));
    vec![
        vec![has_port(), dnat(mapped(at(), AT_IP), mapped(at(), AT_PORT))],
        vec![
            has_port(),
            is_local("daddr"),
            dnat(mapped(any(), ANY_IP), mapped(any(), ANY_PORT)),
        ],
    ]
}

/// Masquerades containers outside, and clients of a published port whose replies would take another
/// way: the host itself, and containers.
fn masquerades(family: Family) -> Vec<Statements> {
    let masquerade = || json!({ "masquerade": null });
    let from = |set: &str| {
        matches(
            "==",
            payload(family.as_str(), "saddr"),
            format!("@{set}").into(),
        )
    };
    let inside = |from: Value| {
        let translated = ct("status", &["dnat"]);
        vec![among("oifname", BRIDGES), translated, from, masquerade()]
    };
    vec![
        inside(is_local("saddr")),
        inside(from(SUBNETS)),
        vec![
            among("iifname", BRIDGES),
            among("oifname", BRIDGES),
            within("!="),
            from(MASQUERADE),
            masquerade(),
        ],
        vec![
            not_among("oifname", BRIDGES),
            from(MASQUERADE),
            masquerade(),
        ],
    ]
}

fn forward() -> Vec<Statements> {
    let inside = || json!({ "goto": { "target": INSIDE } });
    vec![
        vec![
            not_among("iifname", BRIDGES),
            not_among("oifname", BRIDGES),
            verdict("return"),
        ],
        vec![among("iifname", INTERNAL), inside()],
        vec![among("oifname", INTERNAL), inside()],
        vec![ct("state", &["established", "related"]), verdict("accept")],
        vec![ct("status", &["dnat"]), verdict("accept")],
        vec![within("=="), among("oifname", SEALED), verdict("drop")],
        vec![within("=="), verdict("accept")],
        vec![
            among("iifname", OPEN),
            among("oifname", OPEN),
            verdict("accept"),
        ],
        vec![among("oifname", BRIDGES), verdict("drop")],
        vec![verdict("accept")],
    ]
}

/// Packets of internal networks.
fn inside() -> Vec<Statements> {
    vec![vec![within("=="), verdict("accept")], vec![verdict("drop")]]
}

/// Matches packets that come from a network and go to the same one.
fn within(op: &str) -> Value {
    let devices = json!({ "concat": [meta("iifname"), meta("oifname")] });
    matches(op, devices, format!("@{WITHIN}").into())
}

/// Lets an internal network reach only the bridge's own addresses on the host.
fn internal_input() -> Statements {
    vec![
        among("iifname", INTERNAL),
        is_local("daddr"),
        matches(
            "!=",
            json!({ "fib": { "result": "type", "flags": ["daddr", "iif"] } }),
            "local".into(),
        ),
        verdict("drop"),
    ]
}

fn not_among(key: &str, set: &str) -> Value {
    matches("!=", meta(key), format!("@{set}").into())
}

/// Returns the elements of networks, but for their ports.
pub fn elements(family: Family, networks: &[(&str, &Network)]) -> BTreeSet<Element> {
    let elements = networks.iter();
    elements
        .flat_map(|(id, network)| elements_of(family, id, network))
        .collect()
}

/// Returns the elements of a family's published ports, which have the IDs of their networks.
pub fn port_elements<'a>(
    family: Family,
    ports: impl IntoIterator<Item = (&'a str, Port)>,
) -> BTreeSet<Element> {
    let its = ports
        .into_iter()
        .filter(|(_, port)| Family::of(port.ip) == family);
    its.flat_map(|(id, port)| elements_of_port(id, &port))
        .collect()
}

fn elements_of(family: Family, id: &str, network: &Network) -> BTreeSet<Element> {
    let bridge = || device_key(network.bridge.as_str());
    let element = |set| Element::new(set, bridge());
    let mut elements =
        BTreeSet::from([element(BRIDGES).comment(format!("{id} {}", network.settings()))]);
    if network.internal {
        elements.insert(element(INTERNAL));
    } else if !network.isolate {
        elements.insert(element(OPEN));
    }
    if !network.icc && !network.internal {
        elements.insert(element(SEALED));
    }
    elements.insert(Element::new(WITHIN, [bridge(), bridge()].concat()));
    for subnet in network.subnets_of(family) {
        let comment = format!("{subnet} {id}");
        elements.extend(interval(SUBNETS, &subnet, &comment));
        if network.masquerade && !network.internal {
            elements.extend(interval(MASQUERADE, &subnet, &comment));
        }
    }
    elements
}

/// Returns the first address of a subnet, and the first one after it.
fn interval(set: &'static str, subnet: &Cidr, comment: &str) -> Vec<Element> {
    let first = Element::new(set, ip_bytes(subnet.network()));
    let mut elements = vec![first.comment(comment.to_owned())];
    // A subnet at the end of all addresses has none after it.
    if let Ok(after) = ip::add(subnet.last(), 1) {
        let mut end = Element::new(set, ip_bytes(after));
        end.end = true;
        elements.push(end);
    }
    elements
}

fn elements_of_port(id: &str, port: &Port) -> [Element; 2] {
    let protocol = padded(&[port.protocol.number()]);
    let host_port = padded(&port.host_port.to_be_bytes());
    let (sets, key) = match port.host_ip.filter(|ip| !ip.is_unspecified()) {
        Some(ip) => (
            [AT_IP, AT_PORT],
            [protocol, ip_bytes(ip), host_port].concat(),
        ),
        None => ([ANY_IP, ANY_PORT], [protocol, host_port].concat()),
    };
    let to = |set, value| Element::new(set, key.clone()).value(value);
    [
        to(sets[0], ip_bytes(port.ip)).comment(format!("{id} {}", port.port)),
        to(sets[1], port.port.to_be_bytes().to_vec()),
    ]
}

/// Returns the ID and the published port of an element of [`ANY_IP`] or [`AT_IP`].
pub fn port_of(element: &Element) -> Option<(String, Port)> {
    let (id, port) = element.comment.as_ref()?.split_once(' ')?;
    let (protocol, rest) = element.key.split_at_checked(4)?;
    let (ip, host_port) = rest.split_at_checked(rest.len().checked_sub(4)?)?;
    let Some(to) = &element.value else {
        return None;
    };
    let port = Port {
        protocol: Protocol::from_number(*protocol.first()?)?,
        host_ip: ip_of(ip),
        host_port: u16::from_be_bytes(*host_port.first_chunk()?),
        ip: ip_of(to)?,
        port: port.parse().ok()?,
    };
    Some((id.to_owned(), port))
}

/// Returns the subnet and the ID of an element of [`SUBNETS`].
pub fn subnet_of(element: &Element) -> Option<(Cidr, String)> {
    let (subnet, id) = element.comment.as_ref()?.split_once(' ')?;
    Some((subnet.parse().ok()?, id.to_owned()))
}

/// Returns the ID of an element of [`BRIDGES`], and the network without subnets and ports.
pub fn network_of(element: &Element) -> Option<(String, Network)> {
    let (id, settings) = element.comment.as_ref()?.split_once(' ')?;
    let name = std::str::from_utf8(&element.key).ok()?;
    let bridge = name.trim_end_matches('\0').parse().ok()?;
    Some((id.to_owned(), Network::of_settings(bridge, settings)))
}
