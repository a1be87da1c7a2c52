//! The kernel's tables: addresses, routes, neighbours, parameters.

use super::NetFailure;
use crate::host::Host;
use crate::host::record::{Record, typed};
use crate::sys::network::ip::{self, Cidr};
use crate::sys::network::netlink::{LinkName, Neighbour, Netlink, Route};
use crate::sys::network::resolver;
use crate::sys::network::sysctl;
use mlua::{Lua, Table, Value};
use std::net::IpAddr;
use std::rc::Rc;

pub async fn addresses(_: Lua, _: Rc<Host>, name: String) -> Result<Vec<String>, NetFailure> {
    let addresses = Netlink::open()?.addresses(&name.parse()?).await?;
    Ok(addresses.iter().map(Cidr::to_string).collect())
}

pub async fn add_address(
    _: Lua,
    _: Rc<Host>,
    (name, cidr): (String, String),
) -> Result<(), NetFailure> {
    Ok(Netlink::open()?
        .add_address(&name.parse()?, cidr.parse()?)
        .await?)
}

pub async fn delete_address(
    _: Lua,
    _: Rc<Host>,
    (name, cidr): (String, String),
) -> Result<bool, NetFailure> {
    Ok(Netlink::open()?
        .delete_address(&name.parse()?, cidr.parse()?)
        .await?)
}

pub async fn routes(lua: Lua, _: Rc<Host>, table: Value) -> Result<Vec<Table>, NetFailure> {
    let table = if table.is_nil() {
        None
    } else {
        Some(typed("table", &table)?)
    };
    let routes = Netlink::open()?.routes(table).await?;
    Ok(routes
        .into_iter()
        .map(|route| route_table(&lua, route))
        .collect::<mlua::Result<_>>()?)
}

pub async fn routes_overlapping(
    lua: Lua,
    _: Rc<Host>,
    cidr: String,
) -> Result<Vec<Table>, NetFailure> {
    let wanted = ip::parse_either(&cidr)?;
    let routes = Netlink::open()?.routes(None).await?;
    let meets = |route: &Route| route.destination.prefix > 0 && route.destination.overlaps(&wanted);
    Ok(routes
        .into_iter()
        .filter(meets)
        .map(|route| route_table(&lua, route))
        .collect::<mlua::Result<_>>()?)
}

pub async fn add_route(_: Lua, _: Rc<Host>, route: Value) -> Result<(), NetFailure> {
    let (destination, gateway, device) = read_route(&route)?;
    Ok(Netlink::open()?
        .add_route(destination, gateway, device.as_ref())
        .await?)
}

pub async fn delete_route(_: Lua, _: Rc<Host>, route: Value) -> Result<bool, NetFailure> {
    let (destination, gateway, device) = read_route(&route)?;
    Ok(Netlink::open()?
        .delete_route(destination, gateway, device.as_ref())
        .await?)
}

pub async fn neighbours(lua: Lua, _: Rc<Host>, name: String) -> Result<Vec<Table>, NetFailure> {
    let found = Netlink::open()?.neighbours(&name.parse()?).await?;
    Ok(found
        .into_iter()
        .map(|neighbour| neighbour_table(&lua, neighbour))
        .collect::<mlua::Result<_>>()?)
}

pub async fn add_neighbour(
    _: Lua,
    _: Rc<Host>,
    (name, address, mac): (String, String, String),
) -> Result<(), NetFailure> {
    Ok(Netlink::open()?
        .add_neighbour(&name.parse()?, ip::parse_ip(&address)?, mac.parse()?)
        .await?)
}

pub async fn delete_neighbour(
    _: Lua,
    _: Rc<Host>,
    (name, address): (String, String),
) -> Result<bool, NetFailure> {
    Ok(Netlink::open()?
        .delete_neighbour(&name.parse()?, ip::parse_ip(&address)?)
        .await?)
}

pub async fn name_servers(_: Lua, _: Rc<Host>, (): ()) -> Result<Vec<String>, NetFailure> {
    let servers = resolver::name_servers().await?;
    Ok(servers.iter().map(ToString::to_string).collect())
}

pub async fn sysctl_get(_: Lua, _: Rc<Host>, key: String) -> Result<String, NetFailure> {
    Ok(sysctl::get(&key.parse()?).await?)
}

pub async fn sysctl_set(
    _: Lua,
    _: Rc<Host>,
    (key, value): (String, String),
) -> Result<(), NetFailure> {
    Ok(sysctl::set(&key.parse()?, &value).await?)
}

fn read_route(route: &Value) -> Result<(Cidr, Option<IpAddr>, Option<LinkName>), NetFailure> {
    let record = Record::of("the route", route, &["destination", "gateway", "device"])?;
    let destination = record.required::<String>("destination")?.parse()?;
    let gateway = record
        .optional::<String>("gateway")?
        .map(|ip| ip::parse_ip(&ip))
        .transpose()?;
    let device = record
        .optional::<String>("device")?
        .map(|name| name.parse())
        .transpose()?;
    Ok((destination, gateway, device))
}

fn route_table(lua: &Lua, route: Route) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("destination", route.destination.to_string())?;
    table.raw_set("gateway", route.gateway.map(|ip| ip.to_string()))?;
    table.raw_set("device", route.device)?;
    Ok(table)
}

fn neighbour_table(lua: &Lua, neighbour: Neighbour) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("address", neighbour.address.to_string())?;
    table.raw_set("mac", neighbour.mac.map(|mac| mac.to_string()))?;
    table.raw_set("state", neighbour.state)?;
    Ok(table)
}
