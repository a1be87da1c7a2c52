//! The life of a managed plugin: in use by everything at once, killed, its engine killed, disabled under its users.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::bed::Bed;
use crate::harness::managed_plugin::Installed;
use crate::harness::wait::{Done, wait_for};
use crate::managed::{NAME, ops};

const SOON: Duration = Duration::from_secs(30);
/// `docker plugin disable` of a plugin that ignores SIGTERM takes 10 s.
const PROMPT: Duration = Duration::from_secs(3);
/// Writes numbers in turn for as long as it can, and is gone when it cannot.
const WRITE: &str = "i=0; while i=$((i+1)); do echo $i >>/s/log || exit 1; echo $i >>/p/log || exit 1; usleep 20000; done";
const ADDRESS: &str = "10.77.0.20";

impl Bed {
    /// The volumes and the network that the tests use: `sized`, `plain` and `net`.
    pub fn managed_resources(&self) {
        self.managed_volume("sized", &["-o", "size=16m"]);
        self.managed_volume("plain", &[]);
        self.managed_network();
    }

    /// A container that writes to both volumes all the time, at a fixed address.
    pub fn run_writer(&self, args: &[&str]) {
        let head = [
            "run",
            "-d",
            "--name",
            "writer",
            "--stop-signal",
            "KILL",
            "--network",
            "net",
        ];
        let what = ["--ip", ADDRESS, "-v", "sized:/s", "-v", "plain:/p"];
        self.docker(&[&head[..], &what, args, &["busybox", "sh", "-c", WRITE]].concat())
            .ok();
    }

    /// Sees the writer write on, to what any other container sees too, with nothing lost in between.
    #[track_caller]
    pub fn writer_writes_on(&self) {
        let lines = |file: &str| {
            self.sh("writer", &format!("wc -l <{file}"))
                .ok()
                .parse::<u64>()
                .unwrap()
        };
        for file in ["/s/log", "/p/log"] {
            let before = lines(file);
            wait_for("another line by the writer", SOON, || lines(file) > before);
        }
        let gaps = r#"awk '$1 != last + 1 && $1 != 1 { print "after " last " comes " $1 } { last = $1 }' /s/log /p/log"#;
        let run = [
            "run",
            "--rm",
            "--network",
            "net",
            "-v",
            "sized:/s",
            "-v",
            "plain:/p",
            "busybox",
            "sh",
            "-c",
        ];
        let other =
            format!("{gaps}; ping -c1 -W5 {ADDRESS} >/dev/null && echo reached; touch /s/other");
        assert_eq!(self.docker(&[&run[..], &[&other]].concat()).ok(), "reached");
        self.sh("writer", "rm /s/other").ok();
        assert_eq!(self.address("writer", "net"), ADDRESS);
        let devices = self
            .loops()
            .iter()
            .filter(|image| image.ends_with("/sized/image"))
            .count();
        assert_eq!(
            devices,
            1,
            "one image is held by several devices, or by none: {:?}",
            self.loops()
        );
    }

    /// Copies a file into the writer's volume and out of it again.
    #[track_caller]
    pub fn copy_to_and_from_the_writer(&self, text: &str) {
        let (file, back) = (self.dir().join("copy"), self.dir().join("back"));
        fs::write(&file, text).unwrap();
        self.docker(&["cp", file.to_str().unwrap(), "writer:/s/copy"])
            .ok();
        self.docker(&["cp", "writer:/s/copy", back.to_str().unwrap()])
            .ok();
        assert_eq!(fs::read_to_string(back).unwrap(), text);
        assert_eq!(self.sh("writer", "cat /s/copy").ok(), text);
    }

    /// Takes the writer and all resources away and sees that nothing is left.
    #[track_caller]
    pub fn remove_managed_resources(&self, plugin: &Installed) {
        self.docker(&["rm", "-f", "writer"]).ok();
        assert!(
            plugin.mounts().is_empty(),
            "mounted without a user: {:?}",
            plugin.mounts()
        );
        self.remove_volumes_and_network(plugin);
    }

    #[track_caller]
    fn remove_volumes_and_network(&self, plugin: &Installed) {
        self.docker(&["volume", "rm", "sized", "plain"]).ok();
        self.docker(&["network", "rm", "net"]).ok();
        assert!(
            plugin.mounts().is_empty(),
            "mounted without a volume: {:?}",
            plugin.mounts()
        );
        assert!(self.loops().is_empty(), "{:?}", self.loops());
        assert!(self.volumes().is_empty() && self.networks().is_empty());
    }
}

/// The shipped `ops`, enabled, with a writer on its volumes and its network.
fn ops_with_writer<'a>(bed: &'a Bed, args: &[&str]) -> Installed<'a> {
    let plugin = ops(bed);
    plugin.enable();
    bed.managed_resources();
    bed.run_writer(args);
    plugin
}

