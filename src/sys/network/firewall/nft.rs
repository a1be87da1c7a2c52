//! `nft` and its JSON: what the ruleset holds, and how it is changed.

use super::FirewallError;
use crate::sys::processes::{Command, ProcessError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

/// What the names of Moondock's tables begin with.
pub const PREFIX: &str = "moondock_";

/// The table and the chains in which iptables-nft, and so Docker, filters forwarded packets.
pub const FILTER: &str = "filter";
/// The chain that Docker leaves to the administrator.
pub const DOCKER_USER: &str = "DOCKER-USER";
/// The base chain itself.
pub const FORWARD: &str = "FORWARD";

/// An address family of nftables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Those that are of no interest here.
    #[serde(other)]
    Other,
}

/// The part of the ruleset that concerns Moondock.
#[derive(Debug, Default)]
pub struct Seen {
    /// All chains there are.
    pub chains: Vec<Chain>,
    /// The rules of Moondock's tables, and of the chains in which Docker and iptables filter forwarded packets.
    pub rules: Vec<Rule>,
    ipv6: bool,
}

/// A chain, as far as its name goes.
#[derive(Debug, Deserialize)]
pub struct Chain {
    /// Its family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
}

/// A rule.
#[derive(Debug, Deserialize)]
pub struct Rule {
    /// Its family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// By which it can be deleted.
    pub handle: u64,
    /// Its comment.
    pub comment: Option<String>,
    /// What it says.
    #[serde(default)]
    pub expr: Vec<Value>,
}

/// What is applied under one id, as the comment of a jump tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The id.
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
    /// The two that networks have.
    pub const ALL: [Family; 2] = [Family::Ip, Family::Ip6];

    /// Its name in nftables.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Other => "inet",
        }
    }
}

impl Seen {
    /// Whether the kernel has the family at all.
    pub fn supports(&self, family: Family) -> bool {
        family == Family::Ip || (family == Family::Ip6 && self.ipv6)
    }

    /// Whether there is a chain of that name.
    pub fn has_chain(&self, family: Family, table: &str, name: &str) -> bool {
        self.chains
            .iter()
            .any(|chain| chain.family == family && chain.table == table && chain.name == name)
    }

    /// The rules of a table.
    pub fn rules_of(&self, family: Family, table: &str) -> impl Iterator<Item = &Rule> {
        self.rules
            .iter()
            .filter(move |rule| rule.family == family && rule.table == table)
    }

    /// What is applied in a table of Moondock's, in either family.
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
    /// Reads a jump's comment.
    pub fn parse(comment: &str) -> Option<Self> {
        let mut parts = comment.split(' ').map(str::to_owned);
        Some(Self {
            id: parts.next()?,
            bridge: parts.next()?,
            kind: parts.next()?,
        })
    }

    /// The comment of the jumps.
    pub fn comment(&self) -> String {
        format!("{} {} {}", self.id, self.bridge, self.kind)
    }
}

/// Reads the chains, and the rules of the tables that are `wanted` and of those that Docker filters in.
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

/// Runs commands as one transaction: all of them hold, or none.
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

/// Whether a transaction failed because something that it names is gone, or has come, since it was looked up.
pub fn is_outdated(error: &FirewallError) -> bool {
    let FirewallError::Nft(ProcessError::Failed { last_line, .. }) = error else {
        return false;
    };
    ["No such file or directory", "File exists"]
        .iter()
        .any(|reason| last_line.contains(reason))
}

/// Lists something that was there a moment ago; gone meanwhile is as good as empty.
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
