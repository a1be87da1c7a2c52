//! Plugins behind TCP, and the `.spec` files by which the engine finds them.

use crate::harness::http::{Connection, request};
use crate::harness::process::{Served, Setup, VOLUME};
use rustix::process::Signal;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

const TCP: &str = "--listen=vol=tcp://127.0.0.1:0";

fn setup() -> Setup {
    Setup::with_volume().arg(TCP)
}

fn spec(setup: &Setup) -> PathBuf {
    setup.specs().join("vol.spec")
}

/// The address of a port that nobody listens on: it was just given back.
fn dead_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

#[test]
fn the_spec_file_names_the_port_and_is_removed_at_exit() {
    let mut served = setup().start();
    let file = spec(served.setup());
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("tcp://127.0.0.1:") && !text.contains(":0\n"),
        "{text}"
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o644
    );
    assert!(!served.setup().socket("vol").exists());
    served.assert_answers();
    served.signal(Signal::TERM);
    assert!(served.wait().success());
    assert_eq!(fs::read_dir(served.setup().specs()).unwrap().count(), 0);
}

#[test]
fn plugins_of_one_process_may_use_different_transports() {
    let setup = setup()
        .plugin("other", "volume.lua", VOLUME)
        .arg("--listen=unix,mode=0660");
    let served = setup.start();
    served.assert_answers();
    let mode = fs::metadata(served.setup().socket("other"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(
        served
            .call("other", "VolumeDriver.Get", r#"{"Name":"b"}"#)
            .status,
        200
    );
}

#[test]
fn transports_can_be_set_by_the_environment() {
    let setup = Setup::with_volume().plugin("other", "volume.lua", VOLUME);
    let served = setup
        .env("MOONDOCK_LISTEN", " vol=tcp://[::1]:0  other=unix ")
        .start();
    assert!(served.setup().address("vol").unwrap().is_ipv6());
    assert!(served.setup().socket("other").exists());
}

#[test]
fn stale_spec_files_are_replaced() {
    let mut served = setup().start();
    let (specs, state) = (served.setup().specs(), served.setup().state());
    served.signal(Signal::KILL);
    served.wait();
    assert!(spec(served.setup()).exists());
    drop(UnixListener::bind(served.setup().socket("vol")).unwrap());
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let again = setup()
        .env("MOONDOCK_SPEC_DIR", &text(specs))
        .env("MOONDOCK_STATE", &text(state))
        .env(
            "MOONDOCK_SOCKETS",
            &text(served.setup().path().join("sockets")),
        );
    let command = again.command();
    let again = again.launch(command);
    again.wait_for_log("ready");
    assert!(!served.setup().socket("vol").exists());
    served.assert_answers();
}

#[test]
fn a_stale_spec_file_of_the_other_kind_is_removed() {
    let setup = setup();
    let json = setup.specs().join("vol.json");
    fs::write(&json, format!(r#"{{"Addr":"https://{}"}}"#, dead_address())).unwrap();
    let command = setup.command();
    let served = setup.launch(command);
    served.wait_for_log("ready");
    assert!(!json.exists());
    served.assert_answers();
}

#[test]
fn foreign_spec_files_are_kept() {
    let living = TcpListener::bind("127.0.0.1:0").unwrap();
    let living = format!("tcp://{}", living.local_addr().unwrap());
    for (text, part) in [
        (
            living.as_str(),
            "is in use by another process; stop that plugin, or remove the file",
        ),
        (
            "tcp://plugins.example:80",
            "moondock did not write it, so it is left unchanged",
        ),
        ("unix:///run/other.sock", "moondock did not write it"),
        ("", "moondock did not write it"),
    ] {
        let setup = setup();
        fs::write(spec(&setup), text).unwrap();
        let error = setup.refused();
        assert!(
            error.contains("vol.spec` is in the way") && error.contains(part),
            "{error}"
        );
        assert_eq!(fs::read_to_string(spec(&setup)).unwrap(), text);
    }
}

#[test]
fn a_live_socket_of_the_same_name_is_refused() {
    let setup = setup();
    let _owner = UnixListener::bind(setup.socket("vol")).unwrap();
    assert!(setup.refused().contains("vol.sock` is in use by process"));
}

#[test]
fn a_spec_file_replaced_by_another_process_is_kept() {
    let mut served = setup().start();
    let file = spec(served.setup());
    fs::remove_file(&file).unwrap();
    fs::write(&file, "tcp://127.0.0.1:1").unwrap();
    served.signal(Signal::TERM);
    assert!(served.wait().success());
    assert!(file.exists());
}

#[test]
fn a_port_in_use_is_strictly_an_error_and_leaves_no_files() {
    let owner = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = owner.local_addr().unwrap();
    let setup = Setup::with_volume().plugin("aaa", "volume.lua", VOLUME);
    let setup = setup
        .arg("--strict")
        .arg("--listen=aaa=tcp://127.0.0.1:0")
        .arg(&format!("--listen=vol=tcp://{address}"));
    let error = setup.refused();
    assert!(
        error.contains(&format!(
            "cannot listen on `{address}` for the plugin `vol`"
        )),
        "{error}"
    );
    assert_eq!(fs::read_dir(setup.specs()).unwrap().count(), 0);
}

#[test]
fn a_port_in_use_does_not_keep_other_plugins_from_being_served() {
    let owner = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = owner.local_addr().unwrap();
    let setup = Setup::with_volume()
        .plugin("aaa", "volume.lua", VOLUME)
        .arg(&format!("--listen=aaa=tcp://{address}"))
        .arg("--listen=gone=tcp://127.0.0.1:0");
    let command = setup.command();
    let served = setup.launch(command);
    served.wait_for_log(&format!(
        "ERROR not served: cannot listen on `{address}` for the plugin `aaa`"
    ));
    served.wait_for_log("unknown plugin `gone`: use one of `aaa`, `vol`");
    served.wait_for_log("ready plugin=vol");
    served.assert_answers();
    assert_eq!(fs::read_dir(served.setup().specs()).unwrap().count(), 0);
}

#[test]
fn invalid_transports_are_refused_before_binding() {
    for (listen, part) in [
        (
            "vol=tcp://0.0.0.0:9000",
            "the engine cannot connect to `0.0.0.0`",
        ),
        ("vol=tcp://192.0.2.1:9000", "use `tls://192.0.2.1:9000`"),
        (
            "vol=unix,mode=660x",
            "`660x` is not a mode: use `0600` or `0660`",
        ),
        (
            "vol=unix,group=no-such-group",
            "`/etc/group` has no such group",
        ),
        ("vl=unix", "unknown plugin `vl`: use one of `vol`"),
    ] {
        let setup = Setup::with_volume()
            .arg("--strict")
            .arg(&format!("--listen={listen}"));
        let error = setup.refused();
        assert!(
            error.contains(part) && error.contains("--listen"),
            "{error}"
        );
        assert!(!setup.socket("vol").exists());
    }
}

#[test]
fn a_group_has_access_by_name_or_number() {
    for group in ["root", "0"] {
        let served = Setup::with_volume()
            .arg(&format!("--listen=unix,group={group}"))
            .start();
        let found = fs::metadata(served.setup().socket("vol")).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o660);
    }
}

#[test]
fn a_group_that_cannot_be_set_is_an_error_and_leaves_no_files() {
    needs!(root);
    let setup = Setup::with_volume().arg("--listen=unix,group=daemon");
    let moondock = setup.command();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-chown", "--inh-caps=-chown"]);
    command
        .arg(moondock.get_program())
        .args(moondock.get_args())
        .current_dir(setup.path());
    command.envs(
        moondock
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut served = setup.launch(command);
    assert_eq!(served.wait().code(), Some(1));
    served
        .wait_for_log("to the group `daemon` of `--listen`: run moondock as root, or as a member");
    assert_eq!(
        fs::read_dir(served.setup().path().join("sockets"))
            .unwrap()
            .count(),
        0
    );
}

fn begin_slow_call(served: &Served) -> Connection {
    let mut connection = served.connect("vol");
    connection
        .send(request(
            "VolumeDriver.Create",
            r#"{"Name":"slow","Opts":{"sleep":"0.7"}}"#,
        ))
        .unwrap();
    served.assert_answers();
    connection
}

#[test]
fn sigterm_finishes_calls_and_accepts_no_more() {
    let mut served = setup().start();
    let address = served.setup().address("vol").unwrap();
    let (mut idle, mut busy) = (served.connect("vol"), begin_slow_call(&served));
    served.signal(Signal::TERM);
    assert!(idle.is_closed());
    assert_eq!(busy.receive().unwrap().status, 200);
    assert!(busy.is_closed());
    assert_eq!(served.wait().code(), Some(0));
    assert!(Connection::open_tcp(address).is_err());
}

#[test]
fn requests_over_tcp_follow_the_same_rules() {
    let served = setup().start();
    let large = format!(r#"{{"Name":"{}"}}"#, "x".repeat(40 << 20));
    let mut connection = served.connect("vol");
    for n in 0..50 {
        assert_eq!(
            connection
                .call("VolumeDriver.Get", &format!(r#"{{"Name":"v{n}"}}"#))
                .unwrap()
                .status,
            200
        );
    }
    assert_eq!(
        connection.call("VolumeDriver.Get", &large).unwrap().status,
        413
    );
    connection
        .send(request("VolumeDriver.Get", r#"{"Name":"half"}"#))
        .unwrap();
    connection.finish_sending();
    assert_eq!(connection.receive().unwrap().status, 200);
    assert!(connection.is_closed());
}

#[test]
fn stalled_clients_do_not_block_others() {
    let served = setup().start();
    let half: Vec<_> = (0..100)
        .map(|_| {
            let mut connection = served.connect("vol");
            connection
                .send("POST /VolumeDriver.Get HTTP/1.1\r\nHost")
                .unwrap();
            connection
        })
        .collect();
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(|| served.assert_answers()))));
    drop(half);
}
