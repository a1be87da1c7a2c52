//! The shipped `ops` as a managed plugin.

use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::wait::wait_for;

const SOON: Duration = Duration::from_secs(30);
const GRANTS: &[&str] =
    &["net", "mount", "exec:mkfs.ext4", "fs.read:/srv/data", "fs.write:/var/lib/moondock/volumes"];
const NAME: &str = "acme/ops:1.0";

#[test]
#[ignore = "needs root and dockerd: run tests/run"]
fn the_engine_shows_what_a_plugin_wants_and_takes_settings() {
    let bed = Bed::start();
    let plugin = bed.managed(&bed.ops_with_grants(GRANTS), NAME).create();
    println!("{}", plugin.printed);
    let seen = plugin.inspect();
    assert_eq!(seen["Enabled"], false);
    plugin.run("set", &["VOLUME_ROOT=/var/lib/moondock/elsewhere", "POOLS=10.0.0.0/8"]).ok();
    let refused = plugin.run("enable", &[]).fails();
    println!("{refused}");
    plugin.wait_for_log("`POOLS` sets `pools`, and `10.0.0.0/8` is not a list in TOML");
    plugin.run("set", &["POOLS="]).ok();
    plugin.enable();
    bed.docker(&["volume", "create", "-d", NAME, "data"]).ok();
    assert!(plugin.propagated("elsewhere/data").is_dir());
    println!("{}", plugin.log());
}

#[test]
#[ignore = "needs root and dockerd: run tests/run"]
fn volumes_networks_and_a_policy_work_as_one_managed_plugin() {
    let bed = Bed::start();
    let plugin = bed.managed(&bed.ops_with_grants(GRANTS), NAME).create();
    plugin.enable();
    bed.docker(&["volume", "create", "-d", NAME, "plain"]).ok();
    bed.docker(&["volume", "create", "-d", NAME, "-o", "size=16m", "sized"]).ok();
    let write = ["run", "--rm", "-v", "plain:/p", "-v", "sized:/s", "busybox", "sh", "-c"];
    bed.docker(&[&write[..], &["echo one >/p/f; echo two >/s/f; df /s"]].concat()).ok();
    let read = bed.docker(&[&write[..], &["cat /p/f /s/f"]].concat()).ok();
    assert_eq!(read, "one\ntwo");
    bed.docker(&[
        "network",
        "create",
        "-d",
        NAME,
        "--ipam-driver",
        NAME,
        "--ipv6",
        "--subnet",
        "10.77.0.0/24",
        "--subnet",
        "fd77::/64",
        "net",
    ])
    .ok();
    bed.run_sleeper("one", &["--network", "net"]);
    bed.run_sleeper("two", &["--network", "net"]);
    assert!(bed.reaches("one", "two"));
    assert!(bed.reaches("one", "198.51.100.2"));
    println!("{}", plugin.log());
    println!("{:?}", plugin.processes());
    let began = Instant::now();
    bed.docker(&["rm", "-f", "one", "two"]).ok();
    plugin.run("disable", &["-f"]).ok();
    println!("disable took {:?}", began.elapsed());
    wait_for("gone", SOON, || plugin.processes().is_empty());
}
