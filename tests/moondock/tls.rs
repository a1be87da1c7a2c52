//! Plugins behind TLS: what the `.json` file says, who is let in, and the certificates that Moondock makes.

use crate::http::{Connection, Wire, dial, request};
use crate::process::{Bed, Served, VOLUME};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const TLS: &str = "--listen=vol=tls://127.0.0.1:0";
const CALL: (&str, &str) = ("VolumeDriver.Get", r#"{"Name":"good"}"#);

/// A plugin's `.json` file, as the engine reads it.
pub struct Spec {
    pub address: SocketAddr,
    authority: PathBuf,
    /// The client's certificate and key.
    identity: Option<(PathBuf, PathBuf)>,
}

impl Spec {
    pub fn read(bed: &Bed, plugin: &str) -> Option<Spec> {
        let spec: Value = serde_json::from_slice(&fs::read(file(bed, plugin)).ok()?).unwrap();
        assert_eq!(spec["TLSConfig"]["InsecureSkipVerify"], false);
        let path = |key| PathBuf::from(spec["TLSConfig"][key].as_str().unwrap());
        let address = spec["Addr"]
            .as_str()
            .unwrap()
            .strip_prefix("https://")
            .unwrap();
        Some(Spec {
            address: address.parse().unwrap(),
            authority: path("CAFile"),
            identity: Some((path("CertFile"), path("KeyFile"))),
        })
    }

    /// A connection whose handshake is done, as far as the client can tell.
    pub fn connect(&self) -> io::Result<Connection> {
        let name = ServerName::from(self.address.ip());
        let session =
            ClientConnection::new(Arc::new(self.client()), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, dial(self.address)?);
        stream.flush()?;
        Ok(Connection::over(stream))
    }

    fn client(&self) -> ClientConfig {
        let certificates = |path: &Path| -> Vec<_> {
            CertificateDer::pem_file_iter(path)
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        let mut authority = RootCertStore::empty();
        authority.add_parsable_certificates(certificates(&self.authority));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(authority);
        match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                builder
                    .with_client_auth_cert(certificates(certificate), key)
                    .unwrap()
            }
        }
    }
}

impl Wire for StreamOwned<ClientConnection, TcpStream> {
    fn finish_sending(&mut self) {
        self.conn.send_close_notify();
        self.flush().unwrap();
    }
}

fn bed() -> Bed {
    Bed::with_volume().arg(TLS)
}

fn file(bed: &Bed, plugin: &str) -> PathBuf {
    bed.specs().join(format!("{plugin}.json"))
}

fn made(bed: &Bed) -> PathBuf {
    bed.state().join("vol/tls")
}

fn spec(served: &Served, plugin: &str) -> Spec {
    Spec::read(served.bed(), plugin).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The same plugin again, on the state that a process before it left.
fn again(served: &mut Served, bed: Bed) -> Bed {
    served.signal(Signal::KILL);
    served.wait();
    let state = served.bed().state();
    let specs = served.bed().specs();
    bed.env("MOONDOCK_STATE", state.to_str().unwrap())
        .env("MOONDOCK_SPEC_DIR", specs.to_str().unwrap())
}

#[test]
fn files_are_private_and_the_spec_goes_with_the_process() {
    let mut served = bed().start();
    served.assert_answers();
    assert_eq!(mode(&file(served.bed(), "vol")), 0o600);
    assert_eq!(mode(&made(served.bed())), 0o700);
    for name in [
        "ca.pem",
        "ca-key.pem",
        "server-cert.pem",
        "server-key.pem",
        "cert.pem",
        "key.pem",
    ] {
        assert_eq!(mode(&made(served.bed()).join(name)), 0o600, "{name}");
    }
    served.signal(Signal::TERM);
    assert!(served.wait().success());
    assert_eq!(fs::read_dir(served.bed().specs()).unwrap().count(), 0);
    assert!(made(served.bed()).join("ca.pem").exists());
}

#[test]
fn only_whom_the_plugin_s_own_authority_vouches_for_is_let_in() {
    let bed = bed()
        .plugin("other", "volume.lua", VOLUME)
        .arg("--listen=other=tls://127.0.0.1:0");
    let mut served = bed.arg("--log-level=debug").start();
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
fn who_does_not_speak_tls_is_closed_and_nobody_else_notices() {
    let served = bed().start();
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
fn a_handshake_that_does_not_go_on_has_ten_seconds_and_holds_up_nobody() {
    let served = bed().arg("--log-level=debug").start();
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

/// Files are the whole process's: whoever can reach the port must not take them from plugins that he cannot reach.
#[test]
fn strangers_take_few_of_the_process_s_files() {
    let mut served = bed().plugin("other", "volume.lua", VOLUME).start();
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
fn an_unfinished_handshake_does_not_hold_up_the_end() {
    let mut served = bed().start();
    let silent = Connection::open_tcp(spec(&served, "vol").address).unwrap();
    served.assert_answers();
    let begun = Instant::now();
    served.signal(Signal::TERM);
    assert_eq!(served.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4));
    drop(silent);
}

#[test]
fn tls_keeps_the_rules_of_a_socket() {
    let mut served = bed().start();
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
    let mut served = bed().start();
    let before = fs::read(made(served.bed()).join("server-cert.pem")).unwrap();
    let next = again(&mut served, bed());
    let command = next.command();
    next.launch(command).wait_for_log("ready");
    assert_eq!(
        fs::read(made(served.bed()).join("server-cert.pem")).unwrap(),
        before
    );
}

/// An engine that runs has read the authority, and goes on to believe it.
#[test]
fn what_is_near_its_end_or_of_another_address_is_renewed_and_the_authority_stays() {
    let mut served = bed().start();
    let dir = made(served.bed());
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    let (authority, before) = (read("ca.pem"), read("server-cert.pem"));
    let client = spec(&served, "vol");

    age(&dir, 100);
    let aged = read("server-cert.pem");
    let next = again(&mut served, bed());
    let command = next.command();
    let mut next = next.launch(command);
    next.wait_for_log("ready");
    let renewed = read("server-cert.pem");
    assert!(renewed != aged && renewed != before && read("ca.pem") == authority);
    next.signal(Signal::TERM);
    next.wait();

    let elsewhere = Bed::with_volume().arg("--listen=tls://[::1]:0");
    let elsewhere = elsewhere.env("MOONDOCK_STATE", served.bed().state().to_str().unwrap());
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
fn spoilt_files_are_made_anew() {
    for spoilt in ["key.pem", "server-key.pem", "ca.pem", "ca-key.pem"] {
        let mut served = bed().start();
        let dir = made(served.bed());
        let next = again(&mut served, bed());
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
    let mut source = bed().start();
    source.signal(Signal::TERM);
    source.wait();
    let dir = made(source.bed());
    fs::remove_file(dir.join("ca-key.pem")).unwrap();
    let given = |address: &str| {
        Bed::with_volume().arg(&format!(
            "--listen=vol=tls://{address},certs={}",
            dir.display()
        ))
    };
    let served = given("127.0.0.1:0").start();
    served.assert_answers();
    assert!(!made(served.bed()).exists());
    assert!(
        fs::read_to_string(file(served.bed(), "vol"))
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
