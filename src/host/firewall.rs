//! `@moondock/firewall`: what a container network needs of the firewall.

use super::record::{Record, RecordError, typed};
use super::{Function, Module, Needs};
use crate::host::Host;
use crate::sys::network::firewall::{self, Firewall, FirewallError, Network, Port, Protocol};
use crate::sys::network::ip::{self, AddressError};
use crate::sys::network::netlink::NetError;
use mlua::{Lua, Table, Value};
use std::rc::Rc;

/// The module's table.
pub const MODULE: Module = Module {
    name: "firewall",
    summary: "Masquerading, isolation and published ports, by nftables. Declarative: a script says what a network wants, under an \
              id of its choice, and the ruleset says exactly that. The kernel keeps it, in one table per plugin and address family \
              (`nft list table ip moondock_<plugin>`), so it holds when Moondock ends, even by `kill -9`; after a reboot it is \
              gone, and a driver applies again what it knows. Needs `nft` (package nftables) and CAP_NET_ADMIN.",
    types: "\
export type Port = {
    protocol: \"tcp\" | \"udp\" | \"sctp\",
    host_ip: string?,
    host_port: number,
    ip: string,
    port: number,
}
export type Rules = {
    bridge: string,
    subnets: {string},
    masquerade: boolean?,
    internal: boolean?,
    isolate: boolean?,
    ports: {Port}?,
}",
    functions: &[
        Function {
            name: "apply",
            signature: "(id: string, rules: Rules) -> ()",
            doc: "\
Replaces, in one nftables transaction, all that was applied under `id` (1 to 64 letters, digits, `_`, `-`, `.`; a NetworkID is fine). Applying the \
same again changes nothing, and restores what somebody flushed.

* `bridge`: the network's bridge, which must exist.
* `subnets`: its networks, IPv4 and IPv6.
* `masquerade`: containers appear outside with the host's address.
* `internal`: nothing leaves the bridge or comes in, except to and from the bridge's own addresses. Such a network publishes no ports.
* `isolate`: this network and the plugin's others do not reach each other, except by published ports. (Networks of other plugins, and \
Docker's own, never let in what is not published.)
* `ports`: connections to `host_port` of the host go to `port` of the container `ip`, which must lie in the subnets. They answer on `host_ip`, or on all \
of the host's addresses without one: from outside, from other containers, and from the host itself, 127.0.0.1 included, where the container sees \
the bridge as its client. `[::1]` does not answer, as the kernel does not translate it; with a loopback `host_ip` only the host itself is answered.

From outside, the network's containers are reached by published ports only, also when somebody routes packets to the bridge. \
When Docker or an administrator drops forwarded packets by iptables (nft flavour), the network's packets are let through there by rules with a \
comment, at the end of the chain `DOCKER-USER`, or of `FORWARD` where Docker is not. What an administrator refuses there earlier, stays refused.

Forwarding itself is not switched on: a driver does that by `net.sysctl_set(\"net.ipv4.ip_forward\", 1)` (`net.ipv6.conf.all.forwarding`).

Raises when the bridge is absent, when rules make no sense, when a port is published by another network of any plugin, and when a port that was not \
published before is in use by a process of the host or is to answer on an address that the host does not have. Then nothing is changed.

```lua
firewall.apply(network.id, {
    bridge = network.bridge,
    subnets = { \"10.77.0.0/24\" },
    masquerade = true,
    ports = { { protocol = \"tcp\", host_port = 8080, ip = \"10.77.0.2\", port = 80 } },
})
```",
            needs: Needs::Net,
            make: |lua, binding| binding.waiting(lua, apply),
        },
        Function {
            name: "remove",
            signature: "(id: string) -> boolean",
            doc: "Takes away all that was applied under `id`; with the last, the plugin's tables too. `false` when there was nothing. The bridge may be gone already.",
            needs: Needs::Net,
            make: |lua, binding| binding.waiting(lua, remove),
        },
        Function {
            name: "list",
            signature: "() -> {string}",
            doc: "The ids that something is applied under, sorted, as the kernel has them. A driver compares them with its networks after a restart.",
            needs: Needs::Net,
            make: |lua, binding| binding.waiting(lua, list),
        },
        Function {
            name: "free_port",
            signature: "(protocol: \"tcp\" | \"udp\" | \"sctp\", host_ip: string?) -> number",
            doc: "\
A port of the host that no process uses and no plugin publishes, on `host_ip` or, without one, on any address of either family. It is out of the kernel's range of \
ephemeral ports. Nothing reserves it, so apply rules with it soon, and ask again when that raises. Raises when the host does not have the address.",
            needs: Needs::Net,
            make: |lua, binding| binding.waiting(lua, free_port),
        },
    ],
};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`{0}` is no protocol: it must be `tcp`, `udp` or `sctp`")]
    Protocol(String),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Link(#[from] NetError),
    #[error(transparent)]
    Firewall(#[from] FirewallError),
}

async fn apply(_: Lua, host: Rc<Host>, (id, rules): (String, Value)) -> Result<(), Failure> {
    let network = network(&rules)?;
    Ok(own(&host)?.apply(&id, &network).await?)
}

async fn remove(_: Lua, host: Rc<Host>, id: String) -> Result<bool, Failure> {
    Ok(own(&host)?.remove(&id).await?)
}

async fn list(_: Lua, host: Rc<Host>, (): ()) -> Result<Vec<String>, Failure> {
    Ok(own(&host)?.list().await?)
}

async fn free_port(
    _: Lua,
    _: Rc<Host>,
    (name, host_ip): (String, Option<String>),
) -> Result<u16, Failure> {
    let host_ip = host_ip.map(|ip| ip::parse_ip(&ip)).transpose()?;
    Ok(firewall::free_port(protocol(&name)?, host_ip).await?)
}

fn own(host: &Host) -> Result<Firewall, FirewallError> {
    Firewall::new(&host.shared.name, &host.shared.state)
}

fn network(rules: &Value) -> Result<Network, Failure> {
    let fields = [
        "bridge",
        "subnets",
        "masquerade",
        "internal",
        "isolate",
        "ports",
    ];
    let record = Record::new(typed("the rules", rules)?, &fields)?;
    let subnets: Vec<String> = record.required("subnets")?;
    let ports: Vec<Table> = record.optional("ports")?.unwrap_or_default();
    Ok(Network {
        bridge: record.required::<String>("bridge")?.parse()?,
        subnets: subnets
            .iter()
            .map(|subnet| subnet.parse())
            .collect::<Result<_, _>>()?,
        masquerade: record.optional("masquerade")?.unwrap_or_default(),
        internal: record.optional("internal")?.unwrap_or_default(),
        isolate: record.optional("isolate")?.unwrap_or_default(),
        ports: ports.into_iter().map(port).collect::<Result<_, _>>()?,
    })
}

fn port(table: Table) -> Result<Port, Failure> {
    let record = Record::new(table, &["protocol", "host_ip", "host_port", "ip", "port"])?;
    let host_ip = record
        .optional::<String>("host_ip")?
        .filter(|ip| !ip.is_empty());
    Ok(Port {
        protocol: protocol(&record.required::<String>("protocol")?)?,
        host_ip: host_ip.map(|ip| ip::parse_ip(&ip)).transpose()?,
        host_port: record.required("host_port")?,
        ip: ip::parse_ip(&record.required::<String>("ip")?)?,
        port: record.required("port")?,
    })
}

fn protocol(name: &str) -> Result<Protocol, Failure> {
    let known = Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.as_str() == name);
    known.ok_or_else(|| Failure::Protocol(name.to_owned()))
}
