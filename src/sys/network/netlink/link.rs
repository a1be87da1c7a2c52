//! Network devices: bridges, veth pairs and others.

use super::{LinkName, NetError, Netlink, errno, refused};
use crate::sys::network::ip::Mac;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth};
use rustix::io::Errno;
use std::collections::HashMap;

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The index.
    pub index: u32,
    /// The name.
    pub name: String,
    /// The kind, such as `bridge` or `veth`; `None` for physical devices and the loopback.
    pub kind: Option<String>,
    /// The hardware address, if it has six bytes.
    pub mac: Option<Mac>,
    /// The MTU, in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// The bridge or bond of which it is a port.
    pub master: Option<String>,
    /// The index of a veth's peer in the peer's network namespace.
    pub peer_index: Option<u32>,
}

/// The properties of a new device.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewLink {
    /// The hardware address; by default the kernel chooses one.
    pub mac: Option<Mac>,
    /// The MTU, in bytes.
    pub mtu: Option<u32>,
}

impl Netlink {
    /// Returns all devices, sorted by index.
    pub async fn links(&self) -> Result<Vec<Link>, NetError> {
        let failed = |e| refused("links".to_owned(), e);
        let messages: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(failed)?;
        let names: HashMap<u32, String> = messages
            .iter()
            .map(|m| (m.header.index, name_of(m).to_owned()))
            .collect();
        let mut links: Vec<Link> = messages.iter().map(Link::read).collect();
        for (link, message) in links.iter_mut().zip(&messages) {
            link.master = master_of(message).and_then(|index| names.get(&index).cloned());
        }
        links.sort_by_key(|link| link.index);
        Ok(links)
    }

    /// Returns the device of that name, if it exists.
    pub async fn link(&self, name: &LinkName) -> Result<Option<Link>, NetError> {
        let Some(message) = self.find(name).await? else {
            return Ok(None);
        };
        let mut link = Link::read(&message);
        if let Some(index) = master_of(&message) {
            link.master = self.name(index).await?;
        }
        Ok(Some(link))
    }

    /// Returns the name of the device with that index.
    pub(super) async fn name(&self, index: u32) -> Result<Option<String>, NetError> {
        match self
            .handle
            .link()
            .get()
            .match_index(index)
            .execute()
            .try_next()
            .await
        {
            Err(e) if errno(&e) == Some(Errno::NODEV) => Ok(None),
            Err(e) => Err(refused(format!("link number {index}"), e)),
            Ok(message) => Ok(message.map(|m| name_of(&m).to_owned())),
        }
    }

    /// Creates a bridge, which is down and has no ports.
    pub async fn create_bridge(&self, name: &LinkName, new: NewLink) -> Result<(), NetError> {
        let message = new
            .apply_to(LinkMessageBuilder::<LinkBridge>::new(name.as_str()))
            .build();
        self.create(format!("link `{name}`"), message).await
    }

