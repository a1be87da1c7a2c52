//! States that are full to the last bytes: whatever is done in them fails by itself, and takes nothing along.

use super::{OTHER_HOOKS, script};
use crate::harness::scripted::{Scripts, request_with};
use serde_json::json;

/// Fills the state but for some bytes, and then does something.
const FILL: &str = "local kept = {}
local function fill(left)
  kept[#kept + 1] = buffer.create(8 * 2 ^ 20 - gcinfo() * 1024 - left)
end
";

const DEEDS: &[&str] = &[
    "error('x')",
    "error({ message = 'x' })",
    "error(setmetatable({}, { __tostring = function() return ('x'):rep(100) end }))",
    "return tostring({}) .. 'x'",
    "pcall(error, 'x')",
    "coroutine.wrap(function() return coroutine.yield() end)()",
    "json.decode('{\"a\":[1,2,{}]}')",
    "json.encode({ a = { 1, 2, 3 } })",
    "store.lock('x', function() return { ('x'):rep(100) } end)",
    "pcall(store.lock, 'x', function() return { ('x'):rep(100) } end)",
    "store.transaction(function(tx) tx:set('a', { b = 1 }) return tx:get('a') end)",
    "store.list('')",
    "time.sleep(0.0001)",
    "coroutine.wrap(function() time.sleep(0.0001) end)()",
    "print('x', {}, 1)",
    "log.info('x', { a = 'b c' })",
    "fs.list('/')",
    "pcall(fs.read, '/nonexistent')",
    "hash.sha256('x')",
    "('a,b'):split(',')",
    "('a,b'):gsub('.', function(c) return c .. c end)",
    "local t = {} for i = 1, 100 do t[i] = i end table.sort(t)",
];

#[test]
fn a_state_without_memory_fails_only_its_own_calls() {
    let mut failed = 0;
    for deed in DEEDS {
        let create = format!(
            "function volume.create(req)\n  if req.Opts then fill(tonumber(req.Opts.left)) end\n  {deed}\nend\n"
        );
        let text = script("volume", "", &format!("{FILL}{create}{OTHER_HOOKS}"));
        let manifest = "grants = ['fs.read:/']\n[limits]\ncpu_ms = 2000\nmemory_mib = 8\n";
        failed +=
            Scripts::new([("plugin.toml", manifest), ("volume.lua", &text)]).open(async |plugin| {
                let mut failed = 0;
                for left in (0..24).map(|n| n * 571).chain([20_000, 40_000]) {
                    let body = json!({ "Name": "v", "Opts": { "left": left.to_string() } });
                    let (status, _) = plugin.call("VolumeDriver.Create", body).await;
                    failed += i32::from(status != 200);
                }
                failed
            });
    }
    assert!(failed > 100, "only {failed} calls met a full state");
}

#[test]
fn a_policy_without_memory_denies() {
    let body = json!({ "Image": "x", "Labels": { "a": "b" }, "HostConfig": { "Binds": ["/a:/b"], "CapAdd": ["X"] } });
    let create = |left: i32| {
        request_with(
            "POST",
            &format!("/v1.41/containers/create?left={left}"),
            &body,
        )
    };
    let mut denied = 0;
    for deed in [
        "return req.body.HostConfig.Binds[1] == '/a:/b'",
        "for k in req.body do end return true",
        "for k in pairs(req) do end return true",
        "return #req.mounts == 1 and req.query.left ~= ''",
        "return json.encode(req.body) ~= ''",
        "return req.nonsense",
        "return req.RequestHeaders ~= nil and req.RequestBody ~= nil and req.params ~= nil and req.queries ~= nil",
    ] {
        let hook = format!(
            "function authz.request(req)\n  fill(tonumber(req.query.left))\n  {deed}\nend\nfunction authz.response() return true end"
        );
        let text = script("authz", "", &format!("{FILL}{hook}"));
        let manifest = "grants = ['fs.read:/']\n[limits]\ncpu_ms = 2000\nmemory_mib = 8\n";
        denied +=
            Scripts::new([("plugin.toml", manifest), ("authz.lua", &text)]).open(async |plugin| {
                let mut denied = 0;
                for left in 0..24 {
                    denied += i32::from(plugin.decision(create(left * 571)).await.is_some());
                }
                denied
            });
    }
    assert!(denied > 100, "only {denied} requests met a full state");
}