/// Every way to change a plugin, as the command line has them.
fn changes(directory: &str) -> Vec<Vec<&str>> {
    let plain = ["disable", "enable", "rm", "push"].map(|verb| vec![verb, NAME]);
    let more = [
        vec!["disable", "-f", NAME],
        vec!["rm", "-f", NAME],
        vec!["set", NAME, "BUILDKIT=true"],
        vec!["create", "acme/other:1.0", directory],
    ];
    plain.into_iter().chain(more).collect()
}

#[test]
fn all_interfaces_serve_at_once_and_the_policy_guards_its_plugin() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops(&bed);
    plugin.run("set", &["MOONDOCK_LOG_LEVEL=debug"]).ok();
    plugin.enable();
    plugin
        .run("set", &["MOONDOCK_LOG_LEVEL=info"])
        .fails_with(&["disable plugin before setting"]);
    bed.authorize_by(&[NAME]);
    bed.managed_resources();
    bed.run_writer(&[]);
    bed.run_server("web", &["--network", "net", "-p", "8080:80"]);
    wait_for("answered on the published port", SOON, || {
        bed.answers_host("127.0.0.1", 8080)
    });
    assert!(
        bed.reaches("web", ADDRESS) && bed.reaches("writer", "web"),
        "the containers do not meet"
    );
    bed.writer_writes_on();

    let directory = bed.dir().join("other");
    bed.exec_in_ns(&["mkdir", "-p", directory.join("rootfs").to_str().unwrap()])
        .ok();
    fs::write(directory.join("config.json"), "{}").unwrap();
    for change in changes(directory.to_str().unwrap()) {
        let refused = [
            "authorization denied by plugin acme/ops:1.0",
            "plugins: plugins may not be changed",
        ];
        bed.docker(&[&["plugin"], &change[..]].concat())
            .fails_with(&refused);
    }
    for target in [
        "/plugins/pull?remote=a",
        "/plugins/acme/ops:1.0/upgrade?remote=a",
    ] {
        let reply = bed.api(
            "POST",
            target,
            &[("Content-Type", "application/json")],
            b"[]",
        );
        assert_eq!(reply.status, 403, "{target}: {}", reply.body);
    }
    assert_eq!(plugin.inspect()["Enabled"], true);

    // The way out is the configuration of the engine, which the policy does not control.
    bed.authorize_by(&[]);
    plugin.run("disable", &[]).fails_with(&["is in use"]);
    plugin.run("rm", &[]).fails();
    bed.writer_writes_on();
    bed.docker(&["rm", "-f", "web"]).ok();
    bed.remove_managed_resources(&plugin);
    let begun = Instant::now();
    plugin.run("disable", &[]).ok();
    let took = begun.elapsed();
    println!("`docker plugin disable` took {took:?}");
    assert!(
        took < PROMPT && plugin.processes().is_empty(),
        "{took:?}, {:?}",
        plugin.processes()
    );
    plugin.run("rm", &[]).ok();
}

#[test]
fn killing_a_managed_plugin_in_use_loses_nothing() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops_with_writer(&bed, &[]);
    bed.writer_writes_on();
    let pid = bed.inspect("writer", "{{.State.Pid}}");
    for (victim, name) in ["PID 1", "what serves"].into_iter().enumerate() {
        plugin.kill(victim);
        bed.writer_writes_on();
        bed.copy_to_and_from_the_writer(name);
        bed.writer_writes_on();
        assert_eq!(
            (plugin.mounts().len(), bed.loops().len()),
            (1, 1),
            "{name}: {:?}",
            plugin.mounts()
        );
        let taken = [
            "run",
            "--rm",
            "--network",
            "net",
            "--ip",
            ADDRESS,
            "busybox",
            "true",
        ];
        bed.docker(&taken).fails_with(&["already in use"]);
    }
    assert_eq!(bed.inspect("writer", "{{.State.Pid}}"), pid);
    plugin.kill(0);
    bed.remove_managed_resources(&plugin);
}

#[test]
fn a_plugin_disabled_by_force_works_when_enabled_again() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops_with_writer(&bed, &[]);
    bed.writer_writes_on();
    plugin.run("disable", &[]).fails_with(&["is in use"]);
    plugin.run("disable", &["-f"]).ok();
    let lines = || {
        bed.sh("writer", "cat /s/log /p/log | wc -l")
            .ok()
            .parse::<u64>()
            .unwrap()
    };
    let before = lines();
    wait_for("written without the plugin", SOON, || lines() > before);
    plugin.enable();
    bed.writer_writes_on();
    bed.copy_to_and_from_the_writer("after");
    bed.writer_writes_on();
    bed.remove_managed_resources(&plugin);
}

#[test]
fn containers_that_end_while_the_plugin_is_disabled_are_cleaned_up() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops_with_writer(&bed, &["-p", "8080:80"]);
    bed.writer_writes_on();
    plugin.run("disable", &["-f"]).ok();
    bed.docker(&["rm", "-f", "writer"]).ok();
    plugin.enable();
    bed.run_writer(&["-p", "8080:80"]);
    bed.writer_writes_on();
    bed.copy_to_and_from_the_writer("after");
    bed.remove_managed_resources(&plugin);
}

