//! What engines really sent to authorization plugins, judged as a policy would see it.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use moondock::authz::{
    Announced, Body, Document, Kind, Node, PassedBody, Refusal, Target, host_paths,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Recorded from engines 20.10.24, 26.1.5 and 28.5.2; repeated and cut calls left out.
const CALLS: &str = include_str!("../golden/authz-requests.jsonl");
const SEEN: &str = include_str!("../golden/authz-seen.txt");

#[derive(Deserialize)]
pub struct Call {
    engine: String,
    pub op: String,
    pub request: Request,
    /// The engine's message as a whole.
    #[serde(skip)]
    pub message: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    request_method: String,
    request_uri: String,
    #[serde(default)]
    request_headers: BTreeMap<String, String>,
    request_body: Option<String>,
}

impl Request {
    pub fn target(&self) -> Target<'_> {
        Target::parse(&self.request_method, &self.request_uri)
    }

    pub fn body(&self) -> Result<Body, Refusal> {
        let headers = self
            .request_headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Body::read(
            &self.target(),
            &Announced::of(headers),
            self.request_body
                .as_deref()
                .map_or(PassedBody::None, PassedBody::decode),
        )
    }
}

pub fn calls() -> impl Iterator<Item = Call> {
    CALLS.lines().map(|line| {
        let message = serde_json::from_str::<Value>(line).unwrap()["request"].take();
        let call = serde_json::from_str(line).unwrap();
        Call { message, ..call }
    })
}

/// One line a call: what ran, what the policy sees.
fn seen(call: &Call) -> String {
    let target = call.request.target();
    let mut line = format!(
        "{} {}: {} {} {}",
        call.engine,
        call.op,
        target.action().unwrap_or("nil"),
        target.effect().as_str(),
        target.id().unwrap_or("-"),
    );
    let mounts = |body: &Body| {
        let document = body.document().filter(|_| target.action().is_some());
        document
            .map(|document| host_paths(target.action().unwrap(), document))
            .transpose()
    };
    let _ = match call
        .request
        .body()
        .and_then(|body| Ok((body.state(), mounts(&body)?.unwrap_or_default())))
    {
        Ok((state, mounts)) => {
            let mounts: Vec<_> = mounts
                .iter()
                .map(|mount| format!(" {}={}", mount.via, mount.source))
                .collect();
            write!(line, " {state}{}", mounts.concat())
        }
        Err(refusal) => write!(line, " REFUSED {refusal}"),
    };
    line
}

#[test]
fn recorded_requests_have_the_expected_actions() {
    let lines: Vec<_> = calls().map(|call| seen(&call)).collect();
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/authz-seen.txt");
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    for (line, want) in lines.iter().zip(SEEN.lines()) {
        assert_eq!(line, want);
    }
    assert_eq!(lines.len(), SEEN.lines().count());
}

#[test]
fn recorded_bodies_read_the_same_as_with_another_decoder() {
    for call in calls() {
        let Ok(Body::Json(document)) = call.request.body() else {
            continue;
        };
        let bytes = STANDARD.decode(call.request.request_body.unwrap()).unwrap();
        assert_eq!(
            value(document.root()),
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            "{}",
            call.op
        );
    }
}

fn value(node: Node<'_>) -> Value {
    match node.kind() {
        Kind::Null => Value::Null,
        Kind::Bool => node.as_bool().into(),
        Kind::Number => node
            .as_i64()
            .map_or_else(|| node.as_f64().into(), Value::from),
        Kind::String => node.as_str().unwrap().into(),
        Kind::Array => node.items().map(value).collect(),
        Kind::Object => node
            .entries()
            .map(|(key, node)| (key.into_owned(), value(node)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// The bodies near the engines' limits were recorded with their ends cut off, so these are made anew.
#[test]
fn bodies_at_the_engines_limits_are_judged() {
    for size in [1_048_000, 2_000_000, 4_100_000] {
        let mut call = create_of(size);
        assert_eq!(
            call.body()
                .unwrap()
                .document()
                .map(|document| document.text().len()),
            Some(size)
        );
        call.request_body = None;
        assert_eq!(call.body().unwrap_err(), Refusal::Withheld);
        call.request_headers.remove("Content-Length");
        assert_eq!(call.body().unwrap_err(), Refusal::Withheld);
    }
}

fn create_of(size: usize) -> Request {
    let body = r#"{"Image":"busybox","Cmd":["true"],"Labels":{"pad":""}}"#;
    let body = body.replace("\"\"", &format!("\"{}\"", "A".repeat(size - body.len())));
    let headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", &size.to_string()),
    ];
    Request {
        request_method: "POST".into(),
        request_uri: "/v1.41/containers/create?name=c9".into(),
        request_headers: headers
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        request_body: Some(STANDARD.encode(body)),
    }
}

/// By hand: `cargo test --release --test moondock authz_speed -- --ignored --nocapture`.
#[test]
#[ignore = "it measures, it asserts nothing"]
fn authz_speed() {
    let create = calls().find(|call| call.op == "az-run").unwrap().request;
    let small = calls()
        .find(|call| call.request.request_uri.ends_with("/containers/create"))
        .unwrap();
    let small = STANDARD
        .decode(small.request.request_body.unwrap())
        .unwrap();
    measure("Target::parse GET containers/json", 0, || {
        Target::parse("GET", "/v1.41/containers/json")
            .route
            .is_some()
    });
    measure("Target::parse POST containers/ID/update", 0, || {
        Target::parse(
            "POST",
            "/v1.41/containers/0543474ce7eb9d600095fcbbe147165c/update",
        )
        .route
        .is_some()
    });
    measure("Body::read create", 0, || create.body().is_ok());
    measure("Document::parse create", small.len(), || {
        Document::parse(small.clone()).is_ok()
    });
    let document = Document::parse(small.clone()).unwrap();
    measure("two fields", 0, || {
        let config = document.root().get("HostConfig").unwrap();
        config.get("Privileged").is_some() && config.get("PidMode").is_some()
    });
    for size in [64 << 10, 512 << 10, 4 << 20] {
        let entries = |what: &dyn Fn(usize) -> String, unit: usize| {
            (0..size / unit).map(what).collect::<Vec<_>>().join(",")
        };
        let shapes = [
            (
                "one string",
                format!("{{\"Labels\":{{\"pad\":\"{}\"}}}}", "A".repeat(size)),
            ),
            (
                "labels",
                format!(
                    "{{\"Labels\":{{{}}}}}",
                    entries(&|n| format!("\"key{n:08}\":\"value\""), 22)
                ),
            ),
            (
                "create",
                format!(
                    "[{}]",
                    entries(
                        &|_| String::from_utf8_lossy(&small).into_owned(),
                        small.len()
                    )
                ),
            ),
            ("zeros", format!("[{}]", entries(&|_| "0".into(), 2))),
        ];
        for (name, text) in shapes {
            measure(
                &format!("Document::parse {name} {}K", size >> 10),
                text.len(),
                || Document::parse(text.clone()).is_ok(),
            );
        }
    }
}

fn measure(name: &str, bytes: usize, mut work: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    let mut rounds = 0_u32;
    while start.elapsed().as_millis() < 300 {
        for _ in 0..if bytes > 10_000 { 1 } else { 1000 } {
            assert!(std::hint::black_box(work()));
            rounds += 1;
        }
    }
    let each = start.elapsed().as_nanos() as f64 / f64::from(rounds);
    println!(
        "{name}: {each:.0} ns, {:.0} MB/s",
        bytes as f64 * 1000.0 / each
    );
}
