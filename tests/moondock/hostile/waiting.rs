//! Host functions that wait, in all the places where a script can call them.

use super::{DEADLINES, OTHER_HOOKS, SHORT, ensure, script};
use crate::harness::scripted::{Scripted, Scripts};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::join;

fn plugin(body: &str) -> Scripts {
    plugin_with(&format!("{SHORT}{DEADLINES}"), body)
}

fn plugin_with(manifest: &str, body: &str) -> Scripts {
    let scripts = Scripts::new([("plugin.toml", manifest)]);
    let scratch = scripts.path().with_file_name("scratch");
    let hooks = format!("function volume.create(req)\n  {body}\nend\n{OTHER_HOOKS}");
    scripts.write(
        "volume.lua",
        &script("volume", scratch.to_str().unwrap(), &hooks),
    );
    scripts
}

async fn create(plugin: &Scripted) -> String {
    plugin
        .error("VolumeDriver.Create", json!({ "Name": "v" }))
        .await
}

const ECHO: &str = "process.run({ argv = { 'echo', 'told' } }).stdout";

/// Where a waiting call is fine; each ends with an error that says what it was told.
const FINE: &[&str] = &[
    "error(ECHO, 0)",
    "local ok, told = pcall(function() return ECHO end) error(told, 0)",
    "local ok, told = xpcall(function() return ECHO end, print) error(told, 0)",
    "error(coroutine.wrap(function() return ECHO end)(), 0)",
    "local ok, told = coroutine.resume(coroutine.create(function() return ECHO end)) error(told, 0)",
    "error(coroutine.wrap(function() return coroutine.wrap(function() return ECHO end)() end)(), 0)",
    "error(coroutine.wrap(function() local ok, told = pcall(function() return ECHO end) return told end)(), 0)",
    "for told in coroutine.wrap(function() coroutine.yield(ECHO) end) do error(told, 0) end",
    "for told in function() return ECHO end do error(told, 0) end",
    "error(store.lock('x', function() return ECHO end), 0)",
    "error(store.transaction(function() return ECHO end), 0)",
    "error(store.lock('x', function() return coroutine.wrap(function() return ECHO end)() end), 0)",
    "local co = coroutine.create(function() coroutine.yield('first') return ECHO end) coroutine.resume(co) local ok, told = coroutine.resume(co) error(told, 0)",
];

#[test]
fn host_functions_may_wait_in_coroutines_of_the_script() {
    for body in FINE {
        plugin(&body.replace("ECHO", ECHO)).open(async |plugin| {
            assert_eq!(create(&plugin).await, "told", "{body}");
        });
    }
}

/// Where Luau cannot give way, with the line that the message must name.
const IMPOSSIBLE: &[&str] = &[
    "table.sort({ 1, 2 }, function() return ECHO == '' end)",
    "string.gsub('x', 'x', function() return ECHO end)",
    "return setmetatable({}, { __index = function() return ECHO end }).x",
    "return tostring(setmetatable({}, { __tostring = function() return ECHO end }))",
    "return setmetatable({}, { __eq = function() return ECHO end }) == setmetatable({}, {})",
    "table.sort({ 1, 2 }, function() return coroutine.wrap(function() return ECHO end)() end)",
];

#[test]
fn waiting_where_it_is_impossible_is_an_error_with_a_cure() {
    for body in &IMPOSSIBLE[..4] {
        plugin(&body.replace("ECHO", ECHO)).open(async |plugin| {
            let error = create(&plugin).await;
            assert_eq!(error, "volume.lua:11: attempt to yield across metamethod/C-call boundary", "{body}");
            let cure = "cure: a function that waits cannot be called from a `table.sort` or `string.gsub` callback or a metamethod";
            assert!(plugin.log().contains(cure), "{}", plugin.log());
        });
    }
}

/// Where a program is when its call's time is up.
const LEFT_BEHIND: &[&str] = &[
    "RUN",
    "pcall(function() RUN end)",
    "while true do pcall(function() RUN end) end",
    "coroutine.wrap(function() RUN end)()",
    "coroutine.wrap(function() coroutine.wrap(function() RUN end)() end)()",
    "coroutine.wrap(function() pcall(function() RUN end) end)()",
    "store.lock('x', function() RUN end)",
    "store.transaction(function(tx) tx:set('kept', 1) RUN end)",
    "store.lock('x', function() coroutine.wrap(function() RUN end)() end)",
];

const RUN: &str =
    "process.run({ argv = { 'sh', '-c', 'echo $$ > ' .. SCRATCH .. '; exec sleep 1000' } })";

#[test]
fn programs_end_with_their_call() {
    for body in LEFT_BEHIND {
        let scripts = plugin(&body.replace("RUN", RUN));
        let scratch = scripts.path().with_file_name("scratch");
        scripts.open(async |plugin| {
            let error = create(&plugin).await;
            assert!(
                error.contains("did not answer within 300 ms"),
                "{body}: {error}"
            );
            ended(&scratch)
                .await
                .unwrap_or_else(|e| panic!("{body}: {e}"));
        });
    }
}

#[test]
fn programs_end_with_a_call_that_cannot_wait() {
    for body in [
        "table.sort({ 1, 2 }, function() RUN end)",
        "table.sort({ 1, 2 }, coroutine.wrap(function() RUN end))",
    ] {
        let scripts = plugin(&body.replace("RUN", RUN));
        let scratch = scripts.path().with_file_name("scratch");
        scripts.open(async |plugin| {
            let error = create(&plugin).await;
            assert!(error.contains("attempt to yield across"), "{body}: {error}");
            if scratch.exists() {
                ended(&scratch)
                    .await
                    .unwrap_or_else(|e| panic!("{body}: {e}"));
            }
        });
    }
}

/// Waits, not long, until the process whose number is in the file is gone. It may have been ended before it wrote it.
async fn ended(file: &Path) -> Result<(), String> {
    let pid = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    let process = Path::new("/proc").join(pid.trim());
    for _ in 0..100 {
        if pid.is_empty() || !process.exists() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ensure(false, format!("process {pid} lives"))
}

#[test]
fn the_budget_of_a_call_does_not_affect_waiting_calls() {
    for bad in [
        "while true do end",
        "local t = {} while true do t[#t + 1] = {} end",
    ] {
        let body = format!("if req.Name == 'bad' then {bad} end time.sleep(0.05) error({ECHO}, 0)");
        plugin_with(SHORT, &body).open(async |plugin| {
            let bad = plugin.error("VolumeDriver.Create", json!({ "Name": "bad" }));
            let (good, bad) = join!(create(&plugin), bad);
            assert_eq!(good, "told");
            assert!(bad.contains("used more than"), "{bad}");
        });
    }
}

#[test]
fn a_failed_call_releases_its_locks() {
    let body = "store.lock('x', function() if req.Name == 'bad' then while true do end end end) error('free', 0)";
    plugin(body).open(async |plugin| {
        let bad = plugin
            .error("VolumeDriver.Create", json!({ "Name": "bad" }))
            .await;
        assert!(bad.contains("CPU time"), "{bad}");
        assert_eq!(create(&plugin).await, "free");
    });
}
