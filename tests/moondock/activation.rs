//! By what scripts know one daemon from the next.

use crate::harness::process::{Setup, VOLUME};
use crate::harness::scripted::{Scripted, Scripts};
use serde_json::{Value, json};

const NETWORK: &str = "local function no() end\nreturn { create_network = no, delete_network = no, create_endpoint = no, \
                       delete_endpoint = no, join = no, leave = no }";
const IPAM: &str = "local plugin = require(\"@moondock/plugin\")\nlocal function no() end\nreturn { request_address = no, \
                    release_pool = no, release_address = no,\n  request_pool = function() return { PoolID = \
                    tostring(plugin.activation()), Pool = \"10.0.0.0/8\" } end }";

fn both() -> Scripts {
    Scripts::new([("network.lua", NETWORK), ("ipam.lua", IPAM)])
}

async fn activation(plugin: &Scripted) -> Value {
    plugin
        .call("IpamDriver.RequestPool", json!({ "Pool": "" }))
        .await
        .1["PoolID"]
        .take()
}

async fn ask(plugin: &Scripted, methods: &[&str]) {
    for method in methods {
        assert_eq!(plugin.raw(method, b"").await.0, 200, "{method}");
    }
}

const CAPABILITIES: [&str; 2] = [
    "NetworkDriver.GetCapabilities",
    "IpamDriver.GetCapabilities",
];

#[test]
fn an_activation_is_counted_once_per_handshake() {
    both().open(async |plugin| {
        for count in ["1", "2"] {
            ask(&plugin, &["Plugin.Activate"]).await;
            ask(&plugin, &CAPABILITIES).await;
            ask(&plugin, &CAPABILITIES).await;
            assert_eq!(activation(&plugin).await, count);
        }
    });
}

/// Whoever starts a plugin for the first time reads what to do next; nobody reads it again.
#[test]
fn a_plugin_says_how_docker_comes_to_use_it_until_an_engine_has() {
    let policy = "return { request = function() return true end }";
    let setup =
        Setup::new()
            .plugin("both", "volume.lua", VOLUME)
            .plugin("both", "authz.lua", policy);
    let command = setup.command();
    let mut served = setup.launch(command);
    let commands = "dockerd --authorization-plugin=both; docker volume create -d both VOLUME";
    served.wait_for_log(&format!("next=\"{commands}\""));
    assert!(served.log().contains(" INFO ready plugin=both "));
    assert_eq!(served.call("both", "Plugin.Activate", "").status, 200);
    served.crash("both");
    served.wait_for("ready again", |served| {
        served.log().matches(" INFO ready ").count() == 2
    });
    assert_eq!(served.log().matches("next=").count(), 1, "{}", served.log());
}
