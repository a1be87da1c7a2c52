//! The std modules, called from Lua as a hook calls them.

use mlua::{FromLuaMulti, Lua, Value};
use moondock::host::{Host, Limits, MODULES, Shared, log};
use moondock::sys::files::places::{End, Place};
use moondock::sys::mounts;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// A plugin with a directory of its own, which scripts know as `here`.
struct Plugin {
    directory: TempDir,
    shared: Arc<Shared>,
}

/// One script of it: every std module is a global.
struct Script {
    lua: Lua,
    host: Rc<Host>,
}

impl Plugin {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let opening = Shared::open("nas".into(), directory.path().to_owned());
        let shared = crate::harness::lua::block_on(opening).unwrap();
        shared.grant(crate::harness::lua::everything());
        Self {
            directory,
            shared: Arc::new(shared),
        }
    }

    fn script(&self) -> Script {
        let lua = Lua::new();
        let host = Host::new(
            self.shared.clone(),
            Arc::default(),
            "volume.lua".into(),
            1,
            Limits::default(),
        );
        host.in_call.set(true);
        for module in MODULES {
            lua.globals()
                .set(module.name, module.table(&lua, &host).unwrap())
                .unwrap();
        }
        lua.globals()
            .set("print", log::print(&lua, &host).unwrap())
            .unwrap();
        lua.globals()
            .set("here", self.directory.path().to_str().unwrap())
            .unwrap();
        lua.load(HELPERS).exec().unwrap();
        lua.sandbox(true).unwrap();
        host.budget.begin(Duration::from_secs(20));
        Script { lua, host }
    }
}

const HELPERS: &str = r#"
function fails(expected, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "did not fail")
  assert(string.find(tostring(message), expected, 1, true), tostring(message))
end
function same(a, b)
  assert(a == b, `{a} is not {b}`)
end
"#;

impl Script {
    async fn run<R: FromLuaMulti>(&self, code: &str) -> mlua::Result<R> {
        self.lua
            .load(code)
            .set_name("=volume.lua")
            .call_async(())
            .await
    }
}

/// Runs as a plugin's thread does.
fn on_a_plugin_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limited = async {
        tokio::time::timeout(Duration::from_secs(60), work)
            .await
            .expect("it hangs")
    };
    tokio::task::LocalSet::new().block_on(&runtime, limited)
}

