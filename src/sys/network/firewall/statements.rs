//! Statements of rules in nftables' JSON.

use super::nft::Family;
use serde_json::{Value, json};

/// Compares `left` with `right`.
pub fn matches(op: &str, left: Value, right: Value) -> Value {
    json!({ "match": { "op": op, "left": left, "right": right } })
}

/// Returns the packet's metadata of that key.
pub fn meta(key: &str) -> Value {
    json!({ "meta": { "key": key } })
}

/// Returns a field of the packet.
pub fn payload(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

/// Matches the packet's metadata of that key with a set.
pub fn among(key: &str, set: &str) -> Value {
    matches("==", meta(key), format!("@{set}").into())
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

/// Matches an address field with loopback addresses.
pub fn loopback(family: Family, field: &str) -> Value {
    let addresses = match family {
        Family::Ip => json!({ "prefix": { "addr": "127.0.0.0", "len": 8 } }),
        Family::Ip6 => "::1".into(),
    };
    matches("==", payload(family.as_str(), field), addresses)
}

/// Returns a verdict such as `accept`.
pub fn verdict(verdict: &str) -> Value {
    json!({ verdict: null })
}
