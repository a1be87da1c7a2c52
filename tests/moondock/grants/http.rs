//! Requests of scripts: where they may go, and what comes back.

use super::{fine, refused};
use base64::Engine;
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves each connection by `answer`, which is given the request and writes what it likes, until the test ends.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let request = read(&mut stream);
                answer(&request, &mut stream);
            });
        }
    });
    address
}

/// A request's head and body.
fn read(stream: &mut impl Read) -> String {
    let mut reader = BufReader::new(stream);
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let start = text.len();
        if reader.read_line(&mut text).unwrap_or_default() == 0 || text[start..].trim().is_empty() {
            break;
        }
        if let Some(value) = text[start..]
            .to_ascii_lowercase()
            .strip_prefix("content-length:")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    text + &String::from_utf8_lossy(&body)
}

/// Says back what it was asked.
fn echo(request: &str, stream: &mut impl Write) {
    let head = "HTTP/1.1 200 OK\r\nX-One: 1\r\nX-One: 2\r\nContent-Length: ";
    let _ = write!(stream, "{head}{}\r\n\r\n{request}", request.len());
}

/// Leads from `/to?URL` to the URL, with the status in `/STATUS/to?URL` or 302.
fn lead(request: &str, stream: &mut TcpStream) {
    let target = request.split(' ').nth(1).unwrap_or_default();
    match target.split_once("to?") {
        Some((status, url)) => {
            let status = status.trim_matches('/').parse().unwrap_or(302);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} On\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n"
            );
        }
        None => echo(request, stream),
    }
}

fn grant(address: SocketAddr) -> String {
    format!("http:{address}")
}

#[test]
fn a_request_is_sent_as_it_is_said_and_its_answer_told() {
    let server = serve(echo);
    let body = format!(
        r#"local answer = http.request({{ url = "http://{server}/a?b=c#d", method = "PUT", body = "text\0", headers = {{ ["X-Token"] = "t" }} }})
        assert(answer.status == 200 and answer.headers["x-one"] == "1, 2", answer.headers["x-one"])
        for _, part in {{ "PUT /a?b=c HTTP/1.1\r\n", "host: {server}\r\n", "x-token: t\r\n", "content-length: 5\r\n", "\r\n\r\ntext\0" }} do
          assert(string.find(answer.body, part, 1, true), part .. " in " .. answer.body)
        end"#
    );
    fine(&[&grant(server)], &body);
}

#[test]
fn a_request_goes_only_where_it_is_granted() {
    let (server, other) = (serve(lead), serve(echo));
    let granted = [
        &*grant(server),
        "http:granted.invalid",
        "http:*.below.invalid",
    ];
    let ask = |url: &str| format!("http.request({{ url = \"{url}\" }})");
    for (url, why) in [
        (
            format!("http://{other}/"),
            format!("`http:{other}` is not granted: add \"http:{other}\""),
        ),
        (
            format!("http://{server}@{other}/"),
            "must not contain a user".to_owned(),
        ),
        (
            format!("http://user:x@{server}/"),
            "must not contain a user".to_owned(),
        ),
        (
            format!("http://{server}\\\\@{other}/"),
            "spaces, `\\` and characters".to_owned(),
        ),
        (
            "http://granted.invalid:8080/".to_owned(),
            "`http:granted.invalid:8080` is not granted".to_owned(),
        ),
        (
            "http://granted.invalid./".to_owned(),
            "`http:granted.invalid.:80` is not granted".to_owned(),
        ),
        (
            "http://xgranted.invalid/".to_owned(),
            "is not granted".to_owned(),
        ),
        (
            "http://below.invalid/".to_owned(),
            "`http:below.invalid:80` is not granted".to_owned(),
        ),
        (
            "http://a.below.invalid/".to_owned(),
            "cannot connect to `http://a.below.invalid/`".to_owned(),
        ),
        (
            "http://GRANTED.invalid/".to_owned(),
            "cannot connect to `http://granted.invalid/`".to_owned(),
        ),
        (
            "http://2130706433/".to_owned(),
            "`http:2130706433:80` is not granted".to_owned(),
        ),
        (
            "file:///etc/passwd".to_owned(),
            "must be `http` or `https`".to_owned(),
        ),
    ] {
        refused(&granted, &ask(&url), &why);
    }
}

