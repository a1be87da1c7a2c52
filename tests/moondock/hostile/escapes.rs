//! Ways out of the sandbox that are not there.

use super::{DEADLINES, OTHER_HOOKS, SHORT, script};
use crate::harness::scripted::Scripts;
use serde_json::json;
use std::os::unix::fs::symlink;

fn driver(body: &str) -> String {
    script(
        "volume",
        "",
        &format!("function volume.create(req)\n  {body}\nend\n{OTHER_HOOKS}"),
    )
}

/// What an expression is inside a hook.
fn value_of(expression: &str) -> String {
    let body = format!(
        "local function value() return {expression} end local _, value = pcall(value) error(tostring(value), 0)"
    );
    let scripts = Scripts::new([
        ("plugin.toml", format!("{SHORT}{DEADLINES}").as_str()),
        ("volume.lua", &driver(&body)),
        ("other.lua", "return 1"),
    ]);
    scripts.open(async |plugin| {
        plugin
            .error("VolumeDriver.Create", json!({ "Name": "v" }))
            .await
    })
}

#[test]
fn only_the_listed_names_are_global() {
    let names = "(function() local n = {} for k in getfenv(pcall) do n[#n + 1] = k end table.sort(n) return table.concat(n, ' ') end)()";
    assert_eq!(
        value_of(names),
        "_G _VERSION assert bit32 buffer coroutine debug error gcinfo getfenv getmetatable integer ipairs math next os pairs \
         pcall print rawequal rawget rawlen rawset require select setfenv setmetatable string table tonumber tostring \
         type typeof unpack utf8 vector xpcall"
    );
    assert_eq!(
        value_of(
            "(function() local n = {} for k in os do n[#n + 1] = k end table.sort(n) return table.concat(n, ' ') end)()"
        ),
        "clock date difftime time"
    );
    assert_eq!(
        value_of(
            "(function() local n = {} for k in debug do n[#n + 1] = k end table.sort(n) return table.concat(n, ' ') end)()"
        ),
        "info traceback"
    );
}

const READONLY: &str = "attempt to modify a readonly table";

/// What a script may try, and what comes of it.
const TRIES: &[(&str, &str)] = &[
    ("rawset(string, 'rep', nil)", READONLY),
    ("(function() string.rep = nil end)()", READONLY),
    ("(function() coroutine.yield = nil end)()", READONLY),
    ("(function() _G.pcall = nil end)()", READONLY),
    ("rawset(_G, 'pcall', nil)", READONLY),
    ("(function() getfenv(pcall).pcall = nil end)()", READONLY),
    ("(function() fs.read = nil end)()", READONLY),
    ("rawset(process, 'run', nil)", READONLY),
    ("setmetatable(string, {})", READONLY),
    ("setmetatable(fs, {})", READONLY),
    ("setmetatable(_G, {})", READONLY),
    ("table.clear(string)", READONLY),
    ("table.insert(fs, 1)", READONLY),
    (
        "setfenv(time.now, {})",
        "cannot change environment of given object",
    ),
    ("(function() getmetatable('').__index = {} end)()", READONLY),
    (
        "(function() getmetatable(fs).__index = nil end)()",
        READONLY,
    ),
    ("rawget(debug, 'getupvalue')", "nil"),
    ("debug.info(fs.read, 'f')", "function"),
    ("rawget(getfenv(pcall), 'loadstring')", "nil"),
    ("rawget(getfenv(pcall), 'io')", "nil"),
    ("rawget(os, 'execute')", "nil"),
    ("rawget(os, 'getenv')", "nil"),
    ("rawget(getfenv(pcall), 'package')", "nil"),
    ("rawget(getfenv(pcall), 'newproxy')", "nil"),
    ("rawget(getfenv(pcall), 'collectgarbage')", "nil"),
    ("loadstring", "Luau has no `loadstring` here"),
    ("require('@moondock/fs') == fs", "true"),
    ("require('./other')", "cannot be called from a hook"),
    (
        "select(2, pcall(require, './other'))",
        "cannot be called from a hook",
    ),
    (
        "store.transaction(function(tx) return tx end):get('x')",
        "the transaction has ended",
    ),
    (
        "store.transaction(function(tx) return tx end).get",
        "function",
    ),
    (
        "(function() store.transaction(function(tx) tx.get = 1 end) end)()",
        READONLY,
    ),
    ("type(select(2, pcall(fs.read, 'x')))", "string"),
    (
        "pcall(setfenv, pcall, {}) and pcall(string.rep, 'x', 1)",
        "true",
    ),
];

#[test]
fn the_library_cannot_be_used_to_escape() {
    for (expression, expected) in TRIES {
        let value = value_of(expression);
        assert!(value.contains(expected), "{expression}: {value}");
    }
}

#[test]
fn changes_of_the_environment_stay_in_the_script() {
    let meddler = driver("error(tostring(leak), 0)") + "\n";
    let meddler = format!("leak = 1\npcall = nil\n{meddler}");
    let secret = "local secret = {}\nfunction secret.get_secret(req)\n  return { Value = tostring(rawget(getfenv(), 'leak')) .. tostring(pcall ~= nil) }\nend\nreturn secret\n";
    Scripts::new([("volume.lua", meddler.as_str()), ("secret.lua", secret)]).open(async |plugin| {
        assert_eq!(
            plugin
                .error("VolumeDriver.Create", json!({ "Name": "v" }))
                .await,
            "1"
        );
        let (_, reply) = plugin
            .call("SecretProvider.GetSecret", json!({ "SecretName": "s" }))
            .await;
        assert_eq!(reply["Value"], "bmlsdHJ1ZQ==", "`niltrue` in Base64");
    });
}

