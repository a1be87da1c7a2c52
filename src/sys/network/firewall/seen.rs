//! What is in force: the networks of all plugins, as the elements of their tables show.

use super::FirewallError;
use super::elements::{self, Element};
use super::network::{Network, Place, Port};
use super::nft::PREFIX;
use super::rules::{self, ANY_IP, AT_IP, BRIDGES, SUBNETS};
use crate::sys::blocking;
use crate::sys::network::netfilter::Socket;
use std::collections::{BTreeMap, HashMap};
use std::io;

/// The networks of all plugins.
#[derive(Debug, Default)]
pub struct Seen {
    /// The networks of each table by their IDs.
    tables: BTreeMap<String, BTreeMap<String, Network>>,
}

/// A published port.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// The table.
    pub table: &'a str,
    /// The ID of the network.
    pub id: &'a str,
    /// The port.
    pub port: &'a Port,
}

impl Seen {
    /// Reads the tables of all plugins.
    pub async fn look() -> Result<Self, FirewallError> {
        blocking(Self::read).await.map_err(FirewallError::Kernel)
    }

    fn read() -> io::Result<Self> {
        let socket = Socket::open()?;
        let mut seen = Self::default();
        for (family, table) in elements::tables(&socket)? {
            if table.starts_with(PREFIX) {
                let list = |set| elements::list(&socket, family, &table, set);
                let mut all = Vec::new();
                for set in [BRIDGES, SUBNETS, ANY_IP, AT_IP] {
                    all.extend(list(set)?);
                }
                let networks = seen.tables.entry(table.clone()).or_default();
                for element in &all {
                    include(networks, element);
                }
            }
        }
        Ok(seen)
    }

    /// Returns whether a table exists.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Returns the networks of a table, by their IDs.
    pub fn networks(&self, table: &str) -> impl Iterator<Item = (&str, &Network)> {
        let networks = self.tables.get(table).into_iter().flatten();
        networks.map(|(id, network)| (id.as_str(), network))
    }

    /// Returns all published ports, grouped by what colliding ports have in common.
    pub fn ports_by_place(&self) -> HashMap<Place, Vec<Published<'_>>> {
        let mut places: HashMap<Place, Vec<Published>> = HashMap::new();
        for (table, networks) in &self.tables {
            for (id, network) in networks {
                for port in &network.ports {
                    let published = Published { table, id, port };
                    places.entry(port.place()).or_default().push(published);
                }
            }
        }
        places
    }
}

/// Adds what an element shows to the networks. Those of [`BRIDGES`] come first.
fn include(networks: &mut BTreeMap<String, Network>, element: &Element) {
    if let Some((id, network)) = (element.set == BRIDGES)
        .then(|| rules::network_of(element))
        .flatten()
    {
        networks.entry(id).or_insert(network);
    } else if let Some((subnet, id)) = (element.set == SUBNETS)
        .then(|| rules::subnet_of(element))
        .flatten()
    {
        networks
            .entry(id)
            .and_modify(|network| network.subnets.push(subnet));
    } else if let Some((id, port)) = rules::port_of(element) {
        networks
            .entry(id)
            .and_modify(|network| network.ports.push(port));
    }
}
