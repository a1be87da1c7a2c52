//! The addresses of a device.

use super::{LinkName, NetError, Netlink, errno, refused};
use crate::sys::network::ip::Cidr;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rustix::io::Errno;
use std::net::IpAddr;

impl Netlink {
    /// Returns the addresses of a device with their prefixes in the kernel's order, including IPv6
    /// link-local ones.
    pub async fn addresses(&self, name: &LinkName) -> Result<Vec<Cidr>, NetError> {
        let messages = self.address_messages(name).await?;
        Ok(messages.iter().filter_map(cidr).collect())
    }

    /// Returns the addresses of all devices.
    pub async fn all_addresses(&self) -> Result<Vec<IpAddr>, NetError> {
        let found = self.handle.address().get().execute();
        let messages: Vec<AddressMessage> = found
            .try_collect()
            .await
            .map_err(|e| refused("addresses".to_owned(), e))?;
        Ok(messages
            .iter()
            .filter_map(cidr)
            .map(|cidr| cidr.address)
            .collect())
    }

    /// Adds an address to a device, unless it has it already.
    ///
    /// IPv6 addresses skip duplicate address detection, which would never complete on a bridge
    /// without ports.
    pub async fn add_address(&self, name: &LinkName, address: Cidr) -> Result<(), NetError> {
        let index = self.index(name).await?;
        let mut request = self
            .handle
            .address()
            .add(index, address.address, address.prefix);
        if address.address.is_ipv6() {
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        match request.execute().await {
            Err(e) if errno(&e) == Some(Errno::EXIST) => self.has_exactly(name, address).await,
            done => done.map_err(|e| refused(format!("address `{address}` of link `{name}`"), e)),
        }
    }

    /// Deletes an address. Returns whether the device had it.
    pub async fn delete_address(&self, name: &LinkName, address: Cidr) -> Result<bool, NetError> {
        let messages = self.address_messages(name).await?;
        let Some(message) = messages.into_iter().find(|m| cidr(m) == Some(address)) else {
            return Ok(false);
        };
        match self.handle.address().del(message).execute().await {
            Ok(()) => Ok(true),
            Err(e) if errno(&e) == Some(Errno::ADDRNOTAVAIL) => Ok(false),
            Err(e) => Err(refused(format!("address `{address}` of link `{name}`"), e)),
        }
    }

    /// Checks that the device has the address with this prefix. The kernel allows an IPv6 address
    /// only once for each device, whatever its prefix.
    async fn has_exactly(&self, name: &LinkName, address: Cidr) -> Result<(), NetError> {
        if self.addresses(name).await?.contains(&address) {
            return Ok(());
        }
        Err(NetError::Exists(format!(
            "address `{}` of link `{name}`, with another prefix",
            address.address
        )))
    }

    async fn address_messages(&self, name: &LinkName) -> Result<Vec<AddressMessage>, NetError> {
        let index = self.index(name).await?;
        let found = self
            .handle
            .address()
            .get()
            .set_link_index_filter(index)
            .execute();
        found
            .try_collect()
            .await
            .map_err(|e| refused(format!("addresses of link `{name}`"), e))
    }
}

/// Returns the device's own address. On a point-to-point link, that is `Local`, and `Address` is
/// the peer's.
fn cidr(message: &AddressMessage) -> Option<Cidr> {
    let own = |attribute: &_| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    };
    let any = |attribute: &_| match attribute {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    };
    let found: Option<IpAddr> = message.attributes.iter().find_map(own);
    let address = found.or_else(|| message.attributes.iter().find_map(any))?;
    Some(Cidr {
        address,
        prefix: message.header.prefix_len,
    })
}
