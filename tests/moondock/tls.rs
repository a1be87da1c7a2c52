//! Plugins behind TLS: what the `.json` file says, who is let in, and the certificates that Moondock makes.

use crate::harness::http::{Connection, Wire as _, dial, request};
use crate::harness::process::{Served, Setup, VOLUME};
use crate::harness::tls_client::Spec;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

const TLS: &str = "--listen=vol=tls://127.0.0.1:0";
const CALL: (&str, &str) = ("VolumeDriver.Get", r#"{"Name":"good"}"#);

fn setup() -> Setup {
    Setup::with_volume().arg(TLS)
}

fn file(setup: &Setup, plugin: &str) -> PathBuf {
    setup.specs().join(format!("{plugin}.json"))
}

fn made(setup: &Setup) -> PathBuf {
    setup.state().join("vol/tls")
}

fn spec(served: &Served, plugin: &str) -> Spec {
    Spec::read(served.setup(), plugin).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The same plugin again, on the state that a process before it left.
fn again(served: &mut Served, setup: Setup) -> Setup {
    served.signal(Signal::KILL);
    served.wait();
    let state = served.setup().state();
    let specs = served.setup().specs();
    setup
        .env("MOONDOCK_STATE", state.to_str().unwrap())
        .env("MOONDOCK_SPEC_DIR", specs.to_str().unwrap())
}

#[test]
fn tls_files_are_private_and_the_spec_file_is_removed_at_exit() {
    let mut served = setup().start();
    served.assert_answers();
    assert_eq!(mode(&file(served.setup(), "vol")), 0o600);
    assert_eq!(mode(&made(served.setup())), 0o700);
    for name in [
        "ca.pem",
        "ca-key.pem",
        "server-cert.pem",
        "server-key.pem",
        "cert.pem",
        "key.pem",
    ] {
        assert_eq!(mode(&made(served.setup()).join(name)), 0o600, "{name}");
    }
    served.signal(Signal::TERM);
    assert!(served.wait().success());
    assert_eq!(fs::read_dir(served.setup().specs()).unwrap().count(), 0);
    assert!(made(served.setup()).join("ca.pem").exists());
}

#[test]
fn only_clients_of_the_plugin_s_own_ca_are_accepted() {
    let setup = setup()
        .plugin("other", "volume.lua", VOLUME)
        .arg("--listen=other=tls://127.0.0.1:0");
    let mut served = setup.arg("--log-level=debug").start();
    let (own, other) = (spec(&served, "vol"), spec(&served, "other"));
    let nobody = Spec {
        identity: None,
        ..spec(&served, "vol")
    };
    let stranger = Spec {
        identity: other.identity.clone(),
        ..spec(&served, "vol")
    };
    for client in [nobody, stranger] {
        assert!(
            client
                .connect()
                .and_then(|mut c| c.call(CALL.0, CALL.1))
                .is_err()
        );
    }
    let mistaken = Spec {
        authority: other.authority.clone(),
        ..spec(&served, "vol")
    };
    assert!(
        mistaken
            .connect()
            .and_then(|mut c| c.call(CALL.0, CALL.1))
            .is_err()
    );
    assert_eq!(
        own.connect().unwrap().call(CALL.0, CALL.1).unwrap().status,
        200
    );
    served.wait_for("a line for each who was turned away", |served| {
        served.log().matches("TLS client rejected").count() == 3
    });
    assert!(!served.log().contains("WARN"), "{}", served.log());
}

#[test]
fn plain_connections_are_closed_without_affecting_others() {
    let served = setup().start();
    let address = spec(&served, "vol").address;
    for junk in [
        request(CALL.0, CALL.1),
        "\0\0\0\0".into(),
        "\u{16}\u{3}\u{1}".into(),
    ] {
        let mut plain = dial(address).unwrap();
        plain.write_all(junk.as_bytes()).unwrap();
        plain.finish_sending();
        let mut seen = Vec::new();
        // What was not read when the server closed makes it a reset.
        let _ = plain.read_to_end(&mut seen);
        assert!(!seen.starts_with(b"HTTP"), "{seen:?}");
        served.assert_answers();
    }
}

#[test]
fn a_stalled_handshake_times_out_without_affecting_others() {
    let served = setup().arg("--log-level=debug").start();
    let address = spec(&served, "vol").address;
    let begun = Instant::now();
    let mut silent: Vec<_> = (0..50)
        .map(|_| Connection::open_tcp(address).unwrap())
        .collect();
    served.assert_answers();
    assert!(silent.iter_mut().all(Connection::is_closed));
    assert!(begun.elapsed() >= Duration::from_secs(9));
    served.wait_for_log("no handshake within 10 s");
}

/// File descriptors belong to the whole process: clients of this port must not use up those of other plugins.
#[test]
fn unauthenticated_connections_are_limited() {
    let mut served = setup().plugin("other", "volume.lua", VOLUME).start();
    let address = spec(&served, "vol").address;
    let silent: Vec<_> = (0..400)
        .map(|_| Connection::open_tcp(address).unwrap())
        .collect();
    let files = |served: &Served| {
        fs::read_dir(format!("/proc/{}/fd", served.pid()))
            .unwrap()
            .count()
    };
    served.wait_for("strangers to be let in", |served| files(served) > 200);
    for _ in 0..50 {
        assert_eq!(served.call("other", CALL.0, CALL.1).status, 200);
        assert!(
            files(&served) < 400,
            "{} files for {} strangers",
            files(&served),
            silent.len()
        );
    }
    drop(silent);
    served.wait_for("the engine's turn", |served| {
        spec(served, "vol")
            .connect()
            .is_ok_and(|mut engine| engine.call(CALL.0, CALL.1).is_ok())
    });
}

#[test]
fn an_unfinished_handshake_does_not_delay_shutdown() {
    let mut served = setup().start();
    let silent = Connection::open_tcp(spec(&served, "vol").address).unwrap();
    served.assert_answers();
    let begun = Instant::now();
    served.signal(Signal::TERM);
    assert_eq!(served.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4));
    drop(silent);
}

#[test]
fn requests_over_tls_follow_the_same_rules() {
    let mut served = setup().start();
    let large = format!(r#"{{"Name":"{}"}}"#, "x".repeat(40 << 20));
    let mut connection = served.connect("vol");
    for _ in 0..50 {
        assert_eq!(connection.call(CALL.0, CALL.1).unwrap().status, 200);
    }
    assert_eq!(connection.call(CALL.0, &large).unwrap().status, 413);
    let mut half = served.connect("vol");
    half.send(request(CALL.0, CALL.1)).unwrap();
    half.finish_sending();
    assert_eq!(half.receive().unwrap().status, 200);
    assert!(half.is_closed());
    let mut busy = served.connect("vol");
    busy.send(request(
        "VolumeDriver.Create",
        r#"{"Name":"slow","Opts":{"sleep":"0.7"}}"#,
    ))
    .unwrap();
    served.assert_answers();
    served.signal(Signal::TERM);
    assert!(connection.is_closed());
    assert_eq!(busy.receive().unwrap().status, 200);
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn certificates_are_kept_over_a_restart() {
    let mut served = setup().start();
    let before = fs::read(made(served.setup()).join("server-cert.pem")).unwrap();
    let next = again(&mut served, setup());
    let command = next.command();
    next.launch(command).wait_for_log("ready");
    assert_eq!(
        fs::read(made(served.setup()).join("server-cert.pem")).unwrap(),
        before
    );
}

/// An engine that runs has read the authority, and goes on to believe it.
#[test]
fn expiring_and_mismatched_certificates_are_renewed_under_the_same_ca() {
    let mut served = setup().start();
    let dir = made(served.setup());
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    let (authority, before) = (read("ca.pem"), read("server-cert.pem"));
    let client = spec(&served, "vol");

    age(&dir, 100);
    let aged = read("server-cert.pem");
    let next = again(&mut served, setup());
    let command = next.command();
    let mut next = next.launch(command);
    next.wait_for_log("ready");
    let renewed = read("server-cert.pem");
    assert!(renewed != aged && renewed != before && read("ca.pem") == authority);
    next.signal(Signal::TERM);
    next.wait();

    let elsewhere = Setup::with_volume().arg("--listen=tls://[::1]:0");
    let elsewhere = elsewhere.env("MOONDOCK_STATE", served.setup().state().to_str().unwrap());
    let command = elsewhere.command();
    let moved = elsewhere.launch(command);
    moved.wait_for_log("ready");
    assert!(read("server-cert.pem") != renewed && read("ca.pem") == authority);
    let address = spec(&moved, "vol").address;
    let old = Spec { address, ..client };
    assert_eq!(
        old.connect().unwrap().call(CALL.0, CALL.1).unwrap().status,
        200
    );
}

/// Puts a certificate in place that is good for so many days more.
fn age(dir: &Path, days: i64) {
    let key = |name| {
        let der = PrivateKeyDer::from_pem_file(dir.join(name)).unwrap();
        KeyPair::from_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).unwrap()
    };
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut params = named("vol");
    params.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
    params.not_after = OffsetDateTime::now_utc() + time::Duration::days(days);
    let issuer = Issuer::new(named("moondock vol"), key("ca-key.pem"));
    let aged = params.signed_by(&key("server-key.pem"), &issuer).unwrap();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, aged.der());
    let text = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    fs::write(dir.join("server-cert.pem"), text).unwrap();
}

#[test]
fn corrupt_tls_files_are_replaced() {
    for spoilt in ["key.pem", "server-key.pem", "ca.pem", "ca-key.pem"] {
        let mut served = setup().start();
        let dir = made(served.setup());
        let next = again(&mut served, setup());
        fs::write(dir.join(spoilt), "no key, and no certificate").unwrap();
        fs::remove_file(dir.join("cert.pem")).unwrap();
        let command = next.command();
        let next = next.launch(command);
        next.wait_for_log("ready");
        served.assert_answers();
    }
}

#[test]
fn the_administrator_s_certificates_are_read_and_never_written() {
    let mut source = setup().start();
    source.signal(Signal::TERM);
    source.wait();
    let dir = made(source.setup());
    fs::remove_file(dir.join("ca-key.pem")).unwrap();
    let given = |address: &str| {
        Setup::with_volume().arg(&format!(
            "--listen=vol=tls://{address},certs={}",
            dir.display()
        ))
    };
    let served = given("127.0.0.1:0").start();
    served.assert_answers();
    assert!(!made(served.setup()).exists());
    assert!(
        fs::read_to_string(file(served.setup(), "vol"))
            .unwrap()
            .contains(dir.to_str().unwrap())
    );

    let error = given("[::1]:0").refused();
    assert!(
        error.contains("server-cert.pem` would be rejected") && error.contains("not valid for"),
        "{error}"
    );
    fs::copy(dir.join("key.pem"), dir.join("server-key.pem")).unwrap();
    let error = given("127.0.0.1:0").refused();
    assert!(
        error.contains("server-key.pem` would be rejected"),
        "{error}"
    );
    fs::remove_file(dir.join("cert.pem")).unwrap();
    fs::write(dir.join("ca.pem"), "").unwrap();
    let error = given("127.0.0.1:0").refused();
    assert!(error.contains("contains no certificate"), "{error}");
    fs::remove_file(dir.join("ca.pem")).unwrap();
    let error = given("127.0.0.1:0").refused();
    assert!(
        error.contains("ca.pem` (TLS needs ca.pem, server-cert.pem"),
        "{error}"
    );
}
