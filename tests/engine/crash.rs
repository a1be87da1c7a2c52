//! Crashes of moondock, of the engine, of both: nothing acknowledged is lost, nothing is doubled.

use std::sync::Arc;

use crate::harness::bed::Bed;
use crate::harness::interposer::{Fault, Interposer};

pub const TINY: &[&str] = &["--subnet", "10.95.0.0/30"];

/// A bed whose moondock dies as `plan` says.
pub fn faulty(
    plan: impl Fn(&str, usize) -> Fault + Send + Sync + 'static,
) -> (Arc<Bed>, Arc<Interposer>) {
    let bed = Arc::new(Bed::new());
    let interposer = Interposer::start(&bed, plan);
    bed.engine_start(&["ops"]);
    (bed, interposer)
}

pub fn is_driver(method: &str) -> bool {
    ["VolumeDriver.", "NetworkDriver.", "IpamDriver."]
        .iter()
        .any(|prefix| method.starts_with(prefix))
}

/// Each of the sequence's calls meets a moondock that has just been started.
#[test]
fn killing_moondock_between_calls_loses_nothing() {
    needs!(engine);
    let kill = |method: &str, _| {
        if is_driver(method) {
            Fault::KillBefore
        } else {
            Fault::None
        }
    };
    let (bed, interposer) = faulty(kill);
    let before = bed.kernel_state();
    bed.volume_create("data", &["-o", "size=8M"]).ok();
    bed.network_create("net", TINY).ok();
    bed.network_create("second", &["--ipv6"]).ok();
    bed.run_sleeper(
        "web",
        &["-v", "data:/data", "--network", "net", "-p", "8080:80"],
    );
    assert_eq!(bed.address("web", "net"), "10.95.0.2");
    bed.sh("web", "echo kept >/data/file").ok();
    let page = bed.dir().join("daemon.json");
    bed.docker(&["cp", page.to_str().unwrap(), "web:/data/page"])
        .ok();
    assert_eq!(bed.volume_mounts().len(), 1, "{:?}", bed.volume_mounts());
    bed.docker(&["network", "connect", "second", "web"]).ok();
    assert!(bed.reaches("web", "198.51.100.2"));
    bed.docker(&["network", "disconnect", "second", "web"]).ok();
    bed.docker(&["restart", "web"]).ok();
    assert_eq!(bed.address("web", "net"), "10.95.0.2");
    assert_eq!(bed.sh("web", "cat /data/file").ok(), "kept");
    bed.run_sleeper("crowded", &[]);
    bed.docker(&["network", "connect", "net", "crowded"])
        .fails_with(&["no free address"]);
    assert_eq!(
        (bed.volumes(), bed.networks()),
        (vec!["data".into()], vec!["net".into(), "second".into()])
    );
    bed.docker(&["rm", "-f", "web", "crowded"]).ok();
    bed.docker(&["volume", "rm", "data"]).ok();
    bed.docker(&["network", "rm", "net", "second"]).ok();
    clean_again(&bed, &before);
    let driven = interposer
        .calls()
        .iter()
        .filter(|method| is_driver(method))
        .count();
    assert!(driven > 40, "only {driven} calls: {:?}", interposer.calls());
}

/// Nothing is left of the sequence: its names, its address and its kernel objects are free again.
#[track_caller]
pub fn clean_again(bed: &Bed, before: &str) {
    assert!(bed.volumes().is_empty() && bed.networks().is_empty());
    bed.network_create("net", TINY).ok();
    let again = [
        "run",
        "--rm",
        "--network",
        "net",
        "busybox",
        "ip",
        "-4",
        "-o",
        "addr",
        "show",
        "eth0",
    ];
    assert!(
        bed.docker(&again).ok().contains("inet 10.95.0.2/30"),
        "the lease was lost or doubled"
    );
    bed.docker(&["network", "rm", "net"]).ok();
    let after = bed.kernel_state();
    for (was, is) in before.lines().zip(after.lines()).take(3) {
        assert_eq!(is, was, "something stayed in the kernel");
    }
}

#[test]
fn killing_the_policy_between_decisions_fails_closed() {
    needs!(engine);
    let kill = |method: &str, _| {
        if method.starts_with("AuthZ") {
            Fault::KillBefore
        } else {
            Fault::None
        }
    };
    let (bed, _interposer) = faulty(kill);
    bed.volume_create("data", &[]).ok();
    bed.docker(&["run", "--privileged", "busybox"])
        .fails_with(&["authorization denied by plugin ops: "]);
    bed.docker(&["run", "--rm", "-v", "data:/data", "busybox", "true"])
        .ok();
}

