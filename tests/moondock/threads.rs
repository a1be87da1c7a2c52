//! The scripts of one plugin, each on its thread: none waits for another.

use crate::harness::scripted::{Scripted, Scripts, request};
use futures_util::future::{Either, join, join_all, select};
use serde_json::json;
use std::pin::pin;

const POLICY: &str = "return { request = function() return false, 'first' end }";

/// A volume driver whose `create` computes until its budget ends it.
const BUSY: &str = "local volume = require('@moondock/volume').driver({
    create = function() while true do end end,
    mount = function(v) return '/tmp' end,
})
return volume";

const LIMITS: &str = "[limits]\ncpu_ms = 3000\n";

fn busy_driver() -> Scripts {
    Scripts::new([
        ("authz.lua", POLICY),
        ("volume.lua", BUSY),
        ("plugin.toml", LIMITS),
    ])
}

async fn burn(plugin: &Scripted) {
    let error = plugin
        .error("VolumeDriver.Create", json!({ "Name": "vv" }))
        .await;
    assert!(error.contains("3000 ms of CPU time"), "{error}");
}

#[test]
fn a_policy_decides_while_a_driver_computes() {
    busy_driver().open(async |plugin| {
        let burning = pin!(burn(&plugin));
        let deciding = pin!(async {
            for _ in 0..20 {
                let decision = plugin.decision(request("GET", "/_ping")).await;
                assert_eq!(decision.as_deref(), Some("first"));
            }
        });
        match select(burning, deciding).await {
            Either::Left(_) => panic!("the decisions waited for the driver"),
            Either::Right((_, burning)) => burning.await,
        }
    });
}

#[test]
fn a_policy_is_reloaded_while_a_driver_computes() {
    busy_driver().open(async |plugin| {
        let burning = pin!(burn(&plugin));
        let reloading = pin!(async {
            let saved = POLICY.replace("first", "second");
            plugin.scripts().write("authz.lua", &saved);
            let decided = async {
                while plugin.decision(request("GET", "/_ping")).await.as_deref() != Some("second") {
                    tokio::task::yield_now().await;
                }
            };
            select(pin!(plugin.reload()), pin!(decided))
                .await
                .factor_first();
        });
        match select(burning, reloading).await {
            Either::Left(_) => panic!("the reload waited for the driver"),
            Either::Right((_, burning)) => burning.await,
        }
    });
}

/// Counts to `n` under a lock, with a wait between reading and writing.
const COUNTER: &str = "local store = require('@moondock/store')
local time = require('@moondock/time')
local function count()
    store.lock('counter', function()
        local n = store.get('n') or 0
        time.sleep(0.001)
        store.set('n', n + 1)
    end)
end
";

#[test]
fn scripts_share_the_store_and_its_locks() {
    let volume = format!(
        "{COUNTER}return require('@moondock/volume').driver({{
            create = count, mount = function() return '/tmp' end }})"
    );
    let secret = format!(
        "{COUNTER}return {{ get_secret = function()
            count()
            return {{ Value = tostring(store.get('n')) }}
        end }}"
    );
    let scripts = [
        ("volume.lua", volume.as_str()),
        ("secret.lua", secret.as_str()),
    ];
    Scripts::new(scripts).open(async |plugin| {
        let volumes = (0..25).map(|n| {
            let name = json!({ "Name": format!("v{n}") });
            plugin.call("VolumeDriver.Create", name)
        });
        let secrets = (0..25).map(|_| {
            let name = json!({ "SecretName": "s" });
            plugin.call("SecretProvider.GetSecret", name)
        });
        let (volumes, secrets) = join(join_all(volumes), join_all(secrets)).await;
        for (status, reply) in volumes.into_iter().chain(secrets) {
            assert_eq!(status, 200, "{reply}");
        }
        let (_, last) = plugin
            .call("SecretProvider.GetSecret", json!({ "SecretName": "s" }))
            .await;
        use base64::Engine;
        let value = last["Value"].as_str().unwrap();
        let value = base64::engine::general_purpose::STANDARD
            .decode(value)
            .unwrap();
        assert_eq!(value, b"51");
    });
}