/// Engines wait for a plugin that they start again, and give up on one that ends meanwhile.
#[test]
fn a_policy_that_failed_to_start_denies_everything_and_can_be_enabled() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops_with_writer(&bed, &[]);
    bed.authorize_by(&[NAME]);
    let first = plugin.processes();
    let kill = |pid: u32| bed.exec_in_ns(&["kill", "-9", &pid.to_string()]).ok();
    kill(first[0]);
    let again = || {
        plugin
            .processes()
            .first()
            .copied()
            .filter(|pid| !first.contains(pid))
    };
    wait_for("another process", SOON, || again().is_some());
    kill(again().unwrap());
    bed.docker(&["create", "--privileged", "busybox", "true"])
        .fails_with(&["plugin acme/ops:1.0 failed with error"]);
    bed.engine_configure(&[]);
    bed.engine.signal("HUP");
    wait_for("the policy out of force", SOON, || {
        bed.docker(&["version"]).code == Some(0)
    });
    plugin.enable();
    bed.authorize_by(&[NAME]);
    bed.authorize_by(&[]);
    bed.writer_writes_on();
    bed.remove_managed_resources(&plugin);
}

/// Starts and removes a container with a volume and an address, which may fail while the plugin is away.
fn come_and_go(bed: &Bed, name: &str) {
    let run = [
        "run",
        "-d",
        "--name",
        name,
        "--network",
        "small",
        "-v",
        "sized:/s",
        "busybox",
        "true",
    ];
    let _ = bed.docker(&run);
    let _ = bed.docker(&["rm", "-f", name]);
}

#[test]
fn killing_the_plugin_during_calls_loses_no_address_or_volume() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops_with_writer(&bed, &[]);
    let small = [
        "network",
        "create",
        "-d",
        NAME,
        "--ipam-driver",
        NAME,
        "--subnet",
        "10.79.0.0/29",
        "small",
    ];
    bed.docker(&small).ok();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for name in ["guest-1", "guest-2"] {
            let (bed, done) = (&bed, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    come_and_go(bed, name);
                }
            });
        }
        let _done = Done(&done);
        for victim in [0, 1, 0, 1] {
            plugin.kill(victim);
        }
    });
    bed.writer_writes_on();
    let all: Vec<String> = (0..5).map(|n| format!("full{n}")).collect();
    for name in &all {
        bed.run_sleeper(name, &["--network", "small"]);
    }
    let none = bed.docker(&["run", "--rm", "--network", "small", "busybox", "true"]);
    none.fails_with(&["no free address left in 10.79.0.0/29"]);
    for name in &all {
        bed.docker(&["rm", "-f", name]).ok();
    }
    bed.docker(&["network", "rm", "small"]).ok();
    let left = bed.exec_in_ns(&["ip", "-o", "link"]).ok();
    assert_eq!(
        left.matches(": mdh").count(),
        1,
        "links without a container: {left}"
    );
    bed.docker(&["rm", "-f", "writer"]).ok();
    // Of an Unmount that a kill cut off, the engine repeats an empty one (protocol 1.6), which is refused: its use ends
    // with the volume.
    bed.remove_volumes_and_network(&plugin);
}

/// Restarts the engine by a signal; with or without live-restore, as it was started.
fn engine_again(bed: &Bed, signal: &str) {
    match signal {
        "KILL" => bed.engine_kill9(),
        _ => bed.engine_stop(),
    }
    bed.engine_boot();
}

#[test]
fn restarted_containers_keep_their_address_and_volume() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = ops_with_writer(&bed, &["--restart", "always"]);
    for signal in ["TERM", "KILL"] {
        engine_again(&bed, signal);
        assert_eq!(plugin.inspect()["Enabled"], true, "after {signal}");
        wait_for("the writer is back", SOON, || {
            bed.inspect("writer", "{{.State.Running}}") == "true"
        });
        bed.writer_writes_on();
        bed.copy_to_and_from_the_writer(signal);
    }
    bed.remove_managed_resources(&plugin);
}

#[test]
fn live_restored_containers_keep_their_address_and_volume() {
    needs!(engine);
    let bed = Bed::start();
    bed.engine_live_restore();
    bed.engine_restart();
    let plugin = ops_with_writer(&bed, &["--restart", "always"]);
    let pid = bed.inspect("writer", "{{.State.Pid}}");
    for signal in ["TERM", "KILL"] {
        engine_again(&bed, signal);
        assert_eq!(plugin.inspect()["Enabled"], true, "after {signal}");
        bed.writer_writes_on();
        bed.copy_to_and_from_the_writer(signal);
        bed.writer_writes_on();
        assert_eq!(
            bed.inspect("writer", "{{.State.Pid}}"),
            pid,
            "after {signal}"
        );
    }
    plugin.kill(0);
    bed.writer_writes_on();
    bed.docker(&["rm", "-f", "writer"]).ok();
    // Having copied, the engine does not say that this container is done with the volume; it will of the next one.
    bed.docker(&["volume", "rm", "sized", "plain"]).ok();
    bed.docker(&["network", "rm", "net"]).ok();
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
    assert!(plugin.mounts().is_empty(), "{:?}", plugin.mounts());
}
