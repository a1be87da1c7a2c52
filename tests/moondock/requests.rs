//! Requests good and bad, as bytes.

use crate::harness::http::{Connection, request};
use crate::harness::process::{Served, Setup};
use crate::harness::scripted::Scripts;
use serde_json::json;
use std::thread;

const GET: &str = "VolumeDriver.Get";
const GOOD: &str = r#"{"Name":"good"}"#;

fn served() -> Served {
    Setup::with_volume().start()
}

#[test]
fn a_connection_carries_many_calls() {
    let served = served();
    let mut connection = served.connect("vol");
    for n in 0..200 {
        let response = connection
            .call(GET, &format!(r#"{{"Name":"v{n}"}}"#))
            .unwrap();
        assert!(
            response.body.contains(&format!("/m/v{n}\"")),
            "{response:?}"
        );
    }
}

#[test]
fn replies_have_a_length_and_the_content_type_of_docker() {
    let response = served().call("vol", GET, GOOD);
    assert_eq!(
        response.headers["content-type"],
        "application/vnd.docker.plugins.v1.2+json"
    );
    assert_eq!(
        response.headers["content-length"],
        response.body.len().to_string()
    );
    assert!(!response.headers.contains_key("transfer-encoding"));
}

#[test]
fn refusals_are_json_in_both_error_fields_and_keep_the_connection() {
    let served = served();
    let mut connection = served.connect("vol");
    let large = format!(r#"{{"Name":"{}"}}"#, "x".repeat(40 << 20));
    for (request, status) in [
        (request("NoDriver.Get", GOOD), 404),
        (request("", GOOD), 404),
        (request(GET, GOOD).replace("POST", "GET"), 405),
        (request(GET, GOOD).replace("POST", "PUT"), 405),
        (request(GET, &large), 413),
        (chunked(GET, &[&large]), 413),
    ] {
        connection.send(request).unwrap();
        let response = connection.receive().unwrap();
        let body: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(response.status, status, "{body}");
        assert!(
            body["Err"].is_string() && body["Err"] == body["Error"],
            "{body}"
        );
        assert_eq!(connection.call(GET, GOOD).unwrap().status, 200);
    }
}

#[test]
fn oversized_requests_are_refused_before_their_body() {
    let served = served();
    let mut connection = served.connect("vol");
    connection
        .send("POST /VolumeDriver.Get HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        .unwrap();
    assert_eq!(connection.receive().unwrap().status, 413);
    served.assert_answers();
}

#[test]
fn every_form_of_a_request_is_accepted() {
    let served = served();
    let get = |head: &str| {
        format!(
            "POST /VolumeDriver.Get {head}Content-Length: {}\r\n\r\n{GOOD}",
            GOOD.len()
        )
    };
    for bytes in [
        get("HTTP/1.1\r\n"),
        get("HTTP/1.1\r\nHost: plugin.moby.localhost\r\nContent-Type: text/plain\r\n"),
        get("HTTP/1.0\r\n"),
        get("HTTP/1.0\r\nConnection: keep-alive\r\n"),
        chunked(GET, &[GOOD]),
        chunked(GET, &["{\"Na", "me\":", "\"good\"}"]),
        request(GET, GOOD).replace(" /", " http://host/"),
    ] {
        let mut connection = served.connect("vol");
        connection.send(&bytes).unwrap();
        let response = connection
            .receive()
            .unwrap_or_else(|e| panic!("{e}: {bytes}"));
        assert!(
            response.status == 200 && response.body.contains("/m/good"),
            "{bytes}: {response:?}"
        );
    }
}

#[test]
fn expect_100_continue_is_honoured() {
    let served = served();
    let mut connection = served.connect("vol");
    let head = |length| {
        format!(
            "POST /VolumeDriver.Get HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    connection.send(head(GOOD.len())).unwrap();
    assert_eq!(connection.receive().unwrap().status, 100);
    connection.send(GOOD).unwrap();
    assert_eq!(connection.receive().unwrap().status, 200);
    connection.send(head(1 << 30)).unwrap();
    assert_eq!(connection.receive().unwrap().status, 413);
}

#[test]
fn malformed_requests_close_their_connection_only() {
    let served = served();
    let good = request(GET, GOOD);
    for (bytes, answers) in [
        ("\0\u{1}\u{2}junk\r\n\r\n".to_owned(), 1),
        ("GET\r\n\r\n".to_owned(), 1),
        (
            format!(
                "POST /VolumeDriver.Get HTTP/1.1\r\nX: {}\r\n\r\n",
                "x".repeat(200_000)
            ),
            1,
        ),
        (
            format!(
                "POST /VolumeDriver.Get HTTP/1.1\r\n{}\r\n",
                "A: b\r\n".repeat(500)
            ),
            1,
        ),
        (
            "POST /VolumeDriver.Get HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
            1,
        ),
        (
            "POST /VolumeDriver.Get HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
                .to_owned(),
            0,
        ),
        ("POST /VolumeDriver.Get HT".to_owned(), 0),
        (good[..good.len() - 4].to_owned(), 0),
        (format!("{good}junk\r\n\r\n"), 2),
        (format!("{good}{good}{}", &good[..30]), 2),
        (String::new(), 0),
    ] {
        let mut connection = served.connect("vol");
        // The server may have closed already, having seen enough.
        let _ = connection.send(&bytes);
        connection.finish_sending();
        let seen = std::iter::from_fn(|| connection.receive().ok()).count();
        assert!(seen <= answers, "{seen} answers to {bytes:.60}");
        served.assert_answers();
    }
}

#[test]
fn a_call_finishes_after_its_client_disconnects() {
    let served = served();
    let mut connection = served.connect("vol");
    connection
        .send(request(
            "VolumeDriver.Create",
            r#"{"Name":"orphan","Opts":{"sleep":"0.3"}}"#,
        ))
        .unwrap();
    drop(connection);
    served.wait_for_log("orphan");
    served.assert_answers();
}

#[test]
fn connections_are_answered_concurrently() {
    let served = served();
    let mut slow: Vec<Connection> = (0..64).map(|_| served.connect("vol")).collect();
    for connection in &mut slow {
        let body = r#"{"Name":"slow","Opts":{"sleep":"0.5"}}"#;
        connection
            .send(request("VolumeDriver.Create", body))
            .unwrap();
    }
    let begun = std::time::Instant::now();
    served.assert_answers();
    slow.iter_mut()
        .for_each(|connection| assert_eq!(connection.receive().unwrap().status, 200));
    assert!(begun.elapsed().as_secs() < 10);
}

#[test]
fn concurrent_clients_get_their_own_replies() {
    let served = served();
    thread::scope(|scope| {
        for client in 0..64 {
            let mut connection = served.connect("vol");
            scope.spawn(move || {
                for n in 0..50 {
                    let response = connection
                        .call(GET, &format!(r#"{{"Name":"c{client}-{n}"}}"#))
                        .unwrap();
                    assert!(
                        response.body.contains(&format!("/m/c{client}-{n}\"")),
                        "{response:?}"
                    );
                }
            });
        }
    });
}

#[test]
fn a_call_is_logged_in_one_line_without_its_body() {
    let served = served();
    let body = r#"{"Name":"told","Opts":{"password":"hunter2"}}"#;
    assert_eq!(served.call("vol", "VolumeDriver.Create", body).status, 200);
    served.wait_for_log("told");
    let log = served.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("told")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(
        lines[0].contains("VolumeDriver.Create") && lines[0].contains("vol"),
        "{log}"
    );
    assert!(!log.contains("hunter2"), "{log}");
}

fn chunked(method: &str, parts: &[&str]) -> String {
    let chunks: String = parts
        .iter()
        .map(|part| format!("{:x}\r\n{part}\r\n", part.len()))
        .collect();
    format!(
        "POST /{method} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    )
}

#[test]
fn oversized_secrets_are_refused_with_their_size() {
    let script = "return { get_secret = function(req) return { Value = string.rep('x', tonumber(req.SecretName)) } end }";
    Scripts::new([("secret.lua", script)]).open(async |plugin| {
        for (size, fine) in [(0, false), (1, true), (511_999, true), (512_000, false)] {
            let request = json!({ "SecretName": size.to_string() });
            if fine {
                assert_eq!(
                    plugin.call("SecretProvider.GetSecret", request).await.0,
                    200,
                    "{size}"
                );
                continue;
            }
            let error = plugin.error("SecretProvider.GetSecret", request).await;
            let expected = format!(
                "`get_secret`: the reply's `Value` has {size} bytes, and must have 1 to 511999"
            );
            assert_eq!(error, format!("secret.lua:1: {expected}"));
        }
    });
}
