//! `@moondock/firewall`: masquerading, isolation and published ports.

use super::record::{Record, RecordError};
use super::{Host, Module, Needs, function};
use crate::sys::network::firewall::{self, FirewallError, Network, Port, Protocol};
use crate::sys::network::ip::{self, AddressError};
use crate::sys::network::netlink::NetError;
use mlua::{Lua, Table, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "firewall",
    functions: &[
        function("apply",     Needs::Net, |lua, bind| bind.waiting(lua, apply)),
        function("publish",   Needs::Net, |lua, bind| bind.waiting(lua, publish)),
        function("remove",    Needs::Net, |lua, bind| bind.waiting(lua, remove)),
        function("list",      Needs::Net, |lua, bind| bind.waiting(lua, list)),
        function("bridges",   Needs::Net, |lua, bind| bind.waiting(lua, bridges)),
        function("free_port", Needs::Net, |lua, bind| bind.waiting(lua, free_port)),
    ],
};

#[derive(Debug, thiserror::Error)]
enum FirewallFailure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("unknown protocol `{0}`: use `tcp`, `udp` or `sctp`")]
    Protocol(String),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Link(#[from] NetError),
    #[error(transparent)]
    Firewall(#[from] FirewallError),
}

async fn apply(
    _: Lua,
    host: Rc<Host>,
    (id, rules): (String, Value),
) -> Result<(), FirewallFailure> {
    let network = network(&rules)?;
    Ok(host.shared.firewall()?.apply(&id, &network).await?)
}

async fn publish(
    _: Lua,
    host: Rc<Host>,
    (id, added, withdrawn): (String, Vec<Table>, Option<Vec<Table>>),
) -> Result<bool, FirewallFailure> {
    let (added, withdrawn) = (ports(added)?, ports(withdrawn.unwrap_or_default())?);
    Ok(host
        .shared
        .firewall()?
        .publish(&id, &added, &withdrawn)
        .await?)
}

async fn remove(_: Lua, host: Rc<Host>, id: String) -> Result<bool, FirewallFailure> {
    Ok(host.shared.firewall()?.remove(&id).await?)
}

async fn list(_: Lua, host: Rc<Host>, (): ()) -> Result<Vec<String>, FirewallFailure> {
    Ok(host.shared.firewall()?.list().await?)
}

async fn bridges(
    _: Lua,
    host: Rc<Host>,
    (): (),
) -> Result<BTreeMap<String, String>, FirewallFailure> {
    Ok(host.shared.firewall()?.bridges().await?)
}

async fn free_port(
    _: Lua,
    _: Rc<Host>,
    (name, host_ip): (String, Option<String>),
) -> Result<u16, FirewallFailure> {
    let host_ip = host_ip.map(|ip| ip::parse_ip(&ip)).transpose()?;
    Ok(firewall::free_port(protocol(&name)?, host_ip).await?)
}

fn network(rules: &Value) -> Result<Network, FirewallFailure> {
    let fields = [
        "bridge",
        "subnets",
        "masquerade",
        "internal",
        "icc",
        "isolate",
        "ports",
    ];
    let record = Record::of("the rules", rules, &fields)?;
    let subnets: Vec<String> = record.required("subnets")?;
    let published: Vec<Table> = record.optional("ports")?.unwrap_or_default();
    Ok(Network {
        bridge: record.required::<String>("bridge")?.parse()?,
        subnets: subnets
            .iter()
            .map(|subnet| subnet.parse())
            .collect::<Result<_, _>>()?,
        masquerade: record.optional("masquerade")?.unwrap_or_default(),
        internal: record.optional("internal")?.unwrap_or_default(),
        icc: record.optional("icc")?.unwrap_or(true),
        isolate: record.optional("isolate")?.unwrap_or_default(),
        ports: ports(published)?,
    })
}

fn ports(tables: Vec<Table>) -> Result<Vec<Port>, FirewallFailure> {
    tables.into_iter().map(port).collect()
}

fn port(table: Table) -> Result<Port, FirewallFailure> {
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

fn protocol(name: &str) -> Result<Protocol, FirewallFailure> {
    let known = Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.as_str() == name);
    known.ok_or_else(|| FirewallFailure::Protocol(name.to_owned()))
}
