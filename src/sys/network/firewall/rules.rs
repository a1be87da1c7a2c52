//! The rules of a network, as commands for `nft`.

use super::nft::{Entry, Family, Seen};
use super::statements::{ct, iif, is_local, matches, meta, oif, verdict};
use super::{Network, Port};
use crate::sys::network::ip::Cidr;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A base chain.
#[expect(clippy::struct_field_names, reason = "the names are those of nftables")]
struct Hook {
    name: &'static str,
    kind: &'static str,
    hook: &'static str,
    priority: i32,
}

const HOOKS: &[Hook] = &[
    Hook {
        name: "raw",
        kind: "filter",
        hook: "prerouting",
        priority: -300,
    },
    Hook {
        name: "prerouting",
        kind: "nat",
        hook: "prerouting",
        priority: -100,
    },
    Hook {
        name: "output",
        kind: "nat",
        hook: "output",
        priority: -100,
    },
    Hook {
        name: "postrouting",
        kind: "nat",
        hook: "postrouting",
        priority: 100,
    },
    Hook {
        name: "forward",
        kind: "filter",
        hook: "forward",
        priority: 0,
    },
    Hook {
        name: "input",
        kind: "filter",
        hook: "input",
        priority: 0,
    },
];

/// The bridges of all networks of a plugin.
const BRIDGES: &str = "bridges";
/// The bridges of networks that are not isolated from each other.
const OPEN: &str = "open";

/// The statements of a rule.
type Statements = Vec<Value>;

/// Returns the commands that set a network's rules in a family's table.
pub fn application(
    seen: &Seen,
    table: &str,
    family: Family,
    id: &str,
    network: &Network,
) -> Vec<Value> {
    let place = Place { table, family };
    let entry = Entry {
        id: id.to_owned(),
        bridge: network.bridge.to_string(),
        kind: kind(network).to_owned(),
    };
    let mut commands = place.skeleton();
    commands.extend(place.jumps_away(seen, id));
    for hook in HOOKS {
        let chain = format!("{}_{id}", hook.name);
        let rules = place.rules(hook.name, network);
        if !rules.is_empty() {
            commands.extend(place.chain(&chain, rules));
            // Accepting ends the base chain, so networks that drop everything come first.
            let verb = if network.internal { "insert" } else { "add" };
            commands.push(place.rule(
                verb,
                hook.name,
                vec![json!({ "jump": { "target": chain } })],
                &entry.comment(),
            ));
        } else if seen.has_chain(family, table, &chain) {
            commands.push(place.chain_command("delete", &chain));
        }
    }
    let others = seen
        .entries(table)
        .into_iter()
        .filter(|other| other.id != id);
    commands.extend(place.sets(others.chain([entry]).collect()));
    commands
}

/// Returns the commands that remove a network from a family's table, or the table with its last
/// network.
pub fn removal(seen: &Seen, table: &str, family: Family, id: &str) -> Vec<Value> {
    let place = Place { table, family };
    if !seen.has_chain(family, table, "forward") {
        return Vec::new();
    }
    let others: Vec<Entry> = seen
        .entries(table)
        .into_iter()
        .filter(|other| other.id != id)
        .collect();
    if others.is_empty() {
        return vec![
            json!({ "delete": { "table": { "family": family.as_str(), "name": table } } }),
        ];
    }
    let mut commands = place.jumps_away(seen, id);
    for hook in HOOKS {
        let chain = format!("{}_{id}", hook.name);
        if seen.has_chain(family, table, &chain) {
            commands.push(place.chain_command("delete", &chain));
        }
    }
    commands.extend(place.sets(others));
    commands
}

fn kind(network: &Network) -> &'static str {
    match (network.internal, network.isolate) {
        (true, _) => "internal",
        (false, true) => "isolated",
        (false, false) => "open",
    }
}

/// A table of one family.
struct Place<'a> {
    table: &'a str,
    family: Family,
}

