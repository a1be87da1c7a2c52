//! A managed plugin whose scripts are saved while everything is in use, and one with a script for every interface that is killed.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::managed_plugin::Installed;
use crate::harness::wait::{Done, wait_for};
use crate::managed::{GRANTS, NAME, volume_root};

const SOON: Duration = Duration::from_secs(30);
const SAVES: usize = 50;
const SAVED: [&str; 4] = ["authz.lua", "volume.lua", "network.lua", "ipam.lua"];

const METRICS: &str = r#"local log = require("@moondock/log")
local metrics = {}
function metrics.collect(samples) log.info(`{#samples > 0} samples`) end
return metrics
"#;
const SECRET: &str = r#"local secret = {}
function secret.get_secret(req) return { Value = "of " .. req.SecretName } end
return secret
"#;

impl Bed {
    /// The shipped `ops` with what is missing for all seven interfaces: these two scripts, and that of `jsonlog`.
    pub fn all_seven(&self, metrics: &str, secret: &str) -> PathBuf {
        let scripts = self.ops_with_grants(&[GRANTS, &["fs.write:{settings.root}"]].concat());
        let logs = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/jsonlog/log.lua");
        fs::copy(logs, scripts.join("log.lua")).unwrap();
        fs::write(scripts.join("metrics.lua"), metrics).unwrap();
        fs::write(scripts.join("secret.lua"), secret).unwrap();
        let mut manifest: toml::Table = fs::read_to_string(scripts.join("plugin.toml"))
            .unwrap()
            .parse()
            .unwrap();
        let settings = manifest["settings"].as_table_mut().unwrap();
        settings.insert("root".into(), "/var/lib/moondock/logs".into());
        settings.insert("max_size".into(), "1m".into());
        settings.insert("max_file".into(), 2.into());
        manifest.insert(
            "metrics".into(),
            toml::Table::from_iter([("interval_s".into(), 1.into())]).into(),
        );
        fs::write(scripts.join("plugin.toml"), manifest.to_string()).unwrap();
        scripts
    }

    /// A round of what users do, each of which calls the plugin.
    fn use_everything(&self) {
        self.managed_volume("busy", &["-o", "size=8m"]);
        let network = [
            "network",
            "create",
            "-d",
            NAME,
            "--ipam-driver",
            NAME,
            "--subnet",
            "10.78.0.0/24",
            "more",
        ];
        self.docker(&network).ok();
        let run = [
            "run",
            "--rm",
            "--network",
            "more",
            "-v",
            "busy:/b",
            "busybox",
            "touch",
            "/b/file",
        ];
        self.docker(&run).ok();
        self.docker(&["volume", "inspect", "busy"]).ok();
        self.docker(&["network", "rm", "more"]).ok();
        self.docker(&["volume", "rm", "busy"]).ok();
    }
}

fn rounds_until(done: &AtomicBool, round: impl Fn()) -> usize {
    let mut rounds = 0;
    while !done.load(Ordering::Relaxed) {
        round();
        rounds += 1;
    }
    rounds
}

fn generations(plugin: &Installed) -> usize {
    plugin.log().matches(" live ").count()
}

#[test]
fn saving_scripts_in_use_fails_no_call() {
    needs!(engine);
    let bed = Bed::start();
    let scripts = bed.ops_with_grants(GRANTS);
    let mounted = ["--scripts-mount", scripts.to_str().unwrap()];
    let plugin = bed.managed(&scripts, NAME).with(&mounted).create();
    plugin.run("set", &[&volume_root(&bed)]).ok();
    plugin.enable();
    bed.authorize_by(&[NAME]);
    bed.managed_resources();
    bed.run_writer(&[]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let users = scope.spawn(|| rounds_until(&done, || bed.use_everything()));
        let lookers = scope.spawn(|| rounds_until(&done, || bed.writer_writes_on()));
        let saving = Done(&done);
        for round in 0..SAVES {
            let name = SAVED[round % SAVED.len()];
            let before = generations(&plugin);
            let saved = format!("{}\n-- save {round}\n", shipped(name));
            bed.write_script(&format!("scripts/ops/{name}"), &saved);
            wait_for("the saved script in force", SOON, || {
                generations(&plugin) > before
            });
        }
        drop(saving);
        let (users, lookers) = (users.join().unwrap(), lookers.join().unwrap());
        println!("{users} rounds of use and {lookers} looks at the writer during {SAVES} saves");
        assert!(users > 0 && lookers > 0, "nothing was called meanwhile");
    });
    bed.authorize_by(&[]);
    bed.remove_managed_resources(&plugin);
}

fn shipped(name: &str) -> String {
    fs::read_to_string(format!("{}/scripts/ops/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_plugin_with_all_interfaces_survives_kills() {
    needs!(engine);
    let bed = Bed::start();
    let plugin = bed.managed(&bed.all_seven(METRICS, SECRET), NAME).create();
    plugin.run("set", &[&volume_root(&bed)]).ok();
    plugin.enable();
    bed.authorize_by(&[NAME]);
    bed.managed_resources();
    bed.run_writer(&[]);
    let chatter = "i=0; while i=$((i+1)); do echo line $i; usleep 100000; done";
    let logged = [
        "run",
        "-d",
        "--name",
        "chatter",
        "--stop-signal",
        "KILL",
        "--log-driver",
        NAME,
    ];
    bed.docker(&[&logged[..], &["busybox", "sh", "-c", chatter]].concat())
        .ok();
    let lines = || bed.docker(&["logs", "chatter"]).ok().lines().count();
    wait_for("lines in the log", SOON, || lines() > 3);
    plugin.wait_for_log("true samples");
    bed.docker(&["run", "--rm", "--privileged", "busybox", "true"])
        .fails_with(&["privileged: containers may not be privileged"]);
    bed.use_everything();
    bed.writer_writes_on();
    plugin
        .run("disable", &[])
        .fails_with(&["plugins may not be changed"]);
    plugin.kill(0);
    bed.writer_writes_on();
    let before = lines();
    wait_for("more lines in the log after the kill", SOON, || {
        lines() > before + 3
    });
    bed.docker(&["rm", "-f", "chatter"]).ok();
    bed.authorize_by(&[]);
    bed.remove_managed_resources(&plugin);
    plugin.run("disable", &[]).ok();
    assert!(plugin.processes().is_empty(), "{:?}", plugin.processes());
}
