//! Whatever comes in, and whatever a hook makes of it: the reply is well-formed.

use crate::harness::go::{Strictness, accept, refusal};
use crate::harness::recorded::{GET, RecordedPlugin, good_body, paths};
use moondock::plugin::Reply;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// Names that engines use, so that random objects come near to real ones.
const NAMES: &[&str] = &[
    "Name",
    "ID",
    "Opts",
    "Volume",
    "Volumes",
    "Mountpoint",
    "CreatedAt",
    "Status",
    "Capabilities",
    "Scope",
    "NetworkID",
    "EndpointID",
    "SandboxKey",
    "Interface",
    "Address",
    "Options",
    "IPv4Data",
    "InterfaceName",
    "SrcName",
    "DstPrefix",
    "StaticRoutes",
    "Destination",
    "RouteType",
    "Gateway",
    "Value",
    "DiscoveryType",
    "PoolID",
    "Pool",
    "Data",
    "V6",
    "SecretName",
    "RequestMethod",
    "RequestUri",
    "RequestBody",
    "RequestHeaders",
    "LocalDefaultAddressSpace",
    "GlobalDefaultAddressSpace",
];

const TEXTS: &[&str] = &[
    "",
    "v1",
    "/m",
    "local",
    "2026-01-02T03:04:05Z",
    "2026-02-30T03:04:05Z",
    "10.0.0.1/24",
    "GET",
    "e30=",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![4 => prop::sample::select(NAMES).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((key, inner), 0..7)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A good body with one thing changed, so that the hook is reached; or anything; or no JSON at all.
fn any_body() -> impl Strategy<Value = (String, String)> {
    let paths: Vec<_> = paths().collect();
    prop::sample::select(paths).prop_flat_map(|path| {
        let good: Value = serde_json::from_str(&good_body(&path)).unwrap_or(json!({}));
        let changed = (prop::sample::select(NAMES), any_json()).prop_map(move |(name, value)| {
            let mut body = good.clone();
            body[name] = value;
            body.to_string()
        });
        let whole = any_json().prop_map(|json| json.to_string());
        let cut = (any_json(), any::<prop::sample::Index>()).prop_map(|(json, at)| {
            let text = json.to_string();
            text.chars().take(at.index(text.len() + 1)).collect()
        });
        (
            Just(path),
            prop_oneof![4 => changed, 3 => whole, 1 => cut, 1 => any::<String>()],
        )
    })
}

/// Whether a reply is a well-formed failure, or one that a Go decoder reads.
fn well_formed(path: &str, body: &str, reply: &Reply) -> Result<(), String> {
    match reply {
        Reply::HangUp if path == GET => Ok(()),
        Reply::Answer { status: 200, .. } => accept(path, body, reply, Strictness::Meaning),
        reply => refusal(reply).map(|_| ()),
    }
}

/// Sends the bodies that `bodies` makes of a plugin's good replies to that plugin.
fn run_on<S: Strategy<Value = (String, String)>>(
    open: impl AsyncFnOnce() -> RecordedPlugin,
    bodies: impl FnOnce(Vec<(String, Value)>) -> S,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    let (recorded, replies) =
        local.block_on(&runtime, async { (open().await, good_replies().await) });
    let mut runner = TestRunner::new(Config {
        cases: 3000,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&bodies(replies), |(path, body)| {
        let reply = local.block_on(&runtime, recorded.call(&path, &body));
        well_formed(&path, &body, &reply)
            .map_err(|problem| TestCaseError::fail(format!("{path}: {problem}: {reply:?}")))
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}

async fn good_replies() -> Vec<(String, Value)> {
    let (recorded, mut replies) = (RecordedPlugin::permissive().await, Vec::new());
    for path in paths() {
        let Reply::Answer { body, .. } = recorded.call(&path, &good_body(&path)).await else {
            panic!("{path}")
        };
        replies.push((path, serde_json::from_slice(&body).unwrap()));
    }
    replies
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value) -> Vec<String> {
    let inner: Vec<_> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    let deeper = inner.iter().flat_map(|(key, value)| {
        places(value)
            .into_iter()
            .map(move |place| format!("/{key}{place}"))
    });
    std::iter::once(String::new()).chain(deeper).collect()
}

#[test]
fn any_body_gets_a_well_formed_reply() {
    run_on(RecordedPlugin::permissive, |_| any_body());
}

/// The hooks return what the request says: a good reply with one thing changed.
#[test]
fn any_value_of_a_hook_becomes_a_well_formed_reply() {
    let changed = |replies: Vec<(String, Value)>| {
        let value = prop_oneof![
            any_json(),
            prop::sample::select(TEXTS).prop_map(Value::from)
        ];
        let reply = (
            prop::sample::select(replies),
            any::<prop::sample::Index>(),
            value,
        );
        reply.prop_map(|((path, mut reply), at, value)| {
            let places = places(&reply);
            *reply.pointer_mut(&places[at.index(places.len())]).unwrap() = value;
            let mut body: Value = serde_json::from_str(&good_body(&path)).unwrap_or(json!({}));
            body["Reply"] = reply;
            (path, body.to_string())
        })
    };
    run_on(
        async || RecordedPlugin::every_hook("return req.Reply").await,
        changed,
    );
}
