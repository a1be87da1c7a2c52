use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::authz::JsonFault;

fn value(node: Node<'_>) -> Value {
    match node.kind() {
        Kind::Null => Value::Null,
        Kind::Bool => node.as_bool().unwrap().into(),
        Kind::Number => serde_json::from_str(node.number().unwrap()).unwrap(),
        Kind::String => node.as_str().unwrap().into(),
        Kind::Array => node.items().map(value).collect(),
        Kind::Object => node
            .entries()
            .map(|(key, node)| (key.into_owned(), value(node)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn parse(text: &str) -> Result<Document, JsonFault> {
    Document::parse(text).map_err(|refusal| match refusal {
        Refusal::Json { fault, at } => {
            assert!(at <= text.len());
            fault
        }
        other => panic!("{other}"),
    })
}

#[test]
fn reads_fields_as_the_engine_does() {
    let document = parse(
        r#"{"hostCONFIG":{"Privileged":true,"Sysctls":{"a":"1","A":"2"}},"Cmd":["\u00e9\ud83d\ude00\n"]}"#,
    )
    .unwrap();
    let config = document.root().get("HostConfig").unwrap();
    assert_eq!(config.get("privileged").and_then(Node::as_bool), Some(true));
    let sysctls = config.get("sysctls").unwrap();
    assert!(sysctls.is_map() && sysctls.get("b").is_none());
    assert_eq!(
        sysctls.get("A").and_then(Node::as_str).as_deref(),
        Some("2")
    );
    let cmd = document.root().get("Cmd").unwrap();
    assert_eq!(
        cmd.items().next().and_then(Node::as_str).as_deref(),
        Some("é😀\n")
    );
    assert_eq!(document.node(cmd.id()).unwrap().kind(), Kind::Array);
    assert!(
        cmd.get("x").is_none() && cmd.entries().next().is_none() && config.items().next().is_none()
    );
}

#[test]
fn numbers() {
    let document = parse("[9007199254740993, 1.5, 1e3, -0, 9223372036854775808]").unwrap();
    let integers: Vec<_> = document.root().items().map(Node::as_i64).collect();
    assert_eq!(
        integers,
        [Some(9_007_199_254_740_993), None, None, Some(0), None]
    );
    let floats: Vec<_> = document.root().items().filter_map(Node::as_f64).collect();
    assert_eq!(
        floats,
        [
            9_007_199_254_740_992.0,
            1.5,
            1000.0,
            0.0,
            9_223_372_036_854_775_808.0
        ]
    );
}

#[test]
fn refuses_documents_with_two_readings() {
    let twice = |one: &str, two: &str| JsonFault::Duplicate(one.into(), two.into());
    let table = [
        (r#"{"A":1,"a":2}"#, twice("A", "a")),
        (r#"{"A":1,"b":{},"A":2}"#, twice("A", "A")),
        (
            r#"{"Kind":1,"ind":2,"\u212aIND":3}"#,
            twice("Kind", "\u{212a}IND"),
        ),
        (
            r#"{"DriverOpts":{},"driverOptſ":{}}"#,
            twice("DriverOpts", "driverOptſ"),
        ),
        (r#"{"Labels":{"a":"","\u0061":""}}"#, twice("a", "a")),
        (
            r#"{"NetworkingConfig":{"EndpointsConfig":{"Labels":{"X":1,"x":2}}}}"#,
            twice("X", "x"),
        ),
        (r#"{"Mounts":[{"Type":1,"type":2}]}"#, twice("Type", "type")),
        ("{} {}", JsonFault::Trailing),
        ("{}}", JsonFault::Trailing),
        (r#""\ud800""#, JsonFault::Surrogate),
        (r#""\udc00\ud800""#, JsonFault::Surrogate),
        (r#""\ud800\u0041""#, JsonFault::Surrogate),
        ("\"a\tb\"", JsonFault::Control),
        ("", JsonFault::Incomplete),
        (" \n", JsonFault::Incomplete),
        (r#"{"a""#, JsonFault::Incomplete),
        ("[1,", JsonFault::Incomplete),
        ("[1,]", JsonFault::Syntax),
        (r#"{"a":1,}"#, JsonFault::Syntax),
        ("\u{feff}{}", JsonFault::Syntax),
        ("nul", JsonFault::Syntax),
        ("NaN", JsonFault::Syntax),
        ("01", JsonFault::Number),
        ("-", JsonFault::Number),
        ("1.", JsonFault::Number),
        ("1e400", JsonFault::Number),
        ("[1-2]", JsonFault::Number),
    ];
    for (text, fault) in table {
        assert_eq!(parse(text).err(), Some(fault), "{text}");
    }
    assert!(
        Document::parse(*b"\"\xff\"").is_err() && Document::parse(*b"\"\xed\xa0\x80\"").is_err()
    );
}

#[test]
fn bounds() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(Document::MAX_DEPTH)).is_ok());
    assert_eq!(
        parse(&nested(Document::MAX_DEPTH + 1)).err(),
        Some(JsonFault::Depth)
    );
    assert_eq!(parse(&"[".repeat(1 << 20)).err(), Some(JsonFault::Depth));
    assert!(Document::parse(vec![b' '; Document::MAX_BYTES + 1]).is_err());
}

#[test]
fn maps_keep_keys_that_differ_in_case() {
    for text in [
        r#"{"Labels":{"a":"1","A":"2"}}"#,
        r#"{"HostConfig":{"LogConfig":{"Config":{"tag":"","TAG":""}}}}"#,
        r#"{"Mounts":[{"VolumeOptions":{"DriverConfig":{"Options":{"O":"","o":""}}}}]}"#,
        r#"{"NetworkingConfig":{"EndpointsConfig":{"n":{"DriverOpts":{"k":"","K":""}},"N":{}}}}"#,
        r#"{"PortBindings":{"80/tcp":[{"HostPort":"1"}],"80/TCP":[{"HostPort":"1"}]}}"#,
    ] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

/// Many keys of one hash, and many keys, cost no more than their number says: this ends at once or
/// it does not.
#[test]
fn hostile_keys_cost_no_quadratic_time() {
    let case = |n: u32| {
        (0..20)
            .map(|bit| if n >> bit & 1 == 1 { 'A' } else { 'a' })
            .collect::<String>()
    };
    let labels: Vec<_> = (0..150_000).map(|n| format!("\"{}\":0", case(n))).collect();
    assert!(parse(&format!("{{\"Labels\":{{{}}}}}", labels.join(","))).is_ok());
    assert!(parse(&format!("{{\"Other\":{{{}}}}}", labels.join(","))).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        let key = prop_oneof!["[a-c]{1,2}", "(Labels|Options|x|é|\"|\\\\|\u{1}){0,2}"];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            hash_map(key, inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

fn folded(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            'ſ' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

proptest! {
    #[test]
    fn agrees_with_serde_json(tree in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
        prop_assert_eq!(value(parse(&text).unwrap().root()), tree);
    }

    #[test]
    fn mutations_never_panic_and_accept_only_json(tree in any_json(), edits in vec((any::<u16>(), any::<u8>()), 1..4)) {
        let mut bytes = serde_json::to_vec(&tree).unwrap();
        for (at, byte) in edits {
            let at = usize::from(at) % bytes.len();
            bytes[at] = if byte > 128 { b"{}[]\",:\\u0eE-."[usize::from(byte) % 14] } else { byte };
        }
        if let Ok(document) = Document::parse(bytes.clone()) {
            prop_assert_eq!(value(document.root()), serde_json::from_slice::<Value>(&bytes).unwrap());
        }
    }

    #[test]
    fn strings_of_any_form(text in "[\\PC\\x00-\\x1f\"\\\\]{0,40}", ascii: bool) {
        let mut raw = serde_json::to_string(&text).unwrap();
        if ascii {
            raw = raw.chars().map(|c| if c.is_ascii() { c.to_string() } else {
                c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect()
            }).collect();
        }
        let document = parse(&raw).unwrap();
        prop_assert_eq!(document.root().as_str().unwrap(), text);
    }

    #[test]
    fn folding_follows_the_model(keys in vec("(k|K|\u{212a}|s|S|ſ|a|A|1|_){1,3}", 1..6), probe in "(k|\u{212a}|S|ſ|a){1,3}") {
        let text = format!("{{{}}}", keys.iter().enumerate().map(|(at, key)| format!("\"{key}\":{at}")).collect::<Vec<_>>().join(","));
        let distinct: std::collections::HashSet<_> = keys.iter().map(|key| folded(key)).collect();
        match parse(&text) {
            Ok(document) => {
                prop_assert_eq!(distinct.len(), keys.len());
                let want = keys.iter().position(|key| folded(key) == folded(&probe)).and_then(|at| i64::try_from(at).ok());
                prop_assert_eq!(document.root().get(&probe).and_then(Node::as_i64), want);
            }
            Err(fault) => {
                prop_assert!(matches!(fault, JsonFault::Duplicate(..)), "{fault}");
                prop_assert!(distinct.len() < keys.len());
            }
        }
    }

    #[test]
    fn every_duplicate_is_refused(tree in any_json(), key in "[a-zA-Z]{1,8}", upper: bool) {
        let twin = if upper { key.to_uppercase() } else { key.to_lowercase() };
        let text = format!("{{\"{key}\":{tree},\"x1\":[{tree}],\"{twin}\":{}}}", json!(1));
        prop_assert!(matches!(parse(&text), Err(JsonFault::Duplicate(..))));
    }
}
