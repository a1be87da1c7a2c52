//! Routes.

use super::{LinkName, NetError, Netlink, errno, refused};
use crate::sys::network::ip::Cidr;
use futures_util::TryStreamExt;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
    RouteVia,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The destination; `0.0.0.0/0` or `::/0` for a default route.
    pub destination: Cidr,
    /// The next hop, of several the first; `None` for a direct route.
    pub gateway: Option<IpAddr>,
    /// The outgoing device.
    pub device: Option<String>,
}

impl Netlink {
    /// Returns the routes of a table, by default the main one; IPv4 before IPv6.
    pub async fn routes(&self, table: Option<u32>) -> Result<Vec<Route>, NetError> {
        let wanted = table.unwrap_or_else(|| u32::from(RouteHeader::RT_TABLE_MAIN));
        let devices: HashMap<u32, String> = self
            .links()
            .await?
            .into_iter()
            .map(|link| (link.index, link.name))
            .collect();
        let mut routes = Vec::new();
        for ask in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let found = self.handle.route().get(ask).execute();
            let found: Vec<RouteMessage> = found
                .try_collect()
                .await
                .map_err(|e| refused("routes".to_owned(), e))?;
            routes.extend(
                found
                    .iter()
                    .filter(|m| table_of(m) == wanted)
                    .map(|m| read(m, &devices)),
            );
        }
        Ok(routes)
    }

    /// Adds a route by a gateway, a device or both to the main table.
    pub async fn add_route(
        &self,
        destination: Cidr,
        gateway: Option<IpAddr>,
        device: Option<&LinkName>,
    ) -> Result<(), NetError> {
        let message = self.message(destination, gateway, device).await?;
        let done = self.handle.route().add(message).execute().await;
        done.map_err(|e| refused(format!("route to `{}`", destination.canonical()), e))
    }

    /// Deletes a route from the main table. Returns whether it existed.
    pub async fn delete_route(
        &self,
        destination: Cidr,
        gateway: Option<IpAddr>,
        device: Option<&LinkName>,
    ) -> Result<bool, NetError> {
        let mut message = self.message(destination, gateway, device).await?;
        message.header.protocol = RouteProtocol::Unspec;
        message.header.scope = RouteScope::NoWhere;
        message.header.kind = RouteType::Unspec;
        match self.handle.route().del(message).execute().await {
            Ok(()) => Ok(true),
            Err(e) if errno(&e) == Some(Errno::SRCH) => Ok(false),
            Err(e) => Err(refused(
                format!("route to `{}`", destination.canonical()),
                e,
            )),
        }
    }

    async fn message(
        &self,
        destination: Cidr,
        gateway: Option<IpAddr>,
        device: Option<&LinkName>,
    ) -> Result<RouteMessage, NetError> {
        if gateway.is_none() && device.is_none() {
            return Err(NetError::Invalid(
                "a route needs a gateway, a device, or both",
            ));
        }
        let direct = if gateway.is_none() {
            RouteScope::Link
        } else {
            RouteScope::Universe
        };
        let families = |_| {
            NetError::Invalid(
                "the route's destination and its gateway are of different address families",
            )
        };
        let mut route = RouteMessageBuilder::<IpAddr>::new()
            .scope(direct)
            .destination_prefix(destination.network(), destination.prefix)
            .map_err(families)?;
        if let Some(gateway) = gateway {
            route = route.gateway(gateway).map_err(families)?;
        }
        if let Some(device) = device {
            route = route.output_interface(self.index(device).await?);
        }
        Ok(route.build())
    }
}

fn read(message: &RouteMessage, devices: &HashMap<u32, String>) -> Route {
    let destination = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(address) => ip(address),
            _ => None,
        });
    let everything = match message.header.address_family {
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let (gateway, device) = hop(&message.attributes);
    Route {
        destination: Cidr {
            address: destination.unwrap_or(everything),
            prefix: message.header.destination_prefix_length,
        },
        gateway,
        device: device.and_then(|index| devices.get(&index).cloned()),
    }
}

/// The next hop and the device's number; of a route with several, those of the first.
fn hop(attributes: &[RouteAttribute]) -> (Option<IpAddr>, Option<u32>) {
    let mut hop = (None, None);
    for attribute in attributes {
        match attribute {
            RouteAttribute::Gateway(address) => hop.0 = ip(address),
            RouteAttribute::Via(RouteVia::Inet6(address)) => hop.0 = Some((*address).into()),
            RouteAttribute::Oif(index) => hop.1 = Some(*index),
            RouteAttribute::MultiPath(hops) => {
                hop = hops.first().map_or(hop, |first| {
                    (gateway(&first.attributes), Some(first.interface_index))
                });
            }
            _ => {}
        }
    }
    hop
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        _ => None,
    })
}

fn table_of(message: &RouteMessage) -> u32 {
    let long = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        });
    long.unwrap_or_else(|| u32::from(message.header.table))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}
