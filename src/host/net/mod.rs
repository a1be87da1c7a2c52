//! `@moondock/net`: the host's links, addresses, routes and neighbours, and arithmetic with
//! addresses.

mod addresses;
mod links;
mod tables;

use self::addresses::{
    canonical, contains, ip_add, ip_compare, ip_distance, mac_from_ip, overlaps, parse_cidr,
    prefix_bits, subnets,
};
use self::links::{
    create_bridge, create_veth, delete_link, link, links, rename, set_down, set_hairpin,
    set_isolated, set_mac, set_master, set_mtu, set_up,
};
use self::tables::{
    add_address, add_neighbour, add_route, addresses, delete_address, delete_neighbour,
    delete_route, name_servers, neighbours, routes, routes_overlapping, sysctl_get, sysctl_set,
};
use super::record::RecordError;
use super::{Module, Needs, function};
use crate::sys::network::ip::AddressError;
use crate::sys::network::netlink::NetError;
use crate::sys::network::sysctl::SysctlError;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "net",
    functions: &[
        function("links", Needs::Net, |lua, bind| bind.waiting(lua, links)),
        function("link", Needs::Net, |lua, bind| bind.waiting(lua, link)),
        function("create_bridge", Needs::Net, |lua, bind| bind.waiting(lua, create_bridge)),
        function("create_veth", Needs::Net, |lua, bind| bind.waiting(lua, create_veth)),
        function("delete_link", Needs::Net, |lua, bind| bind.waiting(lua, delete_link)),
        function("set_up", Needs::Net, |lua, bind| bind.waiting(lua, set_up)),
        function("set_down", Needs::Net, |lua, bind| bind.waiting(lua, set_down)),
        function("set_master", Needs::Net, |lua, bind| bind.waiting(lua, set_master)),
        function("set_mac", Needs::Net, |lua, bind| bind.waiting(lua, set_mac)),
        function("set_mtu", Needs::Net, |lua, bind| bind.waiting(lua, set_mtu)),
        function("rename", Needs::Net, |lua, bind| bind.waiting(lua, rename)),
        function("set_hairpin", Needs::Net, |lua, bind| bind.waiting(lua, set_hairpin)),
        function("set_isolated", Needs::Net, |lua, bind| bind.waiting(lua, set_isolated)),
        function("addresses", Needs::Net, |lua, bind| bind.waiting(lua, addresses)),
        function("add_address", Needs::Net, |lua, bind| bind.waiting(lua, add_address)),
        function("delete_address", Needs::Net, |lua, bind| bind.waiting(lua, delete_address)),
        function("routes", Needs::Net, |lua, bind| bind.waiting(lua, routes)),
        function("routes_overlapping", Needs::Net, |lua, bind| bind.waiting(lua, routes_overlapping)),
        function("add_route", Needs::Net, |lua, bind| bind.waiting(lua, add_route)),
        function("delete_route", Needs::Net, |lua, bind| bind.waiting(lua, delete_route)),
        function("neighbours", Needs::Net, |lua, bind| bind.waiting(lua, neighbours)),
        function("add_neighbour", Needs::Net, |lua, bind| bind.waiting(lua, add_neighbour)),
        function("delete_neighbour", Needs::Net, |lua, bind| bind.waiting(lua, delete_neighbour)),
        function("name_servers", Needs::Net, |lua, bind| bind.waiting(lua, name_servers)),
        function("sysctl_get", Needs::Net, |lua, bind| bind.waiting(lua, sysctl_get)),
        function("sysctl_set", Needs::Net, |lua, bind| bind.waiting(lua, sysctl_set)),
        function("parse_cidr", Needs::Nothing, |lua, bind| bind.pure(lua, parse_cidr)),
        function("canonical", Needs::Nothing, |lua, bind| bind.pure(lua, canonical)),
        function("contains", Needs::Nothing, |lua, bind| bind.pure(lua, contains)),
        function("overlaps", Needs::Nothing, |lua, bind| bind.pure(lua, overlaps)),
        function("prefix_bits", Needs::Nothing, |lua, bind| bind.pure(lua, prefix_bits)),
        function("ip_add", Needs::Nothing, |lua, bind| bind.pure(lua, ip_add)),
        function("ip_compare", Needs::Nothing, |lua, bind| bind.pure(lua, ip_compare)),
        function("ip_distance", Needs::Nothing, |lua, bind| bind.pure(lua, ip_distance)),
        function("subnets", Needs::Nothing, |lua, bind| bind.pure(lua, subnets)),
        function("mac_from_ip", Needs::Nothing, |lua, bind| bind.pure(lua, mac_from_ip)),
    ],
};

#[derive(Debug, thiserror::Error)]
enum NetFailure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    #[error("cannot read the name servers: {0}")]
    NameServers(#[from] std::io::Error),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}
