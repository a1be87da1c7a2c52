//! Rules in the host's own filter, in which Docker or an administrator may drop all forwarded
//! packets.
//!
//! An `accept` in another table cannot undo that, so each network gets rules in `DOCKER-USER`, or
//! in `FORWARD` without Docker (protocol 15). They follow the administrator's rules.
//! Moondock's own table decides what may pass.
//!
//! iptables knows no sets, but beginnings of names: the networks whose bridges are named `md-…`
//! share the same rules.

use super::elements;
use super::nft::{self, Family, Rule};
use super::{FirewallError, Network};
use crate::sys::blocking;
use crate::sys::network::netfilter::Socket;
use serde_json::{Value, json};

/// The table in which iptables-nft, and therefore Docker, filters forwarded packets.
const FILTER: &str = "filter";
/// The chain that Docker reserves for the administrator.
const DOCKER_USER: &str = "DOCKER-USER";
/// The base chain of forwarded packets.
const FORWARD: &str = "FORWARD";

/// The names of bridges that share rules, the beginning of these names, and the ID in the comments
/// of the rules.
const SHARED_BRIDGES: &str = "md-*";
const SHARED_PREFIX: &str = "md-";
const SHARED: &str = "*";

/// The prefix of the comments of these rules.
const MARK: &str = "moondock ";

/// The names of Docker's bridges. Docker's rules decide about packets to them.
const DOCKERS_BRIDGES: [&str; 2] = ["docker*", "br-*"];

/// Returns the commands that delete a network's rules, and those that networks share with the last
/// one.
pub async fn removal(plugin: &str, id: &str, is_last: bool) -> Result<Vec<Value>, FirewallError> {
    let rules = rules().await?;
    let gone = rules
        .iter()
        .filter(|rule| is_its(rule, plugin, id) || (is_last && is_its(rule, plugin, SHARED)));
    Ok(gone.map(delete).collect())
}

/// Returns the commands that put a network's rules, or those that it shares, in their places.
pub async fn application(
    plugin: &str,
    id: &str,
    network: &Network,
) -> Result<Vec<Value>, FirewallError> {
    let (rules, chains) = (rules().await?, chains().await?);
    let bridge = network.bridge.as_str();
    let (names, owner) = if bridge.starts_with(SHARED_PREFIX) {
        (SHARED_BRIDGES, SHARED)
    } else {
        (bridge, id)
    };
    let (old, others): (Vec<Rule>, Vec<Rule>) = rules
        .into_iter()
        .partition(|rule| is_its(rule, plugin, id) || is_its(rule, plugin, owner));
    let mut commands: Vec<Value> = old.iter().map(delete).collect();
    for family in Family::supported() {
        let has = |chain: &&str| {
            chains
                .iter()
                .any(|(its, name)| *its == family && name == chain)
        };
        if let Some(chain) = [DOCKER_USER, FORWARD].into_iter().find(has) {
            let its = |rule: &&Rule| rule.family == family && rule.chain == chain;
            let rules: Vec<&Rule> = others.iter().filter(its).collect();
            commands.extend(additions(family, chain, &rules, (plugin, owner, names)));
        }
    }
    Ok(commands)
}

/// Returns the chains in which the rules can be.
async fn chains() -> Result<Vec<(Family, String)>, FirewallError> {
    let chains = blocking(|| elements::chains(&Socket::open()?, FILTER)).await;
    let mut chains = chains.map_err(FirewallError::Kernel)?;
    chains.retain(|(_, name)| [DOCKER_USER, FORWARD].contains(&name.as_str()));
    Ok(chains)
}

async fn rules() -> Result<Vec<Rule>, FirewallError> {
    nft::rules(FILTER, &chains().await?).await
}

fn delete(rule: &Rule) -> Value {
    json!({ "delete": { "rule": {
        "family": rule.family.as_str(), "table": FILTER, "chain": rule.chain, "handle": rule.handle,
    } } })
}

/// Returns the commands that add rules for bridges of these names to a chain without them.
fn additions(
    family: Family,
    chain: &str,
    rules: &[&Rule],
    (plugin, id, bridge): (&str, &str, &str),
) -> Vec<Value> {
    let end = rules
        .last()
        .filter(|rule| is_bare_return(rule))
        .map(|rule| rule.handle);
    let ours = rules
        .iter()
        .find(|rule| comment(rule).starts_with(MARK))
        .map(|rule| rule.handle);
    let place = |before, direction, expr| {
        let comment = format!("{MARK}{plugin} {id} {direction}");
        rule(family, chain, before, &comment, expr)
    };
    let name = |key: &str, name: &str| json!({ "match": { "op": "==", "left": { "meta": { "key": key } }, "right": name } });
    // Rules for incoming packets come first, because a bridge may be named like one of Docker's.
    let mut commands = vec![place(
        ours.or(end),
        "in",
        json!([name("oifname", bridge), { "accept": null }]),
    )];
    if chain == DOCKER_USER {
        for docker in DOCKERS_BRIDGES {
            let expr =
                json!([name("iifname", bridge), name("oifname", docker), { "return": null }]);
            commands.push(place(end, "out", expr));
        }
    }
    commands.push(place(
        end,
        "out",
        json!([name("iifname", bridge), { "accept": null }]),
    ));
    commands
}

fn rule(family: Family, chain: &str, before: Option<u64>, comment: &str, expr: Value) -> Value {
    let mut rule = json!({
        "family": family.as_str(), "table": FILTER, "chain": chain, "comment": comment, "expr": expr,
    });
    match before {
        None => json!({ "add": { "rule": rule } }),
        Some(handle) => {
            rule["handle"] = handle.into();
            json!({ "insert": { "rule": rule } })
        }
    }
}

fn comment(rule: &Rule) -> &str {
    rule.comment.as_deref().unwrap_or_default()
}

fn is_its(rule: &Rule, plugin: &str, id: &str) -> bool {
    let words: Vec<&str> = comment(rule).split(' ').collect();
    words.len() == 4 && words[..3] == [MARK.trim_end(), plugin, id]
}

/// Returns whether a rule is Docker's final `RETURN`, after which no rule is reached.
fn is_bare_return(rule: &Rule) -> bool {
    let mut statements = rule
        .expr
        .iter()
        .filter(|statement| statement.get("counter").is_none());
    statements.next().is_some_and(|s| s.get("return").is_some()) && statements.next().is_none()
}