impl Place<'_> {
    fn skeleton(&self) -> Vec<Value> {
        let (family, table) = (self.family.as_str(), self.table);
        let mut commands = vec![json!({ "add": { "table": { "family": family, "name": table } } })];
        for set in [BRIDGES, OPEN] {
            commands.push(json!({ "add": { "set": { "family": family, "table": table, "name": set, "type": "ifname" } } }));
        }
        for hook in HOOKS {
            commands.push(json!({ "add": { "chain": {
                "family": family, "table": table, "name": hook.name,
                "type": hook.kind, "hook": hook.hook, "prio": hook.priority, "policy": "accept",
            } } }));
        }
        commands
    }

    fn chain_command(&self, verb: &str, chain: &str) -> Value {
        json!({ verb: { "chain": { "family": self.family.as_str(), "table": self.table, "name": chain } } })
    }

    fn chain(&self, chain: &str, rules: Vec<Statements>) -> Vec<Value> {
        let mut commands = vec![
            self.chain_command("add", chain),
            self.chain_command("flush", chain),
        ];
        commands.extend(
            rules
                .into_iter()
                .map(|statements| self.rule("add", chain, statements, "")),
        );
        commands
    }

    fn rule(&self, verb: &str, chain: &str, statements: Statements, comment: &str) -> Value {
        let mut rule = json!({ "family": self.family.as_str(), "table": self.table, "chain": chain, "expr": statements });
        if !comment.is_empty() {
            rule["comment"] = comment.into();
        }
        json!({ verb: { "rule": rule } })
    }

    /// Returns the commands that delete the jumps to a network's chains.
    fn jumps_away(&self, seen: &Seen, id: &str) -> Vec<Value> {
        let is_its = |comment: &str| Entry::parse(comment).is_some_and(|entry| entry.id == id);
        let jumps = seen.rules_of(self.family, self.table);
        let jumps = jumps.filter(|rule| rule.comment.as_deref().is_some_and(is_its));
        let delete = |chain: &str, handle: u64| {
            json!({ "delete": { "rule": {
                "family": self.family.as_str(), "table": self.table, "chain": chain, "handle": handle,
            } } })
        };
        jumps.map(|rule| delete(&rule.chain, rule.handle)).collect()
    }

    fn sets(&self, entries: Vec<Entry>) -> Vec<Value> {
        let all = entries.iter().map(|entry| entry.bridge.as_str()).collect();
        let open = entries
            .iter()
            .filter(|entry| entry.kind == "open")
            .map(|entry| entry.bridge.as_str())
            .collect();
        [(BRIDGES, all), (OPEN, open)]
            .into_iter()
            .flat_map(|(set, bridges)| self.set(set, bridges))
            .collect()
    }

    fn set(&self, set: &str, bridges: BTreeSet<&str>) -> Vec<Value> {
        let (family, table) = (self.family.as_str(), self.table);
        let mut commands =
            vec![json!({ "flush": { "set": { "family": family, "table": table, "name": set } } })];
        if !bridges.is_empty() {
            commands.push(json!({ "add": { "element": { "family": family, "table": table, "name": set, "elem": bridges } } }));
        }
        commands
    }

    /// Returns a network's rules for a hook.
    fn rules(&self, hook: &str, network: &Network) -> Vec<Statements> {
        match hook {
            "raw" => self.guard_loopback(network),
            "prerouting" => self.published(network, false),
            "output" => self.published(network, true),
            "postrouting" => self.masquerades(network),
            "forward" if network.internal => Self::internal_forward(network),
            "forward" => Self::forward(network),
            "input" if network.internal => self.internal_input(network),
            _ => Vec::new(),
        }
    }

    /// Drops packets that `route_localnet` would let through: containers must not reach services on
    /// 127.0.0.1.
    fn guard_loopback(&self, network: &Network) -> Vec<Statements> {
        if self.family != Family::Ip {
            return Vec::new();
        }
        let loopback = Cidr {
            address: IpAddr::from([127, 0, 0, 0]),
            prefix: 8,
        };
        let from = |field| {
            vec![
                iif("==", network),
                self.address("==", field, [loopback]),
                verdict("drop"),
            ]
        };
        vec![from("daddr"), from("saddr")]
    }

    /// Publishes ports. A port on a loopback address is reachable from the host only.
    fn published(&self, network: &Network, to_itself: bool) -> Vec<Statements> {
        let ports = network.ports.iter().filter(|port| self.has(port.ip));
        let ports =
            ports.filter(|port| to_itself || !port.host_ip.is_some_and(|ip| ip.is_loopback()));
        ports.map(|port| self.translate(port)).collect()
    }

    fn translate(&self, port: &Port) -> Statements {
        let host = match port.host_ip.filter(|ip| !ip.is_unspecified()) {
            Some(ip) => self.address("==", "daddr", [Cidr::from(ip)]),
            None => is_local("daddr"),
        };
        let dport = json!({ "payload": { "protocol": port.protocol.as_str(), "field": "dport" } });
        let to = json!({ "dnat": { "addr": port.ip.to_string(), "port": port.port } });
        vec![host, matches("==", dport, port.host_port.into()), to]
    }

    /// Masquerades containers outside, if enabled, and clients of a published port whose replies
    /// would take another way: the host itself, and containers of the same network.
    fn masquerades(&self, network: &Network) -> Vec<Statements> {
        let masquerade = || json!({ "masquerade": null });
        let mut rules = Vec::new();
        let published = network.ports.iter().any(|port| self.has(port.ip));
        if published {
            rules.push(vec![
                oif("==", network),
                is_local("saddr"),
                ct("status", &["dnat"]),
                masquerade(),
            ]);
        }
        for subnet in self.subnets(network) {
            let from = self.address("==", "saddr", [subnet]);
            let to = self.address("==", "daddr", [subnet]);
            if published {
                rules.push(vec![
                    oif("==", network),
                    from.clone(),
                    to,
                    ct("status", &["dnat"]),
                    masquerade(),
                ]);
            }
            if network.masquerade && !network.internal {
                rules.push(vec![oif("!=", network), from, masquerade()]);
            }
        }
        rules
    }

    fn forward(network: &Network) -> Vec<Statements> {
        let mut rules = vec![
            vec![iif("!=", network), oif("!=", network), verdict("return")],
            vec![ct("state", &["established", "related"]), verdict("accept")],
            vec![ct("status", &["dnat"]), verdict("accept")],
        ];
        if network.icc {
            rules.push(vec![
                iif("==", network),
                oif("==", network),
                verdict("accept"),
            ]);
        }
        let among = |key: &str, set: &str| matches("==", meta(key), format!("@{set}").into());
        if !network.isolate {
            rules.push(vec![
                oif("==", network),
                among("iifname", OPEN),
                verdict("accept"),
            ]);
        }
        rules.push(vec![oif("==", network), verdict("drop")]);
        // The chain of the other network decides whether it lets packets in.
        let other = if network.isolate { "drop" } else { "return" };
        rules.push(vec![among("oifname", BRIDGES), verdict(other)]);
        rules.push(vec![verdict("accept")]);
        rules
    }

    fn internal_forward(network: &Network) -> Vec<Statements> {
        vec![
            vec![iif("!=", network), oif("!=", network), verdict("return")],
            vec![iif("==", network), oif("==", network), verdict("accept")],
            vec![verdict("drop")],
        ]
    }

    /// Lets an internal network reach only the bridge's own addresses on the host.
    fn internal_input(&self, network: &Network) -> Vec<Statements> {
        let mut near: Vec<Cidr> = self.subnets(network).collect();
        if self.family == Family::Ip6 {
            near.push(Cidr {
                address: IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0]),
                prefix: 10,
            });
        }
        let mut rule = vec![iif("==", network), is_local("daddr")];
        if !near.is_empty() {
            rule.push(self.address("!=", "daddr", near));
        }
        rule.push(verdict("drop"));
        vec![rule]
    }

    fn has(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == (self.family == Family::Ip)
    }

    fn subnets(&self, network: &Network) -> impl Iterator<Item = Cidr> {
        network
            .subnets
            .iter()
            .filter(|subnet| self.has(subnet.address))
            .map(Cidr::canonical)
    }

    /// Matches an address field with networks.
    fn address(&self, op: &str, field: &str, networks: impl IntoIterator<Item = Cidr>) -> Value {
        let prefix = |net: Cidr| {
            let address = net.address.to_string();
            if net.prefix == net.bits() {
                json!(address)
            } else {
                json!({ "prefix": { "addr": address, "len": net.prefix } })
            }
        };
        let mut networks: Vec<Value> = networks.into_iter().map(prefix).collect();
        let right = if networks.len() == 1 {
            networks.remove(0)
        } else {
            json!({ "set": networks })
        };
        matches(
            op,
            json!({ "payload": { "protocol": self.family.as_str(), "field": field } }),
            right,
        )
    }
}
