//! Every interface that Docker has, in one managed plugin.

use crate::harness::bed::Bed;
use crate::managed::{NAME, volume_root};
use serde_json::Value;

const METRICS: &str = r#"local log = require("@moondock/log")
return {
  collect = function(samples)
    for _, sample in samples do
      if sample.name == "engine_daemon_engine_info" then log.info(`an engine with {sample.labels.graphdriver}`) end
    end
  end,
}"#;

const SECRET: &str = r#"return { get_secret = function(req) return { Value = `{req.SecretName} for {req.ServiceName}` } end }"#;

#[test]
fn one_managed_plugin_serves_all_seven_interfaces() {
    needs!(engine);
    let bed = Bed::new();
    bed.without_resolver();
    bed.engine_start(&[]);
    let plugin = bed.managed(&bed.all_seven(METRICS, SECRET), NAME).create();
    plugin.run("set", &[&volume_root(&bed)]).ok();
    let types = plugin.inspect()["Config"]["Interface"]["Types"].to_string();
    for interface in [
        "authz",
        "volumedriver",
        "networkdriver",
        "ipamdriver",
        "logdriver",
        "metricscollector",
        "secretprovider",
    ] {
        assert!(
            types.contains(&format!("docker.{interface}/1.0")),
            "{types}"
        );
    }
    plugin.enable();

    plugin.wait_for_log("an engine with ");
    bed.swarm_init();
    bed.docker(&["secret", "create", "--driver", NAME, "token"])
        .ok();
    let service = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--restart-condition",
        "none",
    ];
    let asks = [
        "--name",
        "web",
        "--secret",
        "token",
        "busybox",
        "sh",
        "-c",
        "cat /run/secrets/token; echo end",
    ];
    bed.docker(&[&service[..], &asks].concat()).ok();
    assert_eq!(bed.printed("web", 1)[0].trim(), "token for webend");
    bed.docker(&["service", "rm", "web"]).ok();

    bed.authorize_by(&[NAME]);
    bed.managed_volume("data", &["-o", "size=8m"]);
    bed.managed_network();
    let run = [
        "run",
        "--name",
        "all",
        "--log-driver",
        NAME,
        "--network",
        "net",
        "--ip",
        "10.77.0.9",
        "-v",
        "data:/data",
    ];
    let prints = [
        "busybox",
        "sh",
        "-c",
        "ip -4 -o addr show eth0 | grep -o 10.77.0.9; echo kept >/data/file; cat /data/file",
    ];
    bed.docker(&[&run[..], &prints].concat()).ok();
    assert_eq!(bed.docker(&["logs", "all"]).ok(), "10.77.0.9\nkept");
    let denied = bed
        .docker(&["run", "--rm", "--privileged", "busybox", "true"])
        .fails();
    assert!(
        denied.contains("authorization denied by plugin acme/ops:1.0"),
        "{denied}"
    );

    let state = plugin.propagated("").display().to_string();
    let asked = [env!("CARGO_BIN_EXE_moondock"), "status", "--json"];
    let asked = bed.exec_in_ns(&[&asked[..], &["--state", &state]].concat());
    let status: Value = serde_json::from_str(&asked.ok()).unwrap();
    let served = &status["plugins"][0];
    assert_eq!(served["scripts"].as_array().unwrap().len(), 7, "{status}");
    assert_eq!(served["scripts"][0]["file"], "authz.lua");
    let calls = &served["scripts"][0]["calls"];
    assert!(calls["denied"].as_u64() > Some(0), "{status}");

    bed.docker(&["rm", "all"]).ok();
    bed.docker(&["network", "rm", "net"]).ok();
    bed.docker(&["volume", "rm", "data"]).ok();
}
