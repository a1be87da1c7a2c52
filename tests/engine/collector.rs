//! The metrics collector: in a managed plugin, as engines give their metrics to no other.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::bed::Bed;
use crate::harness::wait::wait_for;

const TIMEOUT: Duration = Duration::from_secs(60);

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

#[test]
fn a_managed_plugin_gets_the_engines_metrics() {
    needs!(engine);
    let bed = Bed::start();
    bed.write_script("scripts/numbers/metrics.lua", SCRIPT);
    bed.write_script("scripts/numbers/plugin.toml", "[metrics]\ninterval_s = 1\n");
    let scripts = bed.dir().join("scripts/numbers");
    let mounted = ["--scripts-mount", scripts.to_str().unwrap()];
    let plugin = bed.managed(&scripts, "numbers").with(&mounted).create();
    plugin.enable();
    plugin.wait_for_log("it begins");
    plugin.wait_for_log("first: gauge of an engine with ");
    plugin.wait_for_log("first: histogram of starts: ");
    let before = starts(&plugin.log());
    bed.docker(&["run", "--rm", "--network", "none", "busybox", "true"])
        .ok();
    plugin.wait_for_log(&format!("first: histogram of starts: {}", before + 1));

    // A saved file goes on with the next beat.
    bed.write_script(
        "scripts/numbers/metrics.lua",
        &SCRIPT.replace("first:", "second:"),
    );
    plugin.wait_for_log(&format!("second: histogram of starts: {}", before + 1));
    assert_eq!(plugin.log().matches("it begins").count(), 1);

    // The engine says when it ends, and when it begins again.
    bed.engine_restart();
    plugin.wait_for_log("it ends");
    wait_for("begun again", TIMEOUT, || {
        plugin.log().matches("it begins").count() == 2
    });
    plugin.wait_for_log("second: histogram of starts: 1");
    let asked = Instant::now();
    plugin.run("disable", &[]).ok();
    assert!(
        asked.elapsed() < Duration::from_secs(9),
        "{:?}",
        asked.elapsed()
    );
}

/// The number of the last line that tells one. An engine that has started nothing counts 1.
fn starts(log: &str) -> u64 {
    let told = log.rsplit("histogram of starts: ").next().unwrap();
    told.chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

#[test]
fn an_engine_does_not_hang_on_a_legacy_collector() {
    needs!(engine);
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
        bed.moondock_log().contains(
            "metrics.lua: not served on a socket: a metrics collector there makes dockerd hang"
        ),
        "{}",
        bed.moondock_log()
    );
}
