//! What of the kits shows only on the real host: deadlines, locks, several calls at once.

use crate::harness::scripted::Scripts;
use serde_json::json;

/// Making `slow` takes for ever; what was made is a key of the store.
const VOLUME: &str = r#"
local store, time = require("@moondock/store"), require("@moondock/time")
return require("@moondock/volume").driver({
  create = function(v)
    store.set("made/" .. v.name, true)
    if v.name == "slow" then time.sleep(60) end
  end,
  remove = function(v) store.delete("made/" .. v.name) end,
  mount = function() return "/m" end,
  status = function() return { made = store.list("made/") } end,
})
"#;

#[test]
fn the_next_call_cleans_up_after_a_create_that_timed_out() {
    let manifest = "[limits.deadline_ms]\n\"volume.create\" = 2000\n";
    let scripts = Scripts::new([("volume.lua", VOLUME), ("plugin.toml", manifest)]);
    scripts.open(async |plugin| {
        plugin
            .call("VolumeDriver.Create", json!({ "Name": "ab" }))
            .await;
        let made = async || {
            let (_, reply) = plugin
                .call("VolumeDriver.Get", json!({ "Name": "ab" }))
                .await;
            reply["Volume"]["Status"]["made"].as_array().unwrap().len()
        };
        let slow = json!({ "Name": "slow" });
        let (refusal, ()) = tokio::join!(plugin.error("VolumeDriver.Create", slow), async {
            while made().await < 2 {
                tokio::task::yield_now().await;
            }
            plugin.call("VolumeDriver.List", json!({})).await;
            assert_eq!(made().await, 2, "a creation that still ran was undone");
        });
        assert!(
            refusal.contains("did not answer within 2000 ms"),
            "{refusal}"
        );
        assert_eq!(made().await, 2);
        let (_, listed) = plugin.call("VolumeDriver.List", json!({})).await;
        assert_eq!(listed["Volumes"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(
            made().await,
            1,
            "what the slow creation made is still there"
        );
    });
}

const UNGRANTED: &str = r#"local fs = require("@moondock/fs")
local volume = require("@moondock/volume")

local function path(v)
  return fs.join("/nonexistent/volumes", v.name)
end

return volume.driver({
  create = function(v)
    fs.mkdir(path(v))
  end,
  remove = function(v)
    fs.remove_all(path(v))
  end,
  mount = path,
})
"#;

/// A kit catches what a driver raises, to clear up after it, and passes it on.
#[test]
fn errors_of_drivers_keep_their_line_through_a_kit() {
    Scripts::new([("volume.lua", UNGRANTED)]).open(async |plugin| {
        let refusal =
            "is not granted: add \"fs.write:/nonexistent/volumes\" to `grants` in plugin.toml";
        let error = plugin
            .error("VolumeDriver.Create", json!({ "Name": "ab" }))
            .await;
        assert_eq!(
            error,
            format!("volume.lua:10: fs.mkdir: `/nonexistent/volumes/ab` {refusal}")
        );
        let log = plugin.log();
        assert!(log.contains("10 |     fs.mkdir(path(v))"), "{log}");
    });
}

/// After `fill`, the plugin has as many volumes as that volume says.
const MANY: &str = r#"
local store = require("@moondock/store")
local hooks = require("@moondock/volume").driver({
  options = { count = { type = "integer", default = "0" } },
  mount = function(v) return "/m/" .. v.name end,
  path = function(v) return "/m/" .. v.name end,
})
local create = hooks.create
function hooks.create(req)
  create(req)
  store.transaction(function(tx)
    local record = tx:get("@volume/" .. req.Name)
    for n = 1, record.options.count do
      record.name = `v{n}`
      tx:set("@volume/" .. record.name, record)
    end
  end)
end
return hooks
"#;

#[test]
fn a_list_is_whole_however_many_volumes_there_are() {
    let manifest = "[limits]\ncpu_ms = 40\n";
    let filling = "[limits]\ncpu_ms = 60000\n";
    let scripts = Scripts::new([("volume.lua", MANY), ("plugin.toml", filling)]);
    scripts.open(async |plugin| {
        let fill = json!({ "Name": "fill", "Opts": { "count": "5000" } });
        let (status, reply) = plugin.call("VolumeDriver.Create", fill).await;
        assert_eq!(status, 200, "{reply}");
        plugin.scripts().write("plugin.toml", manifest);
        plugin.reload().await;
        let (status, reply) = plugin.call("VolumeDriver.List", json!({})).await;
        assert_eq!(status, 200, "{reply}");
        let names: std::collections::BTreeSet<_> = reply["Volumes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|volume| volume["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), 5001);
    });
}
