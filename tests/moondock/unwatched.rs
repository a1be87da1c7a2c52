//! Where the kernel has no watch to give: saves go unnoticed, which is said, and SIGHUP loads them.

use crate::harness::process::{Served, Setup, VOLUME};
use rustix::process::Signal;
use std::fs;
use std::process::Command;

/// The binary in a user namespace with none of one resource.
fn started_without(resource: &str) -> Served {
    let setup = Setup::with_volume();
    let inner = setup.command();
    let mut command = Command::new("unshare");
    let give_up = format!("echo 0 > /proc/sys/user/{resource} && exec \"$@\"");
    command.args(["--user", "--map-root-user", "sh", "-c", &give_up, "sh"]);
    command
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(setup.path());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let served = setup.launch(command);
    served.wait_for_log("ready");
    served
}

#[test]
fn sighup_reloads_without_a_file_watcher() {
    for (resource, said) in [
        (
            "max_inotify_instances",
            "cannot watch the scripts: send SIGHUP after a change",
        ),
        (
            "max_inotify_watches",
            "cannot watch directory, send SIGHUP after a change there",
        ),
    ] {
        let served = started_without(resource);
        served.wait_for_log(said);
        served.assert_answers();
        let script = served.setup().scripts().join("vol/volume.lua");
        fs::write(script, VOLUME.replace("\"/m/\"", "\"/new/\"")).unwrap();
        served.signal(Signal::HUP);
        served.wait_for_log("live");
        let response = served.call("vol", "VolumeDriver.Get", r#"{"Name":"good"}"#);
        assert!(
            response.body.contains("/new/good"),
            "{resource}: {response:?}"
        );
        let new = served.setup().scripts().join("new");
        fs::create_dir(&new).unwrap();
        fs::write(new.join("volume.lua"), VOLUME).unwrap();
        served.signal(Signal::HUP);
        served.wait_for_log("ready plugin=new");
    }
}
