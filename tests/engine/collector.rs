//! The metrics collector: in a managed plugin, as engines give their metrics to no other.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::bed::Bed;
use crate::cli::Output;
use crate::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);

const SCRIPT: &str = r#"local log = require("@moondock/log")
local metrics = {}
function metrics.start() log.info("it begins") end
function metrics.stop() log.info("it ends") end
function metrics.collect(samples)
  for _, sample in samples do
    if sample.name == "engine_daemon_engine_info" then
      log.info(`first: {sample.type} of an engine with {sample.labels.graphdriver}: {sample.value}`)
    elseif sample.name == "engine_daemon_container_actions_seconds_count" and sample.labels.action == "start" then
      log.info(`first: {sample.type} of starts: {sample.value}`)
    end
  end
end
return metrics
"#;

/// A managed plugin's directory: this moondock, the libraries that it needs, one script.
fn make_plugin(dir: &Path) {
    let root = dir.join("rootfs");
    let binary = env!("CARGO_BIN_EXE_moondock");
    put(Path::new(binary), &root.join("moondock"));
    let needed = Output::of(Command::new("ldd").arg(binary)).ok();
    for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
        put(Path::new(library), &root.join(&library[1..]));
    }
    let scripts = root.join("scripts/numbers");
    fs::create_dir_all(&scripts).unwrap();
    fs::write(scripts.join("metrics.lua"), SCRIPT).unwrap();
    fs::write(scripts.join("plugin.toml"), "[metrics]\ninterval_s = 1\n").unwrap();
    fs::create_dir_all(root.join("tmp")).unwrap();
    let config = json!({
        "description": "numbers",
        "interface": { "types": ["docker.metricscollector/1.0"], "socket": "numbers.sock" },
        "entrypoint": ["/moondock", "serve", "/scripts/numbers"],
        "workdir": "/",
        "network": { "type": "none" },
        "linux": {},
    });
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
}

fn put(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

#[test]
#[ignore = "needs root and dockerd: run tests/run"]
fn a_managed_plugin_gets_the_engines_metrics() {
    let bed = Bed::start();
    let dir = bed.dir().join("numbers");
    make_plugin(&dir);
    bed.docker(&["plugin", "create", "numbers", dir.to_str().unwrap()]).ok();
    bed.docker(&["plugin", "enable", "numbers"]).ok();
    let logged = |text: &str| {
        wait_for(text, PATIENCE, || bed.engine.log().contains(text));
    };
    logged("it begins");
    logged("first: gauge of an engine with ");
    logged("first: histogram of starts: 1");
    bed.docker(&["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    logged("first: histogram of starts: 2");

    // A saved file goes on with the next beat.
    let id = bed.docker(&["plugin", "inspect", "-f", "{{.Id}}", "numbers"]).ok();
    let script = format!("data/plugins/{id}/rootfs/scripts/numbers/metrics.lua");
    bed.write_script(&script, &SCRIPT.replace("first:", "second:"));
    logged("second: histogram of starts: 2");
    assert_eq!(bed.engine.log().matches("it begins").count(), 1);

    // The engine says when it ends, and begins again when it does.
    bed.engine_restart();
    logged("it ends");
    wait_for("begun again", PATIENCE, || bed.engine.log().matches("it begins").count() == 2);
    logged("second: histogram of starts: 1");
    let disabled = std::time::Instant::now();
    bed.docker(&["plugin", "disable", "numbers"]).ok();
    assert!(disabled.elapsed() < Duration::from_secs(9), "{:?}", disabled.elapsed());
}

#[test]
#[ignore = "needs root and dockerd: run tests/run"]
fn an_engine_does_not_hang_on_a_collector_that_it_finds_by_its_socket() {
    let bed = Bed::start();
    let scripts = bed.dir().join("scripts");
    fs::create_dir_all(scripts.join("ops")).unwrap();
    fs::write(scripts.join("ops/metrics.lua"), SCRIPT).unwrap();
    let volume = "local v = {}\nfunction v.get(req) return { Volume = { Name = req.Name } } end\n\
                  for _, name in { 'create', 'remove', 'mount', 'unmount', 'list' } do v[name] = function() end end\nreturn v\n";
    fs::write(scripts.join("ops/volume.lua"), volume).unwrap();
    bed.moondock_start(&scripts, &[]);
    bed.docker(&["volume", "create", "-d", "ops", "data"]).ok();
    assert!(
        bed.moondock_log().contains("metrics.lua is not served: Docker would hang"),
        "{}",
        bed.moondock_log()
    );
}
