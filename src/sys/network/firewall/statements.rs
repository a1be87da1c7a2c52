//! Statements of rules in nftables' JSON.

use super::Network;
use serde_json::{Value, json};

/// Compares `left` with `right`.
pub fn matches(op: &str, left: Value, right: Value) -> Value {
    json!({ "match": { "op": op, "left": left, "right": right } })
}

/// Returns the packet's metadata of that key.
pub fn meta(key: &str) -> Value {
    json!({ "meta": { "key": key } })
}

/// Matches the input device with the network's bridge.
pub fn iif(op: &str, network: &Network) -> Value {
    matches(op, meta("iifname"), network.bridge.as_str().into())
}

/// Matches the output device with the network's bridge.
pub fn oif(op: &str, network: &Network) -> Value {
    matches(op, meta("oifname"), network.bridge.as_str().into())
}

/// Matches a property of the tracked connection.
pub fn ct(key: &str, values: &[&str]) -> Value {
    matches("in", json!({ "ct": { "key": key } }), json!(values))
}

/// Matches an address field with the host's own addresses.
pub fn is_local(field: &str) -> Value {
    matches(
        "==",
        json!({ "fib": { "result": "type", "flags": [field] } }),
        "local".into(),
    )
}

/// Returns a verdict such as `accept`.
pub fn verdict(verdict: &str) -> Value {
    json!({ verdict: null })
}
