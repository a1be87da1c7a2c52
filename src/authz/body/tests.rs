use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn state(call: &str, media: &str, length: &str, body: Option<&str>) -> String {
    let (method, uri) = call.split_once(' ').unwrap();
    let headers = [("content-type", media), ("Content-Length", length)];
    let announced = Announced::of(headers.into_iter().filter(|(_, value)| !value.is_empty()));
    let passed = body.map_or(PassedBody::None, |body| PassedBody::Bytes(body.into()));
    match Body::read(&Target::parse(method, uri), &announced, passed) {
        Ok(body) => body.state().to_owned(),
        Err(refusal) => format!("{refusal:?}")
            .split([' ', '('])
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

#[test]
fn states() {
    let table = [
        ("GET /version", "", "", None, "none"),
        (
            "POST /v1.41/containers/create",
            JSON,
            "2",
            Some("{}"),
            "json",
        ),
        (
            "POST /containers/create",
            "application/json; charset=utf-8",
            "",
            Some("{}"),
            "json",
        ),
        ("POST /containers/c/stop", "", "", None, "none"),
        ("POST /containers/c/stop", JSON, "0", None, "none"),
        ("POST /containers/c/attach", "text/plain", "0", None, "none"),
        ("DELETE /containers/c", "", "", None, "none"),
        ("GET /containers/json", JSON, "", None, "none"),
        ("POST /containers/c/stop", JSON, "2", Some("{}"), "json"),
        ("POST /containers/c/start", "", "0", None, "none"),
        ("POST /containers/c/start", "text/plain", "0", None, "none"),
        ("POST /containers/c/start", "", "", None, "none"),
        ("POST /containers/c/start", JSON, "2", Some("{}"), "json"),
        (
            "PUT /containers/c/archive?path=/",
            "text/plain",
            "",
            None,
            "opaque",
        ),
        ("POST /build", JSON, "", Some("{}"), "opaque"),
        ("POST /images/create?fromImage=x", "", "0", None, "none"),
        ("POST /images/create?fromImage=x", "", "", None, "none"),
        (
            "POST /images/create?fromImage=x",
            JSON,
            "2",
            Some("{}"),
            "json",
        ),
        (
            "POST /images/create?fromSrc=-&repo=x",
            "text/plain",
            "",
            None,
            "opaque",
        ),
        ("POST /build", "application/x-tar", "", None, "opaque"),
        ("POST /session", "", "0", None, "none"),
        ("POST /auth", JSON, "70", None, "opaque"),
        ("POST /auth", JSON, "2", Some("{}"), "json"),
        ("POST /commit?container=c", "", "0", None, "none"),
        ("POST /what/ever", "", "", None, "opaque"),
        ("POST /what/ever", JSON, "2", Some("{}"), "json"),
        ("GET /what/ever", "", "", None, "none"),
    ];
    for (call, media, length, body, want) in table {
        assert_eq!(
            state(call, media, length, body),
            want,
            "{call} {media} {length} {body:?}"
        );
    }
}

#[test]
fn refusals() {
    let table = [
        ("POST /containers/create", JSON, "2000000", None, "Withheld"),
        ("POST /containers/create", JSON, "", None, "Withheld"),
        ("POST /commit", JSON, "", None, "Withheld"),
        ("POST /what/ever", JSON, "", None, "Withheld"),
        ("POST /containers/c/stop", JSON, "3", None, "Withheld"),
        (
            "POST /containers/create?x=/auth",
            JSON,
            "3",
            None,
            "Withheld",
        ),
        ("POST /swarm/init", "text/plain", "3", None, "NotJson"),
        ("POST /swarm/init", "text/plain", "", None, "NotJson"),
        ("POST /commit", "", "", None, "NotJson"),
        ("POST /containers/create", "", "0", None, "MissingBody"),
        ("POST /containers/create", "", "", None, "MissingBody"),
        ("POST /v1.45/volumes/create", JSON, "0", None, "MissingBody"),
        (
            "POST /v1.20/containers/c/start",
            JSON,
            "18",
            Some("{\"Binds\":[]}"),
            "UnexpectedBody",
        ),
        ("POST /v1.20/containers/c/start", JSON, "", None, "Withheld"),
        ("POST /containers/c/start", "", "9", None, "NoBody"),
        ("POST /containers/c/start", "text/plain", "", None, "NoBody"),
        (
            "POST /images/create?fromImage=x",
            JSON,
            "9",
            None,
            "Withheld",
        ),
        (
            "POST /images/create?fromImage=x",
            JSON,
            "",
            None,
            "Withheld",
        ),
        (
            "POST /images/create?fromImage=x",
            "text/plain",
            "9",
            None,
            "NoBody",
        ),
        (
            "POST /images/create?fromImage=x",
            "text/plain",
            "",
            None,
            "NoBody",
        ),
        (
            "POST /images/create?fromSrc=http://x",
            "x/y",
            "",
            None,
            "NoBody",
        ),
        ("POST /images/create?fromSrc=-", JSON, "9", None, "Withheld"),
        ("POST /build", JSON, "", None, "Withheld"),
        ("POST /session", JSON, "3", None, "Withheld"),
        (
            "PUT /containers/c/archive?path=/",
            JSON,
            "",
            None,
            "Withheld",
        ),
        ("POST /containers/c/stop", JSON, "", None, "Withheld"),
        ("POST /containers/c/kill", "text/plain", "9", None, "NoBody"),
        ("POST /containers/c/kill", "", "9", None, "NoBody"),
        ("POST /containers/c/kill", "text/plain", "", None, "NoBody"),
        ("DELETE /containers/c", "text/plain", "", None, "NoBody"),
        ("DELETE /containers/c", JSON, "9", None, "Withheld"),
        ("GET /containers/json", "text/plain", "9", None, "NoBody"),
        (
            "POST /images/create?fromImage=good",
            FORM,
            "14",
            None,
            "Form",
        ),
        (
            "POST /containers/create",
            "Application/X-WWW-form-urlencoded ; a=b",
            "14",
            None,
            "Form",
        ),
        (
            "DELETE /containers/c",
            "multipart/form-data; boundary=x",
            "",
            None,
            "Form",
        ),
        (
            "GET /containers/c/logs",
            "multipart/form-data; boundary=x",
            "",
            None,
            "Form",
        ),
        (
            "POST /build",
            "appl\u{130}cation/x-www-form-urlencoded",
            "",
            None,
            "Header",
        ),
        ("POST /containers/create", JSON, "-1", None, "Header"),
        (
            "POST /containers/create?a;b",
            JSON,
            "2",
            Some("{}"),
            "Query",
        ),
        ("POST /containers/create", JSON, "2", Some("{} {}"), "Json"),
        ("POST /containers/c/stop", JSON, "2", Some("{"), "Json"),
    ];
    for (call, media, length, body, want) in table {
        assert_eq!(
            state(call, media, length, body),
            want,
            "{call} {media} {length} {body:?}"
        );
    }
}

#[test]
fn broken_base64_is_refused() {
    let target = Target::parse("POST", "/containers/create");
    let error = Body::read(&target, &Announced::default(), PassedBody::decode("{}")).unwrap_err();
    assert_eq!(error, Refusal::Base64);
}

#[test]
fn messages_are_one_line_for_the_user() {
    let target = Target::parse("POST", "/containers/create");
    let passed = PassedBody::Bytes("{\"Name\\n\":1,\"name\\n\":2}".into());
    let error = Body::read(&target, &Announced::default(), passed)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the request body is refused: the keys `Name\\n` and `name\\n` of one object mean the same (at byte 13)"
    );
}