    /// Creates a veth pair: what goes into one end comes out of the other. Both are down.
    pub async fn create_veth(
        &self,
        (name, new): (&LinkName, NewLink),
        (peer, peer_new): (&LinkName, NewLink),
    ) -> Result<(), NetError> {
        let other = peer_new
            .apply_to(LinkUnspec::new_with_name(peer.as_str()))
            .build();
        let pair = LinkVeth::new(name.as_str(), peer.as_str());
        let pair = new
            .apply_to(pair)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(other)));
        self.create(format!("link `{name}` or its peer `{peer}`"), pair.build())
            .await
    }

    /// Deletes a device and its peer. Returns whether it existed.
    pub async fn delete_link(&self, name: &LinkName) -> Result<bool, NetError> {
        let Some(message) = self.find(name).await? else {
            return Ok(false);
        };
        match self.handle.link().del(message.header.index).execute().await {
            Ok(()) => Ok(true),
            Err(e) if errno(&e) == Some(Errno::NODEV) => Ok(false),
            Err(e) => Err(refused(format!("link `{name}`: cannot be deleted"), e)),
        }
    }

    /// Brings a device up or down.
    pub async fn set_up(&self, name: &LinkName, up: bool) -> Result<(), NetError> {
        self.change(name, |link| if up { link.up() } else { link.down() })
            .await
    }

    /// Makes a device a port of a bridge, or detaches it.
    pub async fn set_master(
        &self,
        name: &LinkName,
        bridge: Option<&LinkName>,
    ) -> Result<(), NetError> {
        let master = match bridge {
            Some(bridge) => self.index(bridge).await?,
            None => 0,
        };
        self.change(name, |link| link.controller(master)).await
    }

    /// Sets the hardware address of a device.
    pub async fn set_mac(&self, name: &LinkName, mac: Mac) -> Result<(), NetError> {
        self.change(name, |link| link.address(mac.0.to_vec())).await
    }

    /// Sets the MTU of a device, in bytes.
    pub async fn set_mtu(&self, name: &LinkName, mtu: u32) -> Result<(), NetError> {
        self.change(name, |link| link.mtu(mtu)).await
    }

    /// Renames a device.
    pub async fn rename(&self, name: &LinkName, new: &LinkName) -> Result<(), NetError> {
        let index = self.index(name).await?;
        let message = LinkUnspec::new_with_index(index).name(new.as_str()).build();
        let what = || format!("link `{new}` (the new name of `{name}`)");
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .map_err(|e| refused(what(), e))
    }

    /// Sets whether a bridge may send a frame back to the port that it came from.
    pub async fn set_hairpin(&self, name: &LinkName, on: bool) -> Result<(), NetError> {
        self.change_port(name, "hairpin mode", |port| port.hairpin(on))
            .await
    }

    /// Sets whether a port of a bridge reaches only ports that are not isolated.
    pub async fn set_isolated(&self, name: &LinkName, on: bool) -> Result<(), NetError> {
        self.change_port(name, "isolation", |port| port.isolated(on))
            .await
    }

    async fn change_port(
        &self,
        name: &LinkName,
        what: &str,
        change: impl FnOnce(LinkMessageBuilder<LinkBridgePort>) -> LinkMessageBuilder<LinkBridgePort>,
    ) -> Result<(), NetError> {
        let link = self
            .link(name)
            .await?
            .ok_or_else(|| NetError::NoLink(name.to_string()))?;
        if link.master.is_none() {
            return Err(NetError::Invalid(
                "the link is not a port of a bridge: use `net.set_master` first",
            ));
        }
        let message = change(LinkBridgePort::new(link.index)).build();
        let done = self.handle.link().set_port(message).execute().await;
        done.map_err(|e| refused(format!("link `{name}`: {what}"), e))
    }

    async fn create(&self, what: String, message: LinkMessage) -> Result<(), NetError> {
        self.handle
            .link()
            .add(message)
            .execute()
            .await
            .map_err(|e| refused(what, e))
    }

    async fn change(
        &self,
        name: &LinkName,
        change: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Result<(), NetError> {
        let message = change(LinkUnspec::new_with_index(self.index(name).await?)).build();
        self.handle
            .link()
            .set(message)
            .execute()
            .await
            .map_err(|e| refused(format!("link `{name}`"), e))
    }
}

impl NewLink {
    fn apply_to<T>(self, mut link: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
        if let Some(mac) = self.mac {
            link = link.address(mac.0.to_vec());
        }
        if let Some(mtu) = self.mtu {
            link = link.mtu(mtu);
        }
        link
    }
}

impl Link {
    fn read(message: &LinkMessage) -> Self {
        let kind = kind_of(message);
        let peer_index = (kind == Some(&InfoKind::Veth))
            .then(|| attribute(message, link))
            .flatten();
        Self {
            index: message.header.index,
            name: name_of(message).to_owned(),
            kind: kind.map(ToString::to_string),
            mac: attribute(message, mac),
            mtu: attribute(message, mtu).unwrap_or_default(),
            up: message.header.flags.contains(LinkFlags::Up),
            master: None,
            peer_index,
        }
    }
}

fn attribute<'a, T>(
    message: &'a LinkMessage,
    pick: fn(&'a LinkAttribute) -> Option<T>,
) -> Option<T> {
    message.attributes.iter().find_map(pick)
}

fn name_of(message: &LinkMessage) -> &str {
    let name = attribute(message, |attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    });
    name.unwrap_or_default()
}

fn master_of(message: &LinkMessage) -> Option<u32> {
    attribute(message, |attribute| match attribute {
        LinkAttribute::Controller(index) => Some(*index).filter(|&index| index != 0),
        _ => None,
    })
}

fn kind_of(message: &LinkMessage) -> Option<&InfoKind> {
    attribute(message, |attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().find_map(|info| match info {
            LinkInfo::Kind(kind) => Some(kind),
            _ => None,
        }),
        _ => None,
    })
}

fn link(attribute: &LinkAttribute) -> Option<u32> {
    match attribute {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    }
}

fn mac(attribute: &LinkAttribute) -> Option<Mac> {
    match attribute {
        LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok().map(Mac),
        _ => None,
    }
}

fn mtu(attribute: &LinkAttribute) -> Option<u32> {
    match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    }
}