/// Runs code that asserts by itself.
fn holds(code: &str) {
    let plugin = Plugin::new();
    on_a_plugin_thread(async { plugin.script().run::<()>(code).await })
        .unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn the_store_keeps_values_of_every_kind() {
    holds(
        r#"
        store.set("volume/a", { size = 5, tags = { "x", "y" }, none = {}, list = json.array({}) })
        store.set("volume/b", false)
        store.set("n", 2^53)
        same(json.encode(store.get("volume/a")), '{"list":[],"none":{},"size":5,"tags":["x","y"]}')
        same(store.get("volume/b"), false)
        same(store.get("n"), 9007199254740992)
        same(store.get("missing"), nil)
        local entries = store.list("volume/")
        same(#entries, 2)
        same(entries[2].key, "volume/b")
        same(#store.list(), 3)
        same(store.delete("n"), true)
        same(store.delete("n"), false)
        fails("store.set: `n`: the value is `nil`: use `delete`", store.set, "n", nil)
        fails("store.set: `n`: at `a[1]`: a function cannot be written as JSON", store.set, "n", { a = { print } })
        fails("store.get: the key is not UTF-8", store.get, "\xff")
        "#,
    );
}

#[test]
fn a_transaction_is_atomic_and_returns_the_result_of_its_function() {
    holds(
        r#"
        local a, b = store.transaction(function(tx)
          tx:set("a", 1)
          same(tx:get("a"), 1)
          same(#tx:list(), 1)
          same(tx:delete("missing"), false)
          return "x", nil
        end)
        same(a, "x")
        same(b, nil)
        local problem = { code = 5 }
        local ok, raised = pcall(store.transaction, function(tx)
          tx:set("a", 2)
          fs.write(here .. "/waits", "meanwhile")
          error(problem)
        end)
        same(ok, false)
        same(raised, problem)
        same(store.get("a"), 1)
        local ok, raised = pcall(store.transaction, function() error("as it is") end)
        same(raised, "volume.lua:20: as it is")
        local kept
        store.transaction(function(tx) kept = tx end)
        fails("tx:set: the transaction has ended", kept.set, kept, "a", 3)
        "#,
    );
}

#[test]
fn nested_transactions_are_an_error() {
    holds(
        r#"
        store.transaction(function(tx)
          fails("store.get: a transaction runs in this call: use `tx:get`", store.get, "a")
          fails("use `tx:set`", store.set, "a", 1)
          fails("use `tx:list`", store.list)
          fails("use `tx:delete`", coroutine.wrap(function() return store.delete("a") end))
          fails("store.transaction: a transaction runs in this call", store.transaction, function() end)
          fails("store.lock: a transaction runs in this call", store.lock, "l", function() end)
        end)
        store.lock("l", function()
          store.set("a", 1)
          store.lock("m", function()
            fails("store.lock: the lock `l` is already held by this call", store.lock, "l", function() end)
            store.transaction(function(tx) tx:set("b", 2) end)
          end)
        end)
        same(store.lock("l", function() return store.get("b") end), 2)
        "#,
    );
}

#[test]
fn scripts_of_a_plugin_share_the_store_without_losing_updates() {
    let plugin = Plugin::new();
    let scripts = [plugin.script(), plugin.script()];
    let count = |script: &Script, code| {
        let function = script.lua.load(code).into_function().unwrap();
        (0..50)
            .map(move |_| function.call_async::<()>(()))
            .collect::<Vec<_>>()
    };
    let in_transactions = "store.transaction(function(tx) local n = tx:get('n') or 0; time.sleep(0); tx:set('n', n + 1) end)";
    let with_locks = "store.lock('n', function() local n = store.get('m') or 0; time.sleep(0); store.set('m', n + 1) end)";
    on_a_plugin_thread(async {
        let counting = scripts
            .iter()
            .flat_map(|s| [count(s, in_transactions), count(s, with_locks)])
            .flatten();
        futures_util::future::try_join_all(counting).await.unwrap();
        assert_eq!(
            scripts[0]
                .run::<(u32, u32)>("return store.get('n'), store.get('m')")
                .await
                .unwrap(),
            (100, 100)
        );
    });
}

#[test]
fn a_cancelled_transaction_writes_nothing_and_releases_its_lock() {
    let plugin = Plugin::new();
    let (first, second) = (plugin.script(), plugin.script());
    let hangs = "store.lock('l', function() store.transaction(function(tx)
        tx:set('a', 1)
        fs.write(here .. '/begun', '')
        pcall(time.sleep, 1000)
        tx:set('a', 2)
    end) end)";
    on_a_plugin_thread(async {
        let call = first.run::<()>(hangs);
        let begun = async {
            while !plugin.directory.path().join("begun").exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { _ = call => panic!("it sleeps"), () = begun => {} }
        let next = "return store.lock('l', function() store.set('b', 1) return store.get('a') end)";
        let next = tokio::time::timeout(Duration::from_secs(5), second.run::<Value>(next));
        assert_eq!(next.await.expect("all is released").unwrap(), Value::Nil);
    });
}

#[test]
fn files_are_written_read_and_removed() {
    holds(
        r#"
        local path = fs.join(here, "d/e")
        fs.mkdir(path, { parents = true, mode = "0751" })
        same(fs.stat(path).mode, tonumber("751", 8))
        fs.write(path .. "/f", "a\0b", { mode = 0x1a0 })
        fs.write(path .. "/f", "c", { append = true })
        same(fs.read(path .. "/f"), "a\0bc")
        same(fs.read(path .. "/f", { offset = 1, length = 2 }), "\0b")
        same(fs.read(path .. "/f", { offset = 3 }), "c")
        same(fs.read(path .. "/f", { offset = 9 }), "")
        fails("`length` must be a whole number", fs.read, path .. "/f", { length = -1 })
        fails("unknown field `lenght`", fs.read, path .. "/f", { lenght = 1 })
        same(fs.stat(path .. "/f").kind, "file")
        same(fs.stat(path .. "/missing"), nil)
        same(fs.exists(path .. "/f"), true)
        fs.chmod(path .. "/f", "600")
        fs.chown(path .. "/f", fs.stat(path).uid, fs.stat(path).gid)
        fs.allocate(path .. "/g", 2^33)
        fs.rename(path .. "/g", path .. "/h")
        same(table.concat(fs.list(path), " "), "f h")
        assert(fs.usage(path).free <= fs.usage(path).total)
        same(fs.real(path .. "/../e/f"), fs.real(path) .. "/f")
        same(fs.remove(path .. "/f"), true)
        same(fs.remove(path .. "/f"), false)
        fails("directory not empty", fs.remove, path)
        same(fs.remove_all(here .. "/d"), true)
        same(fs.remove_all(here .. "/d"), false)
        same(fs.mounted("/proc"), true)
        assert(#fs.mounts() > 0 and fs.mounts()[1].target)
        "#,
    );
}

#[test]
fn mistakes_with_files_are_reported() {
    holds(
        r#"
        fails("fs.read: `" .. here .. "/x`: no such file or directory", fs.read, here .. "/x")
        fails("fs.read: `x` is not an absolute path", fs.read, "x")
        fails("a path cannot contain a zero byte", fs.read, "/a\0b")
        fails("unknown field `modes`", fs.write, here .. "/x", "", { modes = 1 })
        fails("`append` must be a boolean, not a string", fs.write, here .. "/x", "", { append = "no" })
        fails("`999` is not a mode", fs.mkdir, here .. "/x", { mode = "999" })
        fails("`99999` is not a mode", fs.chmod, here, 99999)
        fails("`-1` is not a number of bytes", fs.allocate, here .. "/x", -1)
        fails("`type` is missing", fs.mount, { source = "none", target = here })
        fails("field `target` is missing", fs.mount, { source = "none", type = "tmpfs" })
        fails("`options` must be a list of strings", fs.mount, { source = "a", target = here, type = "b", options = 5 })
        fails("`x` is not an absolute path", fs.mount, { source = "x", target = here, type = "ext4", loop = true })
        for _, name in { "..", "", ".", "a/../..", "/etc", "a\0" } do
          local ok = pcall(fs.join, "/srv", name)
          assert(not ok, name)
        end
        "#,
    );
}

#[test]
fn a_script_mounts_and_unmounts() {
    needs!(root);
    let plugin = Plugin::new();
    let code = r#"
        local at = here .. "/m"
        fs.mkdir(at)
        fs.mount({ source = "none", target = at, type = "tmpfs", options = { "size=1m", "noexec" } })
        same(fs.mounted(at), true)
        fails("a file system is mounted here", fs.remove_all, here)
        same(fs.unmount(at), true)
        same(fs.unmount(at, { lazy = true }), false)
    "#;
    let done = on_a_plugin_thread(async { plugin.script().run::<()>(code).await });
    let left = Place::find(&plugin.directory.path().join("m"), End::Itself).unwrap();
    let _ = mounts::unmount(&left, true);
    done.unwrap();
}

#[test]
fn json_round_trips() {
    holds(
        r#"
        same(json.encode({}), "{}")
        same(json.encode(json.array({})), "[]")
        same(json.encode(json.decode('{"a":[],"b":{},"c":null,"d":[[]]}')), '{"a":[],"b":{},"d":[[]]}')
        same(json.decode("null"), nil)
        same(json.decode("9007199254740992"), 2^53)
        same(json.encode({ 1, 1.5, 2^53, -0.25, true }), "[1,1.5,9007199254740992,-0.25,true]")
        same(json.encode({ a = { 1 }, b = "\n€" }, { pretty = true }), '{\n  "a": [\n    1\n  ],\n  "b": "\\n€"\n}')
        same(json.encode(nil), "null")
        local list = json.array({})
        table.insert(list, 1)
        same(json.encode(json.array(list)), "[1]")
        "#,
    );
}

#[test]
fn names_finds_the_nearest() {
    holds(
        r#"
        same("size", names.nearest("siez", { "mode", "size" }))
        same("mtu", names.nearest("mut", { "bridge", "mtu" }))
        same(nil, names.nearest("frobnicate", { "mode", "size" }))
        fails("`names` must have at most 1000 names", names.nearest, "a", table.create(1001, "a"))
        "#,
    );
}

#[test]
fn names_finds_those_that_match() {
    holds(
        r#"
        local function matching(pattern, ...) return table.concat(names.matching(pattern, { ... }), " ") end
        same("abc cab", matching("ab", "abc", "ba", "cab"))
        same("abc", matching("^(ab|x)[[:alpha:]]$", "abc", "cab", "ab1"))
        same("A1 é1", matching([[^(?i)[a\x{e9}]\d$]], "A1", "é1", "a٣", "b1"))
        same("", matching("x"))
        fails("no regular expression", names.matching, "(a", { "a" })
        fails("no regular expression", names.matching, "a(?=b)", { "ab" })
        fails("no regular expression", names.matching, "((a{50}){50}){50}", { "a" })
        fails("`names` must have at most 65536 bytes", names.matching, "a", { string.rep("a", 65537) })
        names.matching("(a+)+$", { string.rep("a", 60000) .. "b" })
        "#,
    );
}

#[test]
fn json_errors_have_a_position() {
    holds(
        r#"
        local circle = {}
        circle.a = { circle }
        local deep = {}
        for _ = 1, 200 do deep = { deep } end
        fails("json.encode: at `a.b`: a function cannot be written as JSON", json.encode, { a = { b = print } })
        fails("json.encode: at `a[1]`: the table contains itself", json.encode, circle)
        fails("tables are nested deeper than 127", json.encode, deep)
        fails("at `[2]`: `NaN` is not a number that JSON has", json.encode, { 1, 0/0 })
        fails("`inf` is not a number", json.encode, math.huge)
        fails("the table has both a list's keys and `x`", json.encode, { 1, x = 2 })
        fails("the list has holes", json.encode, { [1] = 1, [3] = 3 })
        fails("the string is not UTF-8", json.encode, "\xff")
        fails("a boolean cannot be a key", json.encode, { [true] = 1 })
        fails("has the key `x`", json.encode, json.array({ x = 1 }))
        fails("the table already has a metatable", json.array, setmetatable({}, {}))
        fails("json.decode: trailing characters at line 1 column 4", json.decode, "{} x")
        fails("line 1 column 2", json.decode, '{"')
        fails("recursion limit", json.decode, string.rep("[", 200))
        fails("invalid unicode", json.decode, '"\xff"')
        "#,
    );
}

#[test]
fn time_and_hash_match_reference_values() {
    holds(
        r#"
        same(time.rfc3339(1763910245.9), "2025-11-23T15:04:05Z")
        same(#time.rfc3339(), 20)
        same(time.from_nanoseconds("1732440000123456789"), "2024-11-24T09:20:00.123456789Z")
        same(time.from_nanoseconds("5"), "1970-01-01T00:00:00.000000005Z")
        same(time.to_nanoseconds("2024-11-24T10:20:00.123456789+01:00"), "1732440000123456789")
        same(time.from_nanoseconds(time.to_nanoseconds("0001-01-01T00:00:00Z")), "0001-01-01T00:00:00.000000000Z")
        fails("is not a time such as", time.to_nanoseconds, "yesterday")
        fails("is not a number of nanoseconds", time.from_nanoseconds, "1e9")
        fails("is not a number of nanoseconds", time.from_nanoseconds, string.rep("9", 30))
        local before = time.monotonic()
        time.sleep(0.05)
        assert(time.monotonic() - before >= 0.05)
        assert(time.now() > 1.7e9)
        fails("cannot sleep for `-1` seconds", time.sleep, -1)
        fails("is not a moment", time.rfc3339, 1e18)
        same(hash.sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        same(hash.hex("\0\xff"), "00ff")
        same(hash.unhex("00FF"), "\0\xff")
        same(hash.base64("\xfb\xff"), "+/8=")
        same(hash.unbase64("+/8"), "\xfb\xff")
        same(#hash.random(16), 16)
        assert(hash.random(16) ~= hash.random(16))
        fails("hash.unhex: `z` is not a hexadecimal digit", hash.unhex, "zz")
        fails("odd number", hash.unhex, "a")
        fails("hash.unbase64", hash.unbase64, "*")
        fails("more than 65536", hash.random, 1e6)
        "#,
    );
}

#[test]
fn host_functions_are_refused_while_loading() {
    let plugin = Plugin::new();
    on_a_plugin_thread(async {
        let script = plugin.script();
        script.host.in_call.set(false);
        let pure = "return json.encode({ hash.hex('a'), fs.join('/a', 'b') })";
        assert_eq!(
            script.run::<String>(pure).await.unwrap(),
            r#"["61","/a/b"]"#
        );
        for code in [
            "store.get('a')",
            "fs.read('/etc/passwd')",
            "store.lock('a', print)",
            "time.sleep(1)",
        ] {
            let error = script.run::<()>(code).await.unwrap_err().to_string();
            assert!(
                error.contains("cannot be used while the script loads: call it from a hook"),
                "{error}"
            );
        }
    });
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn log_lines_name_their_script_and_stay_on_one_line() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let code = "log.info('two\\nlines', { b = 'a word', a = 'x', list = { 1 }, f = print })\nprint('hello', 1, nil)\n\nlog.error('bad')\nlog.debug(string.rep('x', 10000))";
    tracing::subscriber::with_default(subscriber, || holds(code));
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["message"], "two\\nlines");
    assert_eq!(
        lines[0]["fields"],
        r#"a=x b="a word" f=<function> list=[1]"#
    );
    assert_eq!(
        (&lines[0]["plugin"], &lines[0]["script"]),
        (&"nas".into(), &"volume.lua".into())
    );
    assert_eq!(
        (&lines[0]["line"], &lines[0]["level"]),
        (&1.into(), &"INFO".into())
    );
    assert_eq!(
        (&lines[1]["message"], &lines[1]["line"]),
        (&"hello\t1\tnil".into(), &2.into())
    );
    assert_eq!(
        (&lines[2]["message"], &lines[2]["line"], &lines[2]["level"]),
        (&"bad".into(), &4.into(), &"ERROR".into())
    );
    assert!(lines[3]["message"].as_str().unwrap().len() < 9000);
}

#[test]
fn every_module_has_a_name_of_its_own() {
    let mut names: Vec<&str> = MODULES.iter().map(|module| module.name).collect();
    names.dedup();
    assert_eq!(names.len(), MODULES.len());
}
