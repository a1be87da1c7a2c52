//! Runs `nft` with its JSON: to make rules, and to read those of the host's own filter.

use super::FirewallError;
use crate::sys::processes::{Command, ProcessError};
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The prefix of the names of Moondock's tables.
pub const PREFIX: &str = "moondock_";

/// An address family of nftables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

/// A rule.
#[derive(Debug, Clone, Deserialize)]
pub struct Rule {
    /// The family.
    pub family: Family,
    /// The chain.
    pub chain: String,
    /// The handle by which it can be deleted.
    pub handle: u64,
    /// The comment.
    pub comment: Option<String>,
    /// The statements.
    #[serde(default)]
    pub expr: Vec<Value>,
}

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Object>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Object {
    Rule(Rule),
    #[serde(untagged)]
    Other(serde::de::IgnoredAny),
}

impl Family {
    /// Returns the families of networks that the kernel supports.
    pub fn supported() -> impl Iterator<Item = Family> {
        let ipv6 = Path::new("/proc/sys/net/ipv6").exists();
        [Family::Ip, Family::Ip6]
            .into_iter()
            .filter(move |family| *family == Family::Ip || ipv6)
    }

    /// Returns the name in nftables.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
        }
    }

    /// Returns the number in netfilter.
    pub fn number(self) -> u8 {
        match self {
            Family::Ip => 2,
            Family::Ip6 => 10,
        }
    }

    /// Returns the family with that number in netfilter.
    pub fn from_number(number: u8) -> Option<Self> {
        [Family::Ip, Family::Ip6]
            .into_iter()
            .find(|family| family.number() == number)
    }

    /// Returns the address that stands for all.
    pub fn any(self) -> IpAddr {
        match self {
            Self::Ip => Ipv4Addr::UNSPECIFIED.into(),
            Self::Ip6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Returns the family of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::Ip } else { Self::Ip6 }
    }
}

/// Returns the rules of chains of one table. A chain that has disappeared meanwhile has none.
pub async fn rules(table: &str, chains: &[(Family, String)]) -> Result<Vec<Rule>, FirewallError> {
    let list = async |(family, chain): &(Family, String)| {
        let mut command =
            Command::new(["nft", "-j", "list", "chain", family.as_str(), table, chain]);
        command.max_output = 64 << 20;
        match command.check().await {
            Err(ProcessError::Failed { .. }) => Ok(Vec::new()),
            answer => rules_in(&answer?),
        }
    };
    Ok(try_join_all(chains.iter().map(list)).await?.concat())
}

fn rules_in(answer: &[u8]) -> Result<Vec<Rule>, FirewallError> {
    let objects = serde_json::from_slice::<Listing>(answer)?.nftables;
    let rules = objects.into_iter().filter_map(|object| match object {
        Object::Rule(rule) => Some(rule),
        Object::Other(_) => None,
    });
    Ok(rules.collect())
}

/// Runs commands in one transaction.
pub async fn run(commands: Vec<Value>) -> Result<(), FirewallError> {
    if commands.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_vec(&json!({ "nftables": commands }))?;
    Command::new(["nft", "-j", "-f", "-"])
        .stdin(text)
        .check()
        .await?;
    Ok(())
}

/// Returns whether a transaction failed because the ruleset has changed since it was read.
pub fn is_outdated(error: &FirewallError) -> bool {
    let FirewallError::Nft(ProcessError::Failed { last_line, .. }) = error else {
        return false;
    };
    ["No such file or directory", "File exists"]
        .iter()
        .any(|reason| last_line.contains(reason))
}
