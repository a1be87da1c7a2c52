//! Reads and changes the ruleset by `nft` and its JSON.

use super::FirewallError;
use crate::sys::processes::{Command, ProcessError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

/// The prefix of the names of Moondock's tables.
pub const PREFIX: &str = "moondock_";

/// The table in which iptables-nft, and therefore Docker, filters forwarded packets.
pub const FILTER: &str = "filter";
/// The chain that Docker reserves for the administrator.
pub const DOCKER_USER: &str = "DOCKER-USER";
/// The base chain of forwarded packets.
pub const FORWARD: &str = "FORWARD";

/// An address family of nftables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Another family.
    #[serde(other)]
    Other,
}

/// The parts of the ruleset that concern Moondock.
#[derive(Debug, Default)]
pub struct Seen {
    /// All chains.
    pub chains: Vec<Chain>,
    /// The rules of Moondock's tables, and of the chains in which Docker and iptables filter.
    pub rules: Vec<Rule>,
    ipv6: bool,
}

/// A chain.
#[derive(Debug, Deserialize)]
pub struct Chain {
    /// The family.
    pub family: Family,
    /// The table.
    pub table: String,
    /// The name.
    pub name: String,
}

/// A rule.
#[derive(Debug, Deserialize)]
pub struct Rule {
    /// The family.
    pub family: Family,
    /// The table.
    pub table: String,
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

/// A network that has rules, from the comment of a jump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The ID.
    pub id: String,
    /// The network's bridge.
    pub bridge: String,
    /// `open`, `isolated` or `internal`.
    pub kind: String,
}

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Object>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Object {
    Chain(Chain),
    Rule(Rule),
    #[serde(untagged)]
    Other(serde::de::IgnoredAny),
}

impl Family {
    /// The families of networks.
    pub const ALL: [Family; 2] = [Family::Ip, Family::Ip6];

    /// Returns the name in nftables.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Other => "inet",
        }
    }
}

impl Seen {
    /// Returns whether the kernel supports the family.
    pub fn supports(&self, family: Family) -> bool {
        family == Family::Ip || (family == Family::Ip6 && self.ipv6)
    }

    /// Returns whether a chain exists.
    pub fn has_chain(&self, family: Family, table: &str, name: &str) -> bool {
        self.chains
            .iter()
            .any(|chain| chain.family == family && chain.table == table && chain.name == name)
    }

    /// Returns the rules of a table.
    pub fn rules_of(&self, family: Family, table: &str) -> impl Iterator<Item = &Rule> {
        self.rules
            .iter()
            .filter(move |rule| rule.family == family && rule.table == table)
    }

    /// Returns the networks in a table of Moondock's, of both families.
    pub fn entries(&self, table: &str) -> Vec<Entry> {
        let jumps = self
            .rules
            .iter()
            .filter(|rule| rule.table == table && rule.chain == "forward");
        jumps
            .filter_map(|rule| Entry::parse(rule.comment.as_deref()?))
            .collect()
    }
}

impl Entry {
    /// Parses the comment of a jump.
    pub fn parse(comment: &str) -> Option<Self> {
        let mut parts = comment.split(' ').map(str::to_owned);
        Some(Self {
            id: parts.next()?,
            bridge: parts.next()?,
            kind: parts.next()?,
        })
    }

    /// Returns the comment of the jumps.
    pub fn comment(&self) -> String {
        format!("{} {} {}", self.id, self.bridge, self.kind)
    }
}

/// Reads the chains, and the rules of `wanted` tables and of Docker's filters.
pub async fn look(wanted: impl Fn(&str) -> bool) -> Result<Seen, FirewallError> {
    let mut seen = Seen {
        ipv6: Path::new("/proc/sys/net/ipv6").exists(),
        ..Seen::default()
    };
    list(&["chains"], &mut seen).await?;
    let mut asked: Vec<(Family, String)> = Vec::new();
    let chains = std::mem::take(&mut seen.chains);
    for chain in chains.iter().filter(|chain| chain.family != Family::Other) {
        let table = (chain.family, chain.table.clone());
        if chain.table == FILTER && [DOCKER_USER, FORWARD].contains(&chain.name.as_str()) {
            list(
                &["chain", chain.family.as_str(), FILTER, &chain.name],
                &mut seen,
            )
            .await?;
        } else if wanted(&chain.table) && !asked.contains(&table) {
            list(&["table", chain.family.as_str(), &chain.table], &mut seen).await?;
            asked.push(table);
        }
    }
    seen.chains = chains;
    Ok(seen)
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

/// Lists an object. One that has disappeared meanwhile counts as empty.
async fn list(what: &[&str], seen: &mut Seen) -> Result<(), FirewallError> {
    let mut command = Command::new(["nft", "-j", "list"].iter().chain(what).copied());
    command.max_output = 64 << 20;
    let answer = match command.check().await {
        Err(ProcessError::Failed { .. }) if what[0] != "chains" => return Ok(()),
        answer => answer?,
    };
    for object in serde_json::from_slice::<Listing>(&answer)?.nftables {
        match object {
            Object::Chain(chain) => seen.chains.push(chain),
            Object::Rule(rule) => seen.rules.push(rule),
            Object::Other(_) => {}
        }
    }
    Ok(())
}
