//! Links.

use super::NetFailure;
use crate::host::Host;
use crate::host::record::{Record, typed};
use crate::sys::network::ip::Mac;
use crate::sys::network::netlink::{Link, LinkName, Netlink, NewLink};
use mlua::{Lua, Table, Value};
use std::rc::Rc;

pub async fn links(lua: Lua, _: Rc<Host>, (): ()) -> Result<Vec<Table>, NetFailure> {
    let links = Netlink::open()?.links().await?;
    Ok(links
        .into_iter()
        .map(|link| table(&lua, link))
        .collect::<mlua::Result<_>>()?)
}

pub async fn link(lua: Lua, _: Rc<Host>, name: String) -> Result<Option<Table>, NetFailure> {
    let link = Netlink::open()?.link(&name.parse()?).await?;
    Ok(link.map(|link| table(&lua, link)).transpose()?)
}

pub async fn create_bridge(
    _: Lua,
    _: Rc<Host>,
    (name, options): (String, Option<Table>),
) -> Result<(), NetFailure> {
    let mut new = NewLink::default();
    if let Some(options) = options {
        let options = Record::new(options, &["mac", "mtu"])?;
        new = NewLink {
            mac: mac(&options, "mac")?,
            mtu: options.optional("mtu")?,
        };
    }
    Ok(Netlink::open()?.create_bridge(&name.parse()?, new).await?)
}

pub async fn create_veth(
    _: Lua,
    _: Rc<Host>,
    (name, peer, options): (String, String, Option<Table>),
) -> Result<(), NetFailure> {
    let (mut new, mut peer_new) = (NewLink::default(), NewLink::default());
    if let Some(options) = options {
        let options = Record::new(options, &["mac", "peer_mac", "mtu"])?;
        let mtu = options.optional("mtu")?;
        new = NewLink {
            mac: mac(&options, "mac")?,
            mtu,
        };
        peer_new = NewLink {
            mac: mac(&options, "peer_mac")?,
            mtu,
        };
    }
    let (name, peer): (LinkName, LinkName) = (name.parse()?, peer.parse()?);
    Ok(Netlink::open()?
        .create_veth((&name, new), (&peer, peer_new))
        .await?)
}

pub async fn delete_link(_: Lua, _: Rc<Host>, name: String) -> Result<bool, NetFailure> {
    Ok(Netlink::open()?.delete_link(&name.parse()?).await?)
}

pub async fn set_up(_: Lua, _: Rc<Host>, name: String) -> Result<(), NetFailure> {
    Ok(Netlink::open()?.set_up(&name.parse()?, true).await?)
}

pub async fn set_down(_: Lua, _: Rc<Host>, name: String) -> Result<(), NetFailure> {
    Ok(Netlink::open()?.set_up(&name.parse()?, false).await?)
}

pub async fn set_master(
    _: Lua,
    _: Rc<Host>,
    (name, bridge): (String, Option<String>),
) -> Result<(), NetFailure> {
    let bridge: Option<LinkName> = bridge.map(|bridge| bridge.parse()).transpose()?;
    Ok(Netlink::open()?
        .set_master(&name.parse()?, bridge.as_ref())
        .await?)
}

pub async fn set_mac(_: Lua, _: Rc<Host>, (name, mac): (String, String)) -> Result<(), NetFailure> {
    Ok(Netlink::open()?
        .set_mac(&name.parse()?, mac.parse()?)
        .await?)
}

pub async fn set_mtu(_: Lua, _: Rc<Host>, (name, mtu): (String, Value)) -> Result<(), NetFailure> {
    Ok(Netlink::open()?
        .set_mtu(&name.parse()?, typed("mtu", &mtu)?)
        .await?)
}

pub async fn rename(_: Lua, _: Rc<Host>, (name, new): (String, String)) -> Result<(), NetFailure> {
    Ok(Netlink::open()?
        .rename(&name.parse()?, &new.parse()?)
        .await?)
}

pub async fn set_hairpin(
    _: Lua,
    _: Rc<Host>,
    (name, on): (String, Value),
) -> Result<(), NetFailure> {
    Ok(Netlink::open()?
        .set_hairpin(&name.parse()?, typed("on", &on)?)
        .await?)
}

pub async fn set_isolated(
    _: Lua,
    _: Rc<Host>,
    (name, on): (String, Value),
) -> Result<(), NetFailure> {
    Ok(Netlink::open()?
        .set_isolated(&name.parse()?, typed("on", &on)?)
        .await?)
}

fn mac(options: &Record, field: &'static str) -> Result<Option<Mac>, NetFailure> {
    Ok(options
        .optional::<String>(field)?
        .map(|mac| mac.parse())
        .transpose()?)
}

fn table(lua: &Lua, link: Link) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("index", link.index)?;
    table.raw_set("name", link.name)?;
    table.raw_set("kind", link.kind)?;
    table.raw_set("mac", link.mac.map(|mac| mac.to_string()))?;
    table.raw_set("mtu", link.mtu)?;
    table.raw_set("up", link.up)?;
    table.raw_set("master", link.master)?;
    table.raw_set("peer_index", link.peer_index)?;
    Ok(table)
}
