//! Under systemd: socket activation and notifications.

use crate::harness::process::{Served, Setup, VOLUME};
use rustix::process::Signal;
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The setup under a program that hands over sockets at the first connection to one of them, then becomes moondock.
fn activated(setup: Setup, options: &[String]) -> Served {
    let moondock = setup.command();
    let mut command = Command::new("systemd-socket-activate");
    command.args(options);
    for (name, value) in moondock.get_envs() {
        if let Some(value) = value {
            command.arg(format!("--setenv={}={}", name.display(), value.display()));
        }
    }
    command
        .arg(moondock.get_program())
        .args(moondock.get_args())
        .current_dir(setup.path());
    setup.launch(command)
}

fn listening(setup: &Setup, plugin: &str) -> String {
    format!("--listen={}", setup.socket(plugin).display())
}

#[test]
fn an_activated_socket_is_served_and_kept() {
    needs!(program, "systemd-socket-activate");
    for names in [
        &["--fdname=vol".to_owned()][..],
        &["--fdname=moondock@vol.socket".into()],
        &[],
    ] {
        let setup = Setup::with_volume();
        let options = [&[listening(&setup, "vol")], names].concat();
        let mut served = activated(setup, &options);
        served.wait_for("the socket", |served| served.setup().connect("vol").is_ok());
        served.assert_answers();
        served.signal(Signal::TERM);
        assert_eq!(served.wait().code(), Some(0));
        assert!(served.setup().socket("vol").exists());
    }
}

