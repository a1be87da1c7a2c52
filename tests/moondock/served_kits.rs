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
            "is not granted: add \"fs.write:/nonexistent/volumes/ab\" (or a directory above it) to `grants` in plugin.toml";
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

/// After `release_pool` of `fill`, the only pool is leased to its last address.
const FULL: &str = r#"
local net, store = require("@moondock/net"), require("@moondock/store")
local hooks = require("@moondock/ipam").driver({
  pools = {},
  in_use = function() return true end,
})
local release = hooks.release_pool
function hooks.release_pool(req)
  if req.PoolID ~= "fill" then return release(req) end
  local pool = store.list("@pool/")[1].value
  store.transaction(function(tx)
    for n = pool.passed, 4094 do
      tx:set(`@lease/{pool.id}/{net.ip_add("10.1.0.0", n)}`, { kind = "address", process = "an earlier one", activation = 0 })
    end
    pool.used, pool.passed = 4094, 4096
    tx:set("@pool/" .. pool.id, pool)
  end)
end
return hooks
"#;

#[test]
fn a_pool_that_is_full_to_the_last_does_not_cost_more() {
    let manifest = |cpu: u32| format!("grants = [\"net\"]\n[limits]\ncpu_ms = {cpu}\n");
    let scripts = Scripts::new([("ipam.lua", FULL), ("plugin.toml", &manifest(60_000))]);
    scripts.open(async |plugin| {
        let pool = json!({ "AddressSpace": "p-local", "Pool": "10.1.0.0/20", "SubPool": "", "Options": {}, "V6": false });
        let (_, reply) = plugin.call("IpamDriver.RequestPool", pool).await;
        let any = json!({ "PoolID": reply["PoolID"], "Address": "", "Options": {} });
        assert_eq!(plugin.call("IpamDriver.RequestAddress", any.clone()).await.0, 200);
        let fill = json!({ "PoolID": "fill" });
        assert_eq!(plugin.call("IpamDriver.ReleasePool", fill).await.0, 200);
        plugin.scripts().write("plugin.toml", &manifest(40));
        plugin.reload().await;

        let full = plugin.error("IpamDriver.RequestAddress", any.clone()).await;
        assert_eq!(full, "no free address left in 10.1.0.0/20");
        let one = json!({ "PoolID": reply["PoolID"], "Address": "10.1.7.7" });
        assert_eq!(plugin.call("IpamDriver.ReleaseAddress", one).await.0, 200);
        let (_, given) = plugin.call("IpamDriver.RequestAddress", any).await;
        assert_eq!(given["Address"], "10.1.7.7/20");
        let whole = json!({ "PoolID": reply["PoolID"] });
        let (status, answer) = plugin.call("IpamDriver.ReleasePool", whole).await;
        assert_eq!(status, 200, "{answer}");
    });
}

/// Without links. After `free_network`, the network has thousands of endpoints.
const CROWDED: &str = r#"
local net, store = require("@moondock/net"), require("@moondock/store")
local hooks = require("@moondock/network").driver({
  create = function() end,
  delete = function() end,
  join = function() return { interface = "x" } end,
  leave = function() end,
  publish = function() end,
})
function hooks.free_network(req)
  local record = store.list("@endpoint/")[1].value
  store.transaction(function(tx)
    for n = 1, 3000 do
      local ip = net.ip_add("10.1.0.2", n)
      record.id, record.address, record.short = string.format("%064x", n), ip .. "/16", nil
      tx:set(`@endpoint/{record.network}/{record.id}`, record)
      tx:set(`@address/{ip}/{record.network}`, record.id)
    end
  end)
end
return hooks
"#;

#[test]
fn a_network_with_thousands_of_endpoints_takes_another() {
    let manifest = |cpu: u32| format!("grants = [\"net\"]\n[limits]\ncpu_ms = {cpu}\n");
    let scripts = Scripts::new([("network.lua", CROWDED), ("plugin.toml", &manifest(60_000))]);
    scripts.open(async |plugin| {
        let network = "a".repeat(64);
        let pool = json!({ "Pool": "10.1.0.0/16", "Gateway": "10.1.0.1/16" });
        let create = json!({ "NetworkID": network, "IPv4Data": [pool], "IPv6Data": [] });
        assert_eq!(plugin.call("NetworkDriver.CreateNetwork", create).await.0, 200);
        let endpoint = |id: &str, address: &str| {
            let interface = json!({ "Address": address, "AddressIPv6": "", "MacAddress": "" });
            json!({ "NetworkID": network, "EndpointID": id.repeat(64), "Interface": interface })
        };
        let first = endpoint("e", "10.1.0.2/16");
        assert_eq!(plugin.call("NetworkDriver.CreateEndpoint", first).await.0, 200);
        let fill = json!({ "NetworkID": network });
        assert_eq!(plugin.call("NetworkDriver.FreeNetwork", fill).await.0, 200);
        plugin.scripts().write("plugin.toml", &manifest(40));
        plugin.reload().await;

        let taken = plugin.error("NetworkDriver.CreateEndpoint", endpoint("c", "10.1.9.9/16")).await;
        assert!(taken.contains("address 10.1.9.9 is reserved for endpoint"), "{taken}");
        let another = endpoint("f", "10.1.200.2/16");
        let port = json!({ "com.docker.network.portmap": [{ "Proto": 6, "HostIP": "", "HostPort": 80, "HostPortEnd": 80, "Port": 80 }] });
        for method in ["CreateEndpoint", "Join", "ProgramExternalConnectivity", "Leave", "DeleteEndpoint"] {
            let mut body = another.clone();
            body["SandboxKey"] = "/x".into();
            body["Options"] = port.clone();
            let (status, reply) = plugin.call(&format!("NetworkDriver.{method}"), body).await;
            assert_eq!(status, 200, "{method}: {reply}");
        }
    });
}
