//! The requests of Docker's client for a command line, against those that the client of 20.10.24 really sent.

use moondock::client::{ApiRequest, ID, requests};
use serde_json::{Value, json};

/// Each line is a command, and the requests that the real client sent to a server that agrees to everything, with
/// its IDs replaced by ours; or that it refused the command by itself.
const RECORDED: &str = include_str!("../golden/docker-client.jsonl");

fn recorded() -> impl Iterator<Item = Value> {
    RECORDED
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
}

/// What differs by design: the order of binds, which the client takes from a map, the content of files, and what the
/// engine has said before.
fn evened(mut body: Value, uri: &str) -> Value {
    if let Some(binds) = body
        .pointer_mut("/HostConfig/Binds")
        .and_then(Value::as_array_mut)
    {
        binds.sort_by_key(Value::to_string);
    }
    if uri.ends_with("/secrets/create") || uri.ends_with("/configs/create") {
        body["Data"] = "".into();
    }
    if let Some(networks) = body.pointer_mut("/TaskTemplate/Networks") {
        *networks = json!(networks.as_array().map(Vec::len));
    }
    body
}

/// A path without the name of a thing that the engine would have told, and without a version that it would have.
fn same_place(uri: &str) -> String {
    uri.replace("/nodes/n1", &format!("/nodes/{ID}"))
        .replace("?version=5", "?version=1")
}

fn shown(requests: &[ApiRequest]) -> Vec<Value> {
    let headers = |request: &ApiRequest| {
        let told =
            |name: &str| matches!(name, "Content-Type" | "Connection" | "Upgrade" | "Version");
        let pairs = request.headers.iter().filter(|(name, _)| told(name));
        Value::Object(
            pairs
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect(),
        )
    };
    let one = |request: &ApiRequest| {
        json!({
            "method": request.method,
            "uri": same_place(&request.uri),
            "headers": headers(request),
            "body": evened(request.body.clone().unwrap_or_default(), &request.uri),
        })
    };
    requests.iter().map(one).collect()
}

fn wanted(row: &Value) -> Vec<Value> {
    let one = |request: &Value| {
        let uri = request["uri"].as_str().unwrap();
        json!({
            "method": request["method"],
            "uri": same_place(uri),
            "headers": request.get("headers").cloned().unwrap_or_else(|| json!({})),
            "body": evened(request["body"].clone(), uri),
        })
    };
    row["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(one)
        .collect()
}

/// The fields in which two bodies differ.
fn differences(path: &str, got: &Value, wanted: &Value, found: &mut Vec<String>) {
    match (got, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(json!("(missing)"))
                };
                differences(&format!("{path}.{key}"), &of(a), &of(b), found);
            }
        }
        _ if got == wanted => {}
        _ => found.push(format!("{path}: {got}, not {wanted}")),
    }
}

#[test]
fn the_requests_are_those_of_the_real_client() {
    let mut wrong = Vec::new();
    let rows: Vec<_> = recorded().collect();
    assert!(rows.len() > 200, "{}", rows.len());
    for row in &rows {
        let command = row["command"].as_str().unwrap();
        match (requests(command), row["refused"] == true) {
            (Ok(got), true) => wrong.push(format!("{command}\n  is not refused: {}", got.len())),
            (Err(_), true) => {}
            (Err(problem), false) => wrong.push(format!("{command}\n  is refused: {problem}")),
            (Ok(got), false) => {
                let mut found = Vec::new();
                let (got, wanted) = (shown(&got), wanted(row));
                if got.len() != wanted.len() {
                    found.push(format!("{} requests, not {}", got.len(), wanted.len()));
                }
                for (a, b) in got.iter().zip(&wanted) {
                    differences("", a, b, &mut found);
                }
                if !found.is_empty() {
                    wrong.push(format!("{command}\n  {}", found.join("\n  ")));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}