#[test]
fn a_redirect_needs_its_own_grant() {
    let (server, other) = (serve(lead), serve(echo));
    let ask =
        |to: &str| format!("local answer = http.request({{ url = \"http://{server}/to?{to}\" }})");
    refused(
        &[&grant(server)],
        &ask(&format!("http://{other}/x")),
        &format!("`http:{other}` is not granted"),
    );
    refused(
        &[&grant(server)],
        &ask(&format!("//{other}/x")),
        &format!("`http:{other}` is not granted"),
    );
    refused(
        &[&grant(server)],
        &ask(&format!("http://{server}@{other}/x")),
        "must not contain a user",
    );
    refused(
        &[&grant(server)],
        &ask("file:///etc/passwd"),
        "must be `http` or `https`",
    );
    refused(
        &[&grant(server)],
        &ask(&format!("http://{server}/to?/to?/to?/to?/to?/x")),
        "more than 5 redirects",
    );
    let both = [&*grant(server), &*grant(other)];
    fine(
        &both,
        &(ask(&format!("http://{other}/x")) + " assert(string.find(answer.body, '^GET /x HTTP'))"),
    );
    fine(
        &both,
        &(ask("/y") + " assert(string.find(answer.body, '^GET /y HTTP'))"),
    );
    let not_followed = format!(
        "local answer = http.request({{ url = \"http://{server}/to?/x\", redirects = 0 }}) assert(answer.status == 302 and answer.headers.location == '/x')"
    );
    fine(&both, &not_followed);
}

#[test]
fn a_redirect_takes_secrets_along_to_the_same_server_only() {
    let (server, other) = (serve(lead), serve(echo));
    let both = [&*grant(server), &*grant(other)];
    let send = |status: u16, to: &str| {
        format!(
            "local body = http.request({{ url = \"http://{server}/{status}/to?{to}\", method = \"POST\", body = \"told\", \
             headers = {{ Authorization = \"secret\", Cookie = \"secret\", [\"X-Vault-Token\"] = \"secret\", [\"Private-Token\"] = \"secret\", Accept = \"text/kept\" }} }}).body\n"
        )
    };
    fine(
        &both,
        &(send(302, &format!("http://{other}/"))
            + "assert(not body:find('secret') and body:find('kept') and body:find('^GET'), body)"),
    );
    fine(
        &both,
        &(send(302, "/x")
            + "assert(select(2, body:gsub('secret', '')) == 4 and not body:find('told'), body)"),
    );
    fine(
        &both,
        &(send(307, &format!("http://{other}/"))
            + "assert(body:find('^POST') and body:find('told') and not body:find('secret'), body)"),
    );
}

#[test]
fn what_cannot_be_sent_is_told() {
    let server = serve(echo);
    let grant = grant(server);
    for (fields, why) in [
        ("method = 'G T'", "`G T` is not an HTTP method"),
        (
            "headers = { Host = 'other' }",
            "the header `Host` cannot be set",
        ),
        (
            "headers = { ['Transfer-Encoding'] = 'chunked' }",
            "the header `Transfer-Encoding` cannot be set",
        ),
        (
            "headers = { ['X'] = 'a\\r\\nHost: other' }",
            "the header `X` cannot be set, or its value is not a single line",
        ),
        (
            "headers = { ['X Y'] = 'a' }",
            "the header `X Y` cannot be set",
        ),
        (
            "headers = { X = 1 }",
            "`a value in headers` must be a string",
        ),
        ("timeout = 0", "`timeout` must be above 0"),
        ("timeout = 0/0", "`timeout` must be above 0"),
        ("redirects = 21", "`redirects` must be at most 20"),
        ("max_body = 2^31", "`max_body` must be at most"),
        ("tiemout = 1", "unknown field `tiemout`"),
        ("ca = 'x'", "`ca` contains no certificate"),
    ] {
        let scheme = if fields.starts_with("ca") {
            "https"
        } else {
            "http"
        };
        refused(
            &[&grant],
            &format!("http.request({{ url = '{scheme}://{server}/', {fields} }})"),
            why,
        );
    }
}

