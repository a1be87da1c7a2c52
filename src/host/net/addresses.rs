//! Arithmetic with addresses.

use super::NetFailure;
use crate::host::Host;
use crate::host::record::typed;
use crate::sys::network::ip::{self, Cidr};
use mlua::{Lua, Table, Value};

pub fn parse_cidr(lua: &Lua, _: &Host, text: String) -> Result<Table, NetFailure> {
    let cidr: Cidr = text.parse()?;
    let table = lua.create_table()?;
    table.raw_set("address", cidr.address.to_string())?;
    table.raw_set("prefix", cidr.prefix)?;
    table.raw_set("network", cidr.network().to_string())?;
    table.raw_set("broadcast", cidr.broadcast().map(|ip| ip.to_string()))?;
    table.raw_set("family", if cidr.address.is_ipv4() { 4 } else { 6 })?;
    table.raw_set("size", cidr.size())?;
    Ok(table)
}

pub fn canonical(_: &Lua, _: &Host, text: String) -> Result<String, NetFailure> {
    if !text.contains('/') {
        return Ok(ip::parse_ip(&text)?.to_string());
    }
    Ok(text.parse::<Cidr>()?.canonical().to_string())
}

pub fn contains(_: &Lua, _: &Host, (cidr, other): (String, String)) -> Result<bool, NetFailure> {
    Ok(cidr
        .parse::<Cidr>()?
        .contains(&ip::parse_either(&other)?.canonical()))
}

pub fn overlaps(_: &Lua, _: &Host, (a, b): (String, String)) -> Result<bool, NetFailure> {
    Ok(ip::parse_either(&a)?.overlaps(&ip::parse_either(&b)?))
}

pub fn prefix_bits(_: &Lua, _: &Host, cidr: String) -> Result<String, NetFailure> {
    Ok(ip::parse_either(&cidr)?.prefix_bits())
}

pub fn ip_add(_: &Lua, _: &Host, (address, n): (String, Value)) -> Result<String, NetFailure> {
    Ok(ip::add(ip::parse_ip(&address)?, typed("n", &n)?)?.to_string())
}

pub fn ip_compare(_: &Lua, _: &Host, (a, b): (String, String)) -> Result<i8, NetFailure> {
    Ok(ip::parse_ip(&a)?.cmp(&ip::parse_ip(&b)?) as i8)
}

pub fn ip_distance(_: &Lua, _: &Host, (a, b): (String, String)) -> Result<f64, NetFailure> {
    Ok(ip::distance(ip::parse_ip(&a)?, ip::parse_ip(&b)?)?)
}

pub fn subnets(
    _: &Lua,
    _: &Host,
    (cidr, prefix, index): (String, Value, Value),
) -> Result<Option<String>, NetFailure> {
    let subnet = cidr
        .parse::<Cidr>()?
        .subnet(typed("prefix", &prefix)?, typed("index", &index)?)?;
    Ok(subnet.map(|subnet| subnet.to_string()))
}

pub fn mac_from_ip(_: &Lua, _: &Host, address: String) -> Result<String, NetFailure> {
    Ok(ip::mac(ip::parse_ip(&address)?).to_string())
}