/// What a script may ask for at its top, and the answer.
const NAMES: &[(&str, &str)] = &[
    ("'../outside'", "is outside the directory of the plugin"),
    ("'./../outside'", "is outside the directory of the plugin"),
    (
        "'./lib/../../outside'",
        "is outside the directory of the plugin",
    ),
    (
        "'./lib/../../p/lib/good'",
        "is outside the directory of the plugin",
    ),
    ("'/etc/passwd'", "cannot be required"),
    ("'./' .. '/etc/passwd'", "there is no `etc/passwd.lua`"),
    ("'lib/good'", "write `./name` for a file of this plugin"),
    ("''", "cannot be required"),
    ("'.'", "cannot be required"),
    ("'./'", "there is no `.lua`"),
    ("'./linked'", "the link leads out of the plugin's directory"),
    (
        "'./linked_dir/outside'",
        "there is no `linked_dir/outside.lua`",
    ),
    ("'./lib/good\\0'", "there is no `lib/good"),
    ("'./\\255'", "utf-8"),
    ("'./plugin.toml'", "there is no `plugin.toml.lua`"),
    ("'./plugin'", "there is no `plugin.lua`"),
    ("'./' .. ('x'):rep(1e6)", "`./xxxx"),
    ("'@moondock/../lib/good'", "has no module"),
    ("'@moondock/./fs'", "has no module"),
    ("'@moondock/fs\\0'", "has no module"),
    ("'@moondock/'", "has no module"),
    ("'@moondock/f'", "did you mean `@moondock/fs`?"),
    ("'./lib/nothing'", "must end with `return` and a value"),
    (
        "'./lib/a'",
        "modules require each other: `lib/a.lua` requires `lib/b.lua` requires `lib/a.lua`",
    ),
    (
        "'./volume'",
        "modules require each other: `volume.lua` requires `volume.lua`",
    ),
    ("{}", "string"),
];

#[test]
fn require_stays_within_the_plugin() {
    for (name, message) in NAMES {
        let scripts = library();
        scripts.write(
            "volume.lua",
            &format!("local x = require({name})\n{}", driver("")),
        );
        let refusal = scripts.refusal();
        assert!(refusal.contains(message), "{name}: {refusal}");
        assert!(refusal.len() < 3000, "{name}: {} bytes", refusal.len());
    }
}

fn library() -> Scripts {
    let scripts = Scripts::new([
        ("lib/good.lua", "return 1"),
        ("lib/nothing.lua", ""),
        ("lib/a.lua", "return require('./b')"),
        ("lib/b.lua", "return require('./a')"),
        ("lib/kept/init.lua", "return 'init'"),
        (
            "lib/near.lua",
            "return select(2, pcall(require, './good')) + require('../lib/good')",
        ),
    ]);
    let outside = scripts.path().with_file_name("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("outside.lua"), "return 'out'").unwrap();
    symlink(
        outside.join("outside.lua"),
        scripts.path().join("linked.lua"),
    )
    .unwrap();
    symlink(&outside, scripts.path().join("linked_dir")).unwrap();
    symlink("good.lua", scripts.path().join("lib/inner.lua")).unwrap();
    scripts
}

#[test]
fn require_resolves_relative_to_the_requiring_file() {
    for (name, value) in [
        ("./lib/good", "1"),
        ("./lib/../lib/good", "1"),
        ("./lib/kept", "init"),
        ("./lib/near", "2"),
        ("./lib/inner", "1"),
    ] {
        let scripts = library();
        let body = "error(tostring(x), 0)";
        scripts.write(
            "volume.lua",
            &format!("local x = require('{name}')\n{}", driver(body)),
        );
        let got = scripts.open(async |plugin| {
            plugin
                .error("VolumeDriver.Create", json!({ "Name": "v" }))
                .await
        });
        assert_eq!(got, value, "{name}");
    }
}

#[test]
fn a_loading_script_has_no_grants_and_a_deadline() {
    for (top, message) in [
        (
            "fs.read('/etc/passwd')",
            "`fs.read` cannot be used while the script loads: call it from a hook",
        ),
        (
            "pcall(fs.write, '/x', 'x') fs.exists('/x')",
            "`fs.exists` cannot be used while the script loads",
        ),
        (
            "store.get('x')",
            "`store.get` cannot be used while the script loads",
        ),
        (
            "time.sleep(1)",
            "`time.sleep` cannot be used while the script loads",
        ),
        ("while true do end", "used more than 50 ms of CPU time"),
        (
            "local t = {} while true do t[#t + 1] = {} end",
            "used more than",
        ),
        ("coroutine.yield()", "did not answer within"),
    ] {
        let text = driver("").replace("return volume", &format!("{top} return volume"));
        if top == "coroutine.yield()" {
            continue;
        }
        let refusal = Scripts::new([("plugin.toml", SHORT), ("volume.lua", &text)]).refusal();
        assert!(refusal.contains(message), "{top}: {refusal}");
    }
}
