//! Socket files and the state directory.

use crate::harness::process::Setup;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

#[test]
fn socket_and_state_are_private() {
    let served = Setup::with_volume().start();
    let mode = |path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(served.setup().socket("vol")), 0o600);
    assert_eq!(mode(served.setup().state()), 0o700);
    assert_eq!(mode(served.setup().state().join("vol")), 0o700);
}

#[test]
fn a_stale_socket_is_replaced() {
    let setup = Setup::with_volume();
    drop(UnixListener::bind(setup.socket("vol")).unwrap());
    assert!(setup.socket("vol").exists());
    setup.start().assert_answers();
}

#[test]
fn a_live_socket_is_left_to_its_owner() {
    let setup = Setup::with_volume();
    let _owner = UnixListener::bind(setup.socket("vol")).unwrap();
    let expected = format!("vol.sock` is in use by process {}", std::process::id());
    let error = setup.refused();
    assert!(error.contains(&expected), "{error}");
    assert!(
        fs::symlink_metadata(setup.socket("vol"))
            .unwrap()
            .file_type()
            .is_socket()
    );
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let setup = Setup::with_volume();
    fs::write(setup.socket("vol"), "precious").unwrap();
    assert!(
        setup
            .refused()
            .contains("is not a socket, so it is left unchanged")
    );
    assert_eq!(fs::read_to_string(setup.socket("vol")).unwrap(), "precious");
}

#[test]
fn the_socket_is_removed_at_exit() {
    let mut served = Setup::with_volume().start();
    served.signal(Signal::TERM);
    assert!(served.wait().success());
    assert!(!served.setup().socket("vol").exists());
}

#[test]
fn a_socket_that_another_process_put_there_stays() {
    let mut served = Setup::with_volume().start();
    fs::remove_file(served.setup().socket("vol")).unwrap();
    let _other = UnixListener::bind(served.setup().socket("vol")).unwrap();
    served.signal(Signal::TERM);
    assert!(served.wait().success());
    assert!(served.setup().socket("vol").exists());
}

#[test]
fn a_second_instance_on_the_same_state_is_refused() {
    let served = Setup::with_volume().start();
    let second =
        Setup::with_volume().env("MOONDOCK_STATE", served.setup().state().to_str().unwrap());
    let error = second.refused();
    assert!(
        error.contains(&format!(
            "another moondock (process {}) uses the state",
            served.pid()
        )),
        "{error}"
    );
    served.assert_answers();
}

#[test]
fn state_that_a_killed_process_held_can_be_used_again() {
    let mut served = Setup::with_volume().start();
    let (state, socket) = (served.setup().state(), served.setup().socket("vol"));
    served.signal(Signal::KILL);
    served.wait();
    assert!(socket.exists());
    let sockets = socket.parent().unwrap().to_str().unwrap().to_owned();
    let again = Setup::with_volume()
        .env("MOONDOCK_STATE", state.to_str().unwrap())
        .env("MOONDOCK_SOCKETS", &sockets);
    let command = again.command();
    let mut again = again.launch(command);
    again.wait_for_log("ready");
    served.assert_answers();
    again.signal(Signal::TERM);
    assert!(again.wait().success());
}