#[test]
fn activated_sockets_are_matched_by_name() {
    needs!(program, "systemd-socket-activate");
    let setup = Setup::with_volume()
        .plugin("one", "volume.lua", &VOLUME.replace("/m/", "/one/"))
        .plugin("own", "volume.lua", VOLUME);
    let options = [
        listening(&setup, "vol"),
        listening(&setup, "one"),
        "--fdname=vol:one".into(),
    ];
    let mut served = activated(setup, &options);
    served.wait_for("the socket", |served| served.setup().connect("one").is_ok());
    assert!(
        served
            .call("one", "VolumeDriver.Get", r#"{"Name":"v"}"#)
            .body
            .contains("/one/v")
    );
    assert!(
        served
            .call("vol", "VolumeDriver.Get", r#"{"Name":"v"}"#)
            .body
            .contains("/m/v")
    );
    assert!(
        served
            .call("own", "VolumeDriver.Get", r#"{"Name":"v"}"#)
            .body
            .contains("/m/v")
    );
}

#[test]
fn unmatched_activated_sockets_are_refused_with_a_cure() {
    needs!(program, "systemd-socket-activate");
    let two = |setup: Setup| setup.plugin("two", "volume.lua", VOLUME);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (setup, names, extra, part) in [
        (
            two(Setup::with_volume()),
            "X",
            None,
            "socket named `X`, and no plugin has that name: set `FileDescriptorName=`",
        ),
        (
            two(Setup::with_volume()),
            "vol:vol",
            Some("other"),
            "two sockets for the plugin `vol`",
        ),
        (
            Setup::with_volume().arg("--listen=unix,mode=0660"),
            "vol",
            None,
            "contradicts its `--listen`",
        ),
        (
            Setup::with_volume().arg("--listen=tcp://127.0.0.1:0"),
            "vol",
            None,
            "contradicts its `--listen`",
        ),
        (
            two(Setup::with_volume()),
            "vol:two",
            Some("tcp"),
            "`two` that is not a Unix stream socket",
        ),
    ] {
        let mut options = vec![listening(&setup, "vol"), format!("--fdname={names}")];
        options.extend(extra.map(|extra| {
            if extra == "tcp" {
                format!("--listen={port}")
            } else {
                listening(&setup, extra)
            }
        }));
        let mut served = activated(setup, &options);
        served.wait_for("the socket", |served| served.setup().connect("vol").is_ok());
        assert_eq!(served.wait().code(), Some(1));
        served.wait_for_log(part);
    }
}

/// Its clients must not wait for a plugin that nobody serves.
#[test]
fn an_activated_socket_answers_while_its_plugin_has_no_directory() {
    needs!(program, "systemd-socket-activate");
    let setup = Setup::with_volume();
    let options = [
        listening(&setup, "vol"),
        listening(&setup, "nas"),
        "--fdname=vol:nas".into(),
    ];
    let mut served = activated(setup, &options);
    served.wait_for("the socket", |served| served.setup().connect("vol").is_ok());
    served.assert_answers();
    // While one server follows another, a connection may be closed: the engine tries again.
    let create = |served: &Served| {
        let mut connection = served.connect("nas");
        let answer = connection.call("VolumeDriver.Create", r#"{"Name":"v"}"#);
        answer.map_or_else(
            |error| (0, error.to_string()),
            |answer| (answer.status, answer.body),
        )
    };
    let directory = served.setup().scripts().join("nas");
    for _ in 0..2 {
        let (status, body) = create(&served);
        assert!(
            status == 500 && body.contains("cannot read the scripts in"),
            "{status} {body}"
        );
        let draft = served.setup().path().join("draft");
        fs::create_dir(&draft).unwrap();
        fs::write(draft.join("volume.lua"), VOLUME).unwrap();
        fs::rename(draft, &directory).unwrap();
        served.wait_for("its plugin", |served| create(served).0 == 200);
        fs::remove_dir_all(&directory).unwrap();
        served.wait_for("its end", |served| create(served).0 == 500);
    }
    served.assert_answers();
}

/// As of a unit with `Accept=yes`.
#[test]
fn an_activated_connection_is_refused() {
    let setup = Setup::with_volume()
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDS_FIRST_FD", "1");
    let (_there, here) = UnixStream::pair().unwrap();
    let mut command = setup.command();
    let ended = command.stdout(OwnedFd::from(here)).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(
        told.contains("does not listen: remove `Accept=yes` from its unit"),
        "{told}"
    );
}

#[test]
fn sockets_for_another_process_are_ignored() {
    let setup = Setup::with_volume()
        .env("LISTEN_FDS", "1")
        .env("LISTEN_PID", "1");
    setup.start().assert_answers();
}

fn manager() -> (tempfile::TempDir, UnixDatagram, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    (dir, patient(socket), path.to_str().unwrap().to_owned())
}

fn patient(socket: UnixDatagram) -> UnixDatagram {
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    socket
}

fn told(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let length = manager.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn systemd_is_notified_of_start_reload_and_stop() {
    let (_dir, manager, address) = manager();
    let setup = Setup::with_volume()
        .plugin("other", "volume.lua", VOLUME)
        .env("NOTIFY_SOCKET", &address);
    let mut served = setup.start();
    assert_eq!(told(&manager), "READY=1\nSTATUS=Serving other, vol");
    served.signal(Signal::HUP);
    let reloading = told(&manager);
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(told(&manager), "READY=1\nSTATUS=Serving other, vol");
    fs::write(
        served.setup().scripts().join("vol/volume.lua"),
        "return {{{",
    )
    .unwrap();
    served.signal(Signal::HUP);
    assert!(told(&manager).starts_with("RELOADING=1\n"));
    assert!(told(&manager).starts_with("READY=1\n"));
    served.signal(Signal::TERM);
    assert!(told(&manager).starts_with("STOPPING=1\n"));
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn a_driver_that_does_not_load_is_strictly_never_reported_ready() {
    let address =
        SocketAddr::from_abstract_name(format!("moondock-{}", std::process::id())).unwrap();
    let manager = patient(UnixDatagram::bind_addr(&address).unwrap());
    let name = format!(
        "@{}",
        str::from_utf8(address.as_abstract_name().unwrap()).unwrap()
    );
    let setup = Setup::new()
        .plugin("bad", "volume.lua", "return {{{\n")
        .arg("--strict")
        .env("NOTIFY_SOCKET", &name);
    assert!(setup.refused().contains("volume.lua"));
    let first = told(&manager);
    assert!(first.starts_with("STOPPING=1\n"), "{first}");
}

#[test]
fn a_missing_notify_socket_is_only_logged() {
    let served = Setup::with_volume()
        .env("NOTIFY_SOCKET", "/nowhere/notify")
        .start();
    served.assert_answers();
    served.wait_for_log("cannot notify systemd");
}

#[test]
fn the_shipped_units_are_valid_and_share_the_mounts_of_the_host() {
    needs!(program, "systemd-analyze");
    let place = tempfile::tempdir().unwrap();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd");
    let service = fs::read_to_string(units.join("moondock.service")).unwrap();
    let service = service.replace(
        "=moondock serve",
        &format!("={} serve", env!("CARGO_BIN_EXE_moondock")),
    );
    let settings: Vec<_> = service
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for private in [
        "Protect",
        "Private",
        "Paths=",
        "RootDirectory",
        "MountFlags",
        "DynamicUser",
    ] {
        assert!(
            !settings.iter().any(|line| line.contains(private)),
            "{private}"
        );
    }
    fs::write(place.path().join("moondock.service"), service).unwrap();
    fs::copy(
        units.join("moondock@.socket"),
        place.path().join("moondock@vol.socket"),
    )
    .unwrap();
    let files = ["moondock.service", "moondock@vol.socket"].map(|name| place.path().join(name));
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .args(files)
        .output()
        .unwrap();
    let complaint = String::from_utf8(verified.stderr).unwrap();
    assert!(
        verified.status.success() && complaint.is_empty(),
        "{complaint}"
    );
}