/// The engine repeats a call whose reply was lost, with an empty body; the user then repeats the command.
#[test]
fn a_volume_call_whose_reply_is_lost_can_be_repeated() {
    needs!(engine);
    let lossy = [
        "VolumeDriver.Create",
        "VolumeDriver.Mount",
        "VolumeDriver.Unmount",
        "VolumeDriver.Remove",
    ];
    let lose = move |method: &str, before: usize| match before {
        0 if lossy.contains(&method) => Fault::LoseReply,
        _ => Fault::None,
    };
    let (bed, interposer) = faulty(lose);
    bed.volume_create("data", &["-o", "size=8M"])
        .fails_with(&["create data"]);
    bed.volume_create("data", &["-o", "size=8M"]).ok();
    assert_eq!(
        bed.volumes(),
        ["data"],
        "the retry without a body made something"
    );
    bed.docker(&["run", "--rm", "-v", "data:/data", "busybox", "true"])
        .fails();
    bed.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/data",
        "busybox",
        "touch",
        "/data/file",
    ])
    .ok();
    assert_eq!(
        bed.docker(&[
            "run",
            "--rm",
            "-v",
            "data:/data",
            "busybox",
            "ls",
            "/data/file"
        ])
        .ok(),
        "/data/file"
    );
    bed.docker(&["rm", "-f", &bed.containers().join(" ")])
        .text();
    let _ = bed.docker(&["volume", "rm", "data"]);
    bed.docker(&["volume", "rm", "-f", "data"]).ok();
    assert!(
        bed.volumes().is_empty(),
        "{:?} after {:?}",
        bed.volumes(),
        interposer.calls()
    );
}

#[test]
fn volumes_survive_an_engine_crash_under_a_running_container() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("data", &["-o", "size=8M"]).ok();
    bed.network_create("net", TINY).ok();
    bed.run_sleeper("web", &["-v", "data:/data", "--network", "net"]);
    for round in ["one", "two"] {
        bed.sh("web", &format!("echo {round} >/data/file")).ok();
        bed.engine_kill9();
        bed.engine_boot();
        bed.docker(&["start", "web"]).ok();
        assert_eq!(bed.sh("web", "cat /data/file").ok(), round);
        assert_eq!(
            bed.address("web", "net"),
            "10.95.0.2",
            "the lease was lost or doubled"
        );
        assert!(bed.reaches("web", "198.51.100.2"));
    }
    bed.docker(&["rm", "-f", "web"]).ok();
    assert!(
        bed.volume_mounts().is_empty(),
        "a crash leaked a mount: {:?}",
        bed.volume_mounts()
    );
    bed.docker(&["volume", "rm", "data"]).ok();
    bed.docker(&["network", "rm", "net"]).ok();
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
}

#[test]
fn a_reboot_of_the_machine_loses_nothing() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("data", &["-o", "size=8M"]).ok();
    bed.network_create("net", TINY).ok();
    bed.run_sleeper(
        "web",
        &["-v", "data:/data", "--network", "net", "-p", "8080:80"],
    );
    bed.sh("web", "echo kept >/data/file").ok();
    reboot(&bed);
    assert_eq!(
        (bed.volumes(), bed.networks()),
        (vec!["data".into()], vec!["net".into()])
    );
    bed.docker(&["start", "web"]).ok();
    assert_eq!(bed.sh("web", "cat /data/file").ok(), "kept");
    assert_eq!(bed.address("web", "net"), "10.95.0.2");
    assert!(
        bed.reaches("web", "198.51.100.2"),
        "the network does not work after a reboot"
    );
    bed.docker(&["rm", "-f", "web"]).ok();
    bed.docker(&["volume", "rm", "data"]).ok();
    bed.docker(&["network", "rm", "net"]).ok();
    assert!(bed.volumes().is_empty() && bed.networks().is_empty());
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
}

/// Ends everything on the spot and takes from the kernel what a reboot would take.
fn reboot(bed: &Bed) {
    bed.engine_kill9();
    bed.moondock_kill9();
    let forget = r#"
        for id in $(ls /proc | grep '^[0-9]'); do
            [ -e "/proc/$id" ] || continue
            case $(tr '\0' ' ' <"/proc/$id/cmdline") in
                /*/containerd-shim*|"sleep 600 ") kill -9 "$id" ;;
            esac
        done
        for mount in $(cut -d' ' -f2 /proc/self/mounts | grep -E '/volumes/|/overlay2/|/netns/'); do
            umount -l "$mount"
        done
        for link in $(ls /sys/class/net); do
            case $link in lo|uplink) ;; *) ip link del "$link" 2>/dev/null || true ;; esac
        done
        nft flush ruleset"#;
    bed.exec_in_ns(&["sh", "-c", forget]).ok();
    bed.moondock_start(&bed.dir().join("scripts"), &[]);
    bed.engine_boot();
}
