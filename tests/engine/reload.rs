//! Saving a script while the engine is at work.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::wait::wait_for;

/// The saves after which commands must have been in flight on any machine.
const MOST_SAVES: usize = 2000;

const SOON: Duration = Duration::from_secs(5);

const NO_VOLUMES: &str = r#"local authz = {}

function authz.request(req)
  if req.action == "volume.create" then return false, "no volumes today" end
  return true
end

return authz
"#;

const ALL: &str = "return { request = function() return true end }\n";

/// A volume driver whose volumes are below `root`.
fn driver(root: &str) -> String {
    format!(
        r#"local store = require("@moondock/store")
local volume = {{}}
local function of(req) return {{ Name = req.Name, Mountpoint = "{root}" }} end
function volume.create(req) store.set(req.Name, true) end
function volume.remove(req) store.delete(req.Name) end
function volume.mount(req) return {{ Mountpoint = "{root}" }} end
function volume.unmount(req) end
function volume.get(req) return if store.get(req.Name) then {{ Volume = of(req) }} else nil end
function volume.list()
  local all = {{}}
  for _, entry in store.list() do table.insert(all, of({{ Name = entry.key }})) end
  return {{ Volumes = all }}
end
return volume
"#
    )
}

impl Bed {
    /// A bed whose policy allows everything, beside plugins with these volume drivers.
    fn with_drivers(drivers: &[(&str, &str)]) -> Bed {
        let bed = Bed::new();
        bed.write_script("scripts/ops/authz.lua", ALL);
        for (plugin, text) in drivers {
            bed.write_script(&format!("scripts/{plugin}/volume.lua"), text);
        }
        bed.moondock_start(&bed.dir().join("scripts"), &[]);
        bed.engine_start(&["ops"]);
        bed
    }

    fn create_with(&self, driver: &str, volume: &str) -> Output {
        self.docker(&["volume", "create", "-d", driver, volume])
    }

    /// A directory on the bed's machine, for a driver's volumes.
    fn root(&self) -> String {
        let root = self.dir().join("root");
        std::fs::create_dir_all(&root).unwrap();
        root.display().to_string()
    }

    fn save(&self, name: &str, text: &str) {
        self.write_script(&format!("scripts/ops/{name}"), text);
    }
}

#[test]
fn saves_do_not_disturb_commands_in_flight() {
    needs!(engine);
    let bed = Bed::with_ops();
    let done = AtomicBool::new(false);
    let (volumes, networks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let scripts = ["authz.lua", "volume.lua", "network.lua", "ipam.lua"]
        .map(|name| (name, bed.ops_script(name)));
    thread::scope(|scope| {
        scope.spawn(|| work(&done, &volumes, || cycle_volume(&bed)));
        scope.spawn(|| work(&done, &networks, || cycle_network(&bed)));
        let is_enough = |round| {
            round >= 60
                && volumes.load(Ordering::Relaxed) > 2
                && networks.load(Ordering::Relaxed) > 0
        };
        for round in (0..MOST_SAVES).take_while(|round| !is_enough(*round)) {
            let (name, text) = &scripts[round % scripts.len()];
            bed.save(name, &format!("{text}\n-- save {round}\n"));
            thread::sleep(Duration::from_millis(50));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(
        volumes.into_inner() > 2 && networks.into_inner() > 0,
        "too few commands in flight"
    );
    assert!(bed.volumes().is_empty() && bed.networks().is_empty());
}

fn work(done: &AtomicBool, rounds: &AtomicUsize, cycle: impl Fn()) {
    while !done.load(Ordering::Relaxed) {
        cycle();
        rounds.fetch_add(1, Ordering::Relaxed);
    }
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

#[test]
fn an_engine_with_a_policy_starts_beside_a_broken_plugin() {
    needs!(engine);
    let bed = Bed::with_drivers(&[("bad", "return {{{\n"), ("UPPER", "return 7")]);
    let failed = bed.create_with("bad", "data");
    assert!(
        failed.text().contains("the script is broken: volume.lua:2"),
        "{}",
        failed.text()
    );
    bed.write_script("scripts/bad/volume.lua", &driver(&bed.root()));
    wait_for("the mended driver", SOON, || {
        bed.create_with("bad", "data").code == Some(0)
    });
    bed.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/data",
        "busybox",
        "touch",
        "/data/x",
    ])
    .ok();
    assert!(bed.dir().join("root/x").exists());
    assert!(
        bed.moondock_log()
            .contains("not served: `UPPER` cannot be the name")
    );
}

#[test]
fn docker_uses_a_driver_whose_directory_is_new_and_none_whose_directory_is_gone() {
    needs!(engine);
    let bed = Bed::with_drivers(&[]);
    let state = bed.dir().join("state").display().to_string();
    let reload = || bed.exec_in_ns(&[env!("CARGO_BIN_EXE_moondock"), "reload", "--state", &state]);
    let directory = bed.dir().join("scripts/new");
    let serve = || {
        bed.write_script("draft/volume.lua", &driver(&bed.root()));
        std::fs::rename(bed.dir().join("draft"), &directory).unwrap();
    };
    serve();
    wait_for("a volume of the new driver", SOON, || {
        bed.create_with("new", "data").code == Some(0)
    });
    bed.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/data",
        "busybox",
        "touch",
        "/data/x",
    ])
    .ok();
    assert!(bed.dir().join("root/x").exists());
    let told = reload().ok();
    assert!(
        told.contains("new/volume.lua: loaded again")
            && told.contains("ops/authz.lua: loaded again"),
        "{told}"
    );
    std::fs::remove_dir_all(&directory).unwrap();
    wait_for("its end", SOON, || {
        bed.moondock_log()
            .contains("gone: its directory was removed, its state is kept plugin=new")
    });
    bed.create_with("new", "other").fails();
    bed.docker(&["run", "--rm", "busybox", "true"]).ok();
    serve();
    wait_for("the volume of before", SOON, || {
        bed.docker(&["volume", "inspect", "data"]).code == Some(0)
    });
}
