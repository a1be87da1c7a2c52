//! Saving a script while the engine is at work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::wait::wait_for;

const SOON: Duration = Duration::from_secs(5);

const NO_VOLUMES: &str = r#"local authz = {}

function authz.request(req)
  if req.action == "volume.create" then return false, "no volumes today" end
  return true
end

return authz
"#;

impl Bed {
    fn save(&self, name: &str, text: &str) {
        self.write_script(&format!("scripts/ops/{name}"), text);
    }
}

#[test]
fn saves_do_not_disturb_commands_in_flight() {
    needs!(engine);
    let bed = Bed::with_ops();
    let done = AtomicBool::new(false);
    let scripts = ["authz.lua", "volume.lua", "network.lua", "ipam.lua"]
        .map(|name| (name, bed.ops_script(name)));
    thread::scope(|scope| {
        let volumes = scope.spawn(|| work(&done, || cycle_volume(&bed)));
        let networks = scope.spawn(|| work(&done, || cycle_network(&bed)));
        for round in 0..60 {
            let (name, text) = &scripts[round % scripts.len()];
            bed.save(name, &format!("{text}\n-- save {round}\n"));
            thread::sleep(Duration::from_millis(50));
        }
        done.store(true, Ordering::Relaxed);
        assert!(
            volumes.join().unwrap() > 2 && networks.join().unwrap() > 0,
            "too few commands in flight"
        );
    });
    assert!(bed.volumes().is_empty() && bed.networks().is_empty());
}

fn work(done: &AtomicBool, cycle: impl Fn()) -> usize {
    let mut rounds = 0;
    while !done.load(Ordering::Relaxed) {
        cycle();
        rounds += 1;
    }
    rounds
}

fn cycle_volume(bed: &Bed) {
    bed.volume_create("busy", &[]).ok();
    bed.docker(&["volume", "inspect", "busy"]).ok();
    bed.docker(&["volume", "rm", "busy"]).ok();
}

fn cycle_network(bed: &Bed) {
    bed.network_create("busy", &["--subnet", "10.90.0.0/24"])
        .ok();
    bed.docker(&["run", "--rm", "--network", "busy", "busybox", "true"])
        .ok();
    bed.docker(&["network", "rm", "busy"]).ok();
}

#[test]
fn a_saved_policy_is_live_at_once() {
    needs!(engine);
    let bed = Bed::with_ops();
    let shipped = bed.ops_script("authz.lua");
    bed.volume_create("before", &[]).ok();
    bed.save("authz.lua", NO_VOLUMES);
    wait_for("refused by the new policy", Duration::from_secs(1), || {
        bed.volume_create("after", &[])
            .text()
            .contains("authorization denied by plugin ops: no volumes today")
    });
    bed.docker(&["run", "--rm", "-v", "before:/data", "busybox", "true"])
        .ok();
    bed.save("authz.lua", &shipped);
    wait_for(
        "allowed by the old policy again",
        Duration::from_secs(1),
        || bed.volume_create("again", &[]).code == Some(0),
    );
}

#[test]
fn a_broken_save_keeps_the_last_good_script() {
    needs!(engine);
    let bed = Bed::with_ops();
    let shipped = bed.ops_script("volume.lua");
    for (broken, said) in [
        ("local volume = {\nfunction", "volume.lua:2"),
        ("return 7", "volume.lua"),
    ] {
        let seen = bed.moondock_log().len();
        bed.save("volume.lua", broken);
        wait_for("told in the log", SOON, || {
            bed.moondock_log()[seen..].contains(said)
        });
        bed.volume_create("still", &[]).ok();
        bed.docker(&["volume", "rm", "still"]).ok();
    }
    bed.save("volume.lua", &shipped);
    bed.volume_create("mended", &[]).ok();
}

#[test]
fn a_reloaded_driver_keeps_volumes_in_use() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("data", &["-o", "size=8M"]).ok();
    bed.network_create("net", &["--subnet", "10.91.0.0/30"])
        .ok();
    bed.run_sleeper("web", &["-v", "data:/data", "--network", "net"]);
    for name in ["volume.lua", "network.lua", "ipam.lua"] {
        let seen = bed.moondock_log().len();
        bed.save(name, &format!("{}\n-- saved\n", bed.ops_script(name)));
        wait_for("a new generation", SOON, || {
            bed.moondock_log()[seen..].contains("generation")
        });
    }
    bed.sh("web", "echo kept >/data/file && cat /data/file")
        .ok();
    assert_eq!(bed.volume_mounts().len(), 1);
    bed.docker(&["restart", "web"]).ok();
    assert_eq!(bed.sh("web", "cat /data/file").ok(), "kept");
    assert!(bed.reaches("web", "198.51.100.2"));
    bed.docker(&["rm", "-f", "web"]).ok();
    assert!(bed.volume_mounts().is_empty() && bed.loops().is_empty());
    bed.docker(&["volume", "rm", "data"]).ok();
    bed.docker(&["network", "rm", "net"]).ok();
}

#[test]
fn a_new_interface_requires_an_engine_restart() {
    needs!(engine);
    let bed = Bed::new();
    let scripts = bed.install_ops();
    let volume = bed.ops_script("volume.lua");
    std::fs::remove_file(scripts.join("ops/volume.lua")).unwrap();
    bed.moondock_start(&scripts, &[]);
    bed.engine_start(&["ops"]);
    bed.volume_create("early", &[]).fails();
    bed.save("volume.lua", &volume);
    wait_for("told to restart Docker", SOON, || {
        let log = bed.moondock_log().to_lowercase();
        log.contains("volume") && log.contains("restart")
    });
    bed.engine_restart();
    bed.volume_create("late", &[]).ok();
}
