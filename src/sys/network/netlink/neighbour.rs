//! Neighbours: which hardware address an IP address has on a link.

use super::{LinkName, NetError, Netlink, errno, refused};
use crate::sys::network::ip::Mac;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rustix::io::Errno;
use std::net::IpAddr;

/// An entry of a link's neighbour table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The IP address.
    pub address: IpAddr,
    /// The hardware address, if it is known.
    pub mac: Option<Mac>,
    /// The state: `permanent`, `reachable`, `stale`, `delay`, `probe`, `incomplete` or `failed`.
    pub state: String,
}

impl Netlink {
    /// Returns a link's neighbours without multicast groups, which need no resolution.
    pub async fn neighbours(&self, name: &LinkName) -> Result<Vec<Neighbour>, NetError> {
        let messages = self.neighbour_messages(name).await?;
        let found = messages
            .iter()
            .filter(|m| m.header.state != NeighbourState::Noarp);
        Ok(found.filter_map(Neighbour::read).collect())
    }

    /// Adds a permanent neighbour, replacing one with the same address.
    pub async fn add_neighbour(
        &self,
        name: &LinkName,
        address: IpAddr,
        mac: Mac,
    ) -> Result<(), NetError> {
        let index = self.index(name).await?;
        let request = self
            .handle
            .neighbours()
            .add(index, address)
            .link_layer_address(&mac.0)
            .replace();
        request
            .execute()
            .await
            .map_err(|e| refused(format!("neighbour `{address}` of link `{name}`"), e))
    }

    /// Forgets a neighbour. False: there is none of that address.
    pub async fn delete_neighbour(
        &self,
        name: &LinkName,
        address: IpAddr,
    ) -> Result<bool, NetError> {
        let messages = self.neighbour_messages(name).await?;
        let Some(message) = messages
            .into_iter()
            .find(|m| address_of(m) == Some(address))
        else {
            return Ok(false);
        };
        match self.handle.neighbours().del(message).execute().await {
            Ok(()) => Ok(true),
            Err(e) if errno(&e) == Some(Errno::NOENT) => Ok(false),
            Err(e) => Err(refused(
                format!("neighbour `{address}` of link `{name}`"),
                e,
            )),
        }
    }

    async fn neighbour_messages(&self, name: &LinkName) -> Result<Vec<NeighbourMessage>, NetError> {
        let index = self.index(name).await?;
        let found = self.handle.neighbours().get().execute();
        let found = found.try_filter(|m| std::future::ready(m.header.ifindex == index));
        found
            .try_collect()
            .await
            .map_err(|e| refused(format!("neighbours of link `{name}`"), e))
    }
}

impl Neighbour {
    fn read(message: &NeighbourMessage) -> Option<Self> {
        let mac = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    bytes.as_slice().try_into().ok().map(Mac)
                }
                _ => None,
            });
        Some(Self {
            address: address_of(message)?,
            mac,
            state: message.header.state.to_string(),
        })
    }
}

fn address_of(message: &NeighbourMessage) -> Option<IpAddr> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some((*ip).into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some((*ip).into()),
            _ => None,
        })
}
