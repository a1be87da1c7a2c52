//! `@moondock/net`: the host's network devices, addresses, routes and neighbours, and arithmetic with addresses.

mod addresses;
mod links;
mod tables;

use super::record::RecordError;
use super::{Function, Module, Needs};
use crate::sys::network::ip::AddressError;
use crate::sys::network::netlink::NetError;
use crate::sys::network::sysctl::SysctlError;

/// The module's table.
pub const MODULE: Module = Module {
    name: "net",
    summary: "The kernel's network in the namespace that Moondock runs in, which is the daemon's: links, bridges, veth \
              pairs, addresses, routes, neighbours and sysctls, by rtnetlink. And arithmetic with addresses and networks, \
              IPv4 and IPv6 alike. There is no function that moves a link into a container: the engine does that itself.",
    types: TYPES,
    functions: FUNCTIONS,
};

const TYPES: &str = "\
export type Link = {
    index: number,
    name: string,
    kind: string?,
    mac: string?,
    mtu: number,
    up: boolean,
    master: string?,
    peer_index: number?,
}
export type Route = { destination: string, gateway: string?, device: string? }
export type Neighbour = { address: string, mac: string?, state: string }
export type Network = {
    address: string,
    prefix: number,
    network: string,
    broadcast: string?,
    family: number,
    size: number,
}";

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "links",
        signature: "() -> {Link}",
        doc: "\
All links (network devices), by their number. `kind` is `bridge`, `veth`, `vlan`, …, and absent for physical devices and the loopback; \
`mtu` is in bytes; `master` is the bridge that the link is a port of; `peer_index`, for a veth, the number of its other end, in whatever \
network namespace that is.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::links),
    },
    Function {
        name: "link",
        signature: "(name: string) -> Link?",
        doc: "The link of that name, or `nil`. Raises when no link can have that name: 1 to 15 bytes, no slash, colon, percent sign or white space.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::link),
    },
    Function {
        name: "create_bridge",
        signature: "(name: string, options: { mac: string?, mtu: number? }?) -> ()",
        doc: "\
Makes a bridge, without ports and down: see `set_up`. Without `mac` the kernel chooses an address, and changes it with the ports. \
Raises when there is a link of that name.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::create_bridge),
    },
    Function {
        name: "create_veth",
        signature: "(name: string, peer: string, options: { mac: string?, peer_mac: string?, mtu: number? }?) -> ()",
        doc: "\
Makes a veth pair, two links of which one gives what the other gets. Both are down. `mtu` is for both. Raises when there is a link of either name.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::create_veth),
    },
    Function {
        name: "delete_link",
        signature: "(name: string) -> boolean",
        doc: "Deletes a link; of a veth pair, both ends. `false` when there is none of that name. Raises for a link that cannot be deleted (a physical one).",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::delete_link),
    },
    Function {
        name: "set_up",
        signature: "(name: string) -> ()",
        doc: "Brings a link up. Like all `set_…` functions it raises when there is no such link, and is content with what is so already.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::set_up),
    },
    Function {
        name: "set_down",
        signature: "(name: string) -> ()",
        doc: "Takes a link down; its routes go away with that, and its IPv6 addresses.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::set_down),
    },
    Function {
        name: "set_master",
        signature: "(name: string, bridge: string?) -> ()",
        doc: "Makes a link a port of a bridge; with `nil`, of none.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::set_master),
    },
    Function {
        name: "set_mac",
        signature: "(name: string, mac: string) -> ()",
        doc: "Sets a link's hardware address, such as `02:42:0a:00:00:01`.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::set_mac),
    },
    Function {
        name: "set_mtu",
        signature: "(name: string, mtu: number) -> ()",
        doc: "Sets the size of a link's largest packet, in bytes.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::set_mtu),
    },
    Function {
        name: "rename",
        signature: "(name: string, new: string) -> ()",
        doc: "Gives a link another name. Older kernels want it down for that. Raises when the new name is taken.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::rename),
    },
    Function {
        name: "set_hairpin",
        signature: "(name: string, on: boolean) -> ()",
        doc: "\
Whether a port of a bridge may send a frame back to where it came from. A container that calls itself by a port that it publishes \
may need that. Raises when the link is no port of a bridge.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, links::set_hairpin),
    },
    Function {
        name: "addresses",
        signature: "(name: string) -> {string}",
        doc: "A link's addresses with their prefixes (`10.0.0.1/24`), IPv6 link-local ones too. Raises when there is no such link.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::addresses),
    },
    Function {
        name: "add_address",
        signature: "(name: string, cidr: string) -> ()",
        doc: "\
Gives a link an address with its prefix (`10.0.0.1/24`). One that it has already is fine. IPv6 addresses are usable at once: \
duplicate address detection, which a bridge without ports never ends, is skipped.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::add_address),
    },
    Function {
        name: "delete_address",
        signature: "(name: string, cidr: string) -> boolean",
        doc: "Takes an address from a link. `false` when it does not have it with that prefix. Raises when there is no such link.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::delete_address),
    },
    Function {
        name: "routes",
        signature: "(table: number?) -> {Route}",
        doc: "\
The routes of a routing table, by default the main one (254), IPv4 before IPv6. A default route's `destination` is `0.0.0.0/0` or `::/0`; \
of a route with several next hops the first is given.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::routes),
    },
    Function {
        name: "add_route",
        signature: "(route: Route) -> ()",
        doc: "Adds a route to the main table, by a `gateway`, a `device`, or both. Raises when there is one to that destination already.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::add_route),
    },
    Function {
        name: "delete_route",
        signature: "(route: Route) -> boolean",
        doc: "Deletes a route from the main table. `false` when there is none like that. Raises when the `device` is absent.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::delete_route),
    },
    Function {
        name: "neighbours",
        signature: "(name: string) -> {Neighbour}",
        doc: "\
A link's neighbours: which hardware address an IP address has. `state` is `permanent`, `reachable`, `stale`, `delay`, `probe`, `incomplete` or \
`failed`; `mac` is absent in the last two.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::neighbours),
    },
    Function {
        name: "add_neighbour",
        signature: "(name: string, address: string, mac: string) -> ()",
        doc: "Adds a permanent neighbour to a link, or replaces the one that has that IP address.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::add_neighbour),
    },
    Function {
        name: "delete_neighbour",
        signature: "(name: string, address: string) -> boolean",
        doc: "Makes a link forget a neighbour. `false` when it has none of that IP address.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::delete_neighbour),
    },
    Function {
        name: "sysctl_get",
        signature: "(key: string) -> string",
        doc: "\
The value of a kernel parameter of the network, such as `net.ipv4.ip_forward`. Where a part of the key has dots itself, separate by slashes: \
`net/ipv4/conf/eth0.100/forwarding`. Raises for keys outside of `net` and for those that the kernel does not have.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::sysctl_get),
    },
    Function {
        name: "sysctl_set",
        signature: "(key: string, value: string | number) -> ()",
        doc: "Sets a kernel parameter of the network, with keys as in `sysctl_get`.",
        needs: Needs::Net,
        make: |lua, binding| binding.waiting(lua, tables::sysctl_set),
    },
    Function {
        name: "parse_cidr",
        signature: "(cidr: string) -> Network",
        doc: "\
The parts of an address with its prefix: of `10.0.0.5/24` the `address` (`10.0.0.5`), the `prefix` (24), the `network` (`10.0.0.0`, its first address), \
the `broadcast` address (IPv4 networks of four addresses and more), the `family` (4 or 6), and the `size` in addresses, first and last included \
(not exact above 2^53). Raises on anything else, a bare address and leading zeros included. Pure, like all functions below: they may be used while a script loads.",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::parse_cidr),
    },
    Function {
        name: "canonical",
        signature: "(cidr: string) -> string",
        doc: "The one way to write a network, host bits cleared: `10.0.0.5/24` becomes `10.0.0.0/24`, `FD00:0::/64` `fd00::/64`. A bare address stays one.",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::canonical),
    },
    Function {
        name: "contains",
        signature: "(cidr: string, other: string) -> boolean",
        doc: "Whether all of `other`, an address or a network, lies in the network. Always `false` across address families.",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::contains),
    },
    Function {
        name: "overlaps",
        signature: "(a: string, b: string) -> boolean",
        doc: "Whether two networks share an address.",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::overlaps),
    },
    Function {
        name: "ip_add",
        signature: "(ip: string, n: number) -> string",
        doc: "The address `n` further on, or back when `n` is negative. Raises when that leaves the address family, and unless `n` is whole.",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::ip_add),
    },
    Function {
        name: "ip_compare",
        signature: "(a: string, b: string) -> number",
        doc: "-1, 0 or 1: whether `a` comes before `b`, is the same, or comes after. All of IPv4 comes before all of IPv6.",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::ip_compare),
    },
    Function {
        name: "ip_distance",
        signature: "(a: string, b: string) -> number",
        doc: "\
What to add to `a` to get to `b`: negative when `b` comes first. Raises across address families, and when they are more than 2^53 apart, \
where numbers are no longer exact.",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::ip_distance),
    },
    Function {
        name: "subnets",
        signature: "(cidr: string, prefix: number, index: number) -> string?",
        doc: "\
The `index`-th subnet of a network, from 0, that has this prefix: `subnets(\"10.0.0.0/8\", 24, 257)` is `10.1.1.0/24`. `nil` when there are fewer. \
Raises when the prefix is not between the network's own and 32 (IPv6: 128).",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::subnets),
    },
    Function {
        name: "mac_from_ip",
        signature: "(ip: string) -> string",
        doc: "\
The hardware address that goes with an IP address: `02:42:` and the last four bytes. With random ones, a container that comes back with its old \
address stays unreachable until its neighbours' caches expire, half a minute or more.",
        needs: Needs::Nothing,
        make: |lua, binding| binding.pure(lua, addresses::mac_from_ip),
    },
];