#[test]
fn a_server_that_fails_is_an_error_that_names_it() {
    let silent = serve(|_, stream| drop(stream.read(&mut [0; 1])));
    let cut = serve(|_, stream| {
        drop(write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        ))
    });
    let gone = serve(|_, _| ());
    let garbage = serve(|_, stream| drop(write!(stream, "220 smtp\r\n")));
    let endless = serve(|_, stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    for (server, fields, why) in [
        (silent, ", timeout = 0.2", "did not answer within 0.2 s"),
        (cut, "", "` failed: "),
        (gone, "", "` failed: "),
        (garbage, "", "` failed: "),
        (endless, "", "exceeds 16777216 bytes"),
        (endless, ", max_body = 10", "exceeds 10 bytes"),
    ] {
        let url = format!("http://{server}/x?secret");
        refused(
            &[&grant(server)],
            &format!("http.request({{ url = '{url}'{fields} }})"),
            why,
        );
        refused(
            &[&grant(server)],
            &format!("http.request({{ url = '{url}'{fields} }})"),
            &format!("`http://{server}/x`"),
        );
    }
}

/// A server of HTTPS, and its authority in PEM.
fn serve_tls(answer: fn(&str, &mut dyn Write)) -> (SocketAddr, String) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(
        config
            .with_single_cert(vec![leaf.der().clone()], der)
            .unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            let request = read(&mut stream);
            answer(&request, &mut stream);
        }
    });
    let ca = base64::engine::general_purpose::STANDARD.encode(ca.der());
    (
        address,
        format!("-----BEGIN CERTIFICATE-----\n{ca}\n-----END CERTIFICATE-----\n"),
    )
}

#[test]
fn a_certificate_must_be_trusted() {
    let (server, ca) = serve_tls(|request, mut stream| echo(request, &mut stream));
    let grant = grant(server);
    let ask = |fields: &str| {
        format!("local answer = http.request({{ url = 'https://{server}/'{fields} }})")
    };
    fine(
        &[&grant],
        &(ask(&format!(", ca = [[{ca}]]")) + " assert(answer.status == 200)"),
    );
    let (_, other) = serve_tls(|_, _| ());
    refused(
        &[&grant],
        &ask(&format!(", ca = [[{other}]]")),
        &format!("cannot trust `https://{server}/`: "),
    );
    refused(&[&grant], &ask(""), "`https://");
}

#[test]
fn a_redirect_never_leads_out_of_tls() {
    let (server, ca) = serve_tls(|_, stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 302 On\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        );
    });
    let body = format!("http.request({{ url = 'https://{server}/', ca = [[{ca}]] }})");
    refused(
        &[&grant(server), "http:127.0.0.1:1"],
        &body,
        "redirects from `https` to `http`",
    );
}

#[test]
fn a_variable_is_read_when_it_is_granted() {
    fine(
        &["env:PATH", "env:NOT_SET_ANYWHERE"],
        "assert(env.get('PATH') ~= '' and env.get('NOT_SET_ANYWHERE') == nil)",
    );
    refused(
        &["env:PATH"],
        "env.get('HOME')",
        "`HOME` is not granted: add \"env:HOME\"",
    );
    refused(&["env:PATH"], "env.get('path')", "`path` is not granted");
}

#[test]
fn the_engine_is_asked_only_for_what_has_a_path() {
    refused(
        &["docker"],
        "docker.request({ path = 'info' })",
        "`path` must begin with `/`",
    );
    refused(
        &["docker"],
        "docker.request({ path = '/a b' })",
        "its path is not valid",
    );
    refused(
        &["docker"],
        "docker.request({ path = '/', body = print })",
        "`body` cannot be sent",
    );
    refused(
        &["docker"],
        "docker.request({ path = '/', timeout = -1 })",
        "`timeout` must be above 0",
    );
}
