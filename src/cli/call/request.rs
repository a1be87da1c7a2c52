//! What Docker adds to a request, for requests that a person writes.

use crate::protocol::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The bodies in the requests of policies, each with its headers.
const BODIES: [(&str, &str); 2] = [
    ("RequestBody", "RequestHeaders"),
    ("ResponseBody", "ResponseHeaders"),
];

/// The fields with log entries.
const ENTRIES: [&str; 2] = ["Entry", "Entries"];

/// Completes a request as the engine and Moondock would: a body that is written as JSON is encoded
/// in Base64, and gets its headers, and log entries get their numbers. What is there stays, and what
/// is no object is passed on.
pub fn completed(method: &Method, request: Bytes) -> Bytes {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&request) else {
        return request;
    };
    let before = fields.clone();
    let has = |name: &str| method.request.field(name).is_some();
    for (body, headers) in BODIES.into_iter().filter(|(body, _)| has(body)) {
        encode_body(&mut fields, body, headers);
    }
    for name in ENTRIES.into_iter().filter(|name| has(name)) {
        if let Some(entries) = fields.get_mut(name) {
            number(entries);
        }
    }
    // Otherwise it stays as it was written, with fields that are there twice.
    if fields == before {
        return request;
    }
    Value::Object(fields).to_string().into()
}

fn encode_body(fields: &mut Map<String, Value>, body: &str, headers: &str) {
    let text = match fields.get(body) {
        Some(value @ (Value::Object(_) | Value::Array(_))) => value.to_string(),
        // Base64 has no braces.
        Some(Value::String(text)) if text.trim_start().starts_with(['{', '[']) => text.clone(),
        _ => return,
    };
    fields.insert(body.to_owned(), STANDARD.encode(&text).into());
    let own =
        json!({ "Content-Type": "application/json", "Content-Length": text.len().to_string() });
    fields.entry(headers).or_insert(own);
}

/// Numbers the entries that have no number.
fn number(entries: &mut Value) {
    let entries = match entries {
        Value::Array(entries) => entries.iter_mut(),
        entry => std::slice::from_mut(entry).iter_mut(),
    };
    for (number, entry) in (1..).zip(entries) {
        if let Value::Object(entry) = entry {
            entry.entry("seq").or_insert(Value::from(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::methods;

    #[test]
    fn other_requests_stay_as_they_are_written() {
        let method = methods().find(|method| method.key() == "volume.create");
        let text = "{ \"Name\": \"a\", \"Name\": \"b\" }";
        assert_eq!(completed(method.unwrap(), text.into()), text);
    }

    #[test]
    fn what_is_written_by_hand_is_completed() {
        let completed = |key: &str, request: Value| {
            let method = methods().find(|method| method.key() == key).unwrap();
            let text = completed(method, request.to_string().into());
            serde_json::from_slice::<Value>(&text).unwrap()
        };
        let headers = json!({ "Content-Type": "application/json", "Content-Length": "7" });
        for body in [json!({ "a": 1 }), json!("{\"a\":1}")] {
            assert_eq!(
                completed("authz.request", json!({ "RequestBody": body })),
                json!({ "RequestBody": "eyJhIjoxfQ==", "RequestHeaders": headers })
            );
        }
        for same in [
            json!({ "RequestBody": "eyJhIjoxfQ==" }),
            json!({ "RequestBody": null }),
            json!([1]),
        ] {
            assert_eq!(completed("authz.request", same.clone()), same);
        }
        assert_eq!(
            completed("log.write_batch", json!({ "Entries": [{}, { "seq": 9 }] })),
            json!({ "Entries": [{ "seq": 1 }, { "seq": 9 }] })
        );
        assert_eq!(
            completed("log.write", json!({ "Entry": {} })),
            json!({ "Entry": { "seq": 1 } })
        );
    }
}
