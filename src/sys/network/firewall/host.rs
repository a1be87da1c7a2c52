//! Rules in the host's own filter, in which Docker or an administrator may drop all forwarded
//! packets.
//!
//! An `accept` in another table cannot undo that, so each network gets rules in `DOCKER-USER`, or in
//! `FORWARD` without Docker (protocol 15). They follow the administrator's rules. Moondock's
//! own table decides what may pass.

use super::Network;
use super::nft::{DOCKER_USER, FILTER, FORWARD, Family, Rule, Seen};
use serde_json::{Value, json};

/// The prefix of the comments of these rules.
const MARK: &str = "moondock ";

/// The names of Docker's bridges. Docker's rules decide about packets to them.
const DOCKERS_BRIDGES: [&str; 2] = ["docker*", "br-*"];

/// Returns the commands that delete a network's rules of both families.
pub fn removal(seen: &Seen, plugin: &str, id: &str) -> Vec<Value> {
    let its = seen
        .rules
        .iter()
        .filter(|rule| rule.table == FILTER && is_its(rule, plugin, id));
    let delete = |rule: &Rule| {
        json!({ "delete": { "rule": {
            "family": rule.family.as_str(), "table": FILTER, "chain": rule.chain, "handle": rule.handle,
        } } })
    };
    its.map(delete).collect()
}

/// Returns the commands that add a network's rules to a chain without them.
pub fn application(
    seen: &Seen,
    plugin: &str,
    family: Family,
    id: &str,
    network: &Network,
) -> Vec<Value> {
    let has = |chain: &&str| seen.has_chain(family, FILTER, chain);
    let Some(chain) = [DOCKER_USER, FORWARD].into_iter().find(has) else {
        return Vec::new();
    };
    let rules: Vec<&Rule> = seen
        .rules_of(family, FILTER)
        .filter(|r| r.chain == chain && !is_its(r, plugin, id))
        .collect();
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
    let bridge = network.bridge.as_str();
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
