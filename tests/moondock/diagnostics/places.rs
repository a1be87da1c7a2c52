//! Where a mistake is shown, and what host functions say of their arguments.

use super::{RULES, called, checked, driver};
use crate::harness::command::Workplace;

#[test]
fn a_mistake_that_a_kit_runs_into_is_shown_in_the_authors_file() {
    let create = "rules.options.parse(nil, { a = \"1\" })";
    let lib = "local options = require(\"@moondock/options\")\nreturn { options = options }\n";
    let (told, _) = called(&driver(create), lib, "volume.create");
    assert!(
        told.starts_with("volume.lua:5: ") && told.contains(" (in the kit options, line "),
        "{told}"
    );
}

/// No line of the author's is on the way to it.
#[test]
fn a_fault_in_a_hook_of_a_kit_is_shown_where_the_kit_was_called() {
    let text = "local store = require(\"@moondock/store\")\nlocal volume = require(\"@moondock/volume\")\n\n\
                return volume.driver({\n  create = function() store.set(\"@volume/v2\", 5) end,\n  mount = \
                function() return \"/z\" end,\n})\n";
    let place = Workplace::new(&[("v/volume.lua", text)]);
    let call = |method, body| place.run(&["call", "v", "--state", "state", method, body]);
    assert_eq!(call("volume.create", r#"{"Name":"v1"}"#).code, Some(0));
    let failed = call("volume.remove", r#"{"Name":"v2"}"#);
    let message =
        "volume.lua:4: attempt to index number with 'mounted' (in the kit volume/mounts, line ";
    assert!(failed.stdout.contains(message), "{failed:?}");
    let excerpt = "\n4 | return volume.driver({\n";
    assert!(failed.stderr.contains(excerpt), "{failed:?}");
}

#[test]
fn an_endless_loop_is_shown_where_it_runs() {
    const CURE: &str = "look for an endless loop, or raise `cpu_ms` in plugin.toml";
    assert_eq!(
        checked(&[(
            "authz.lua",
            "local n = 0\nwhile true do n += 1 end\nreturn {}\n"
        )]),
        format!(
            "authz.lua:2: used more than 250 ms of CPU time without yielding\n  |\n2 | while true do n += 1 end\n  | \
             ^^^^^^^^^^^^^^^^^^^^^^^^\n  cure: {CURE}"
        )
    );
    let lib = "local rules = {}\nfunction rules.check()\n  while true do end\nend\nreturn rules\n";
    let (told, _) = called(&driver("rules.check()"), lib, "volume.create");
    assert_eq!(
        told,
        "lib/rules.lua:3: used more than 250 ms of CPU time without yielding"
    );
    let hungry = "local t = {}\n  while true do t[#t + 1] = string.rep(\"x\", 1e6) .. #t end";
    let (told, _) = called(&driver(hungry), RULES, "volume.create");
    assert_eq!(told, "volume.lua:6: used more than 64 MiB of memory");
}

#[test]
fn host_functions_say_what_their_arguments_must_be() {
    for (create, message) in [
        (
            "fs.read()",
            "fs.read: the first argument, `path`, must be a string, not nil",
        ),
        (
            "fs.mkdir(\"/z\", \"0755\")",
            "fs.mkdir: the second argument, `options`, must be a table of options, such as { mode = \"0755\" }, not a \
             string",
        ),
        (
            "fs.mkdir(\"/z\", { mod = \"0755\" })",
            "fs.mkdir: unknown field `mod`; did you mean `mode`?",
        ),
        (
            "fs.chown(\"/z\", -1, 0)",
            "fs.chown: the second argument, `uid`, is not valid: out of range",
        ),
        (
            "fs:read(\"/z\")",
            "fs.read: `fs` is a module: write `fs.read(…)`, with a dot",
        ),
        (
            "rules.log.warn(\"x\", \"y\")",
            "log.warn: the second argument, `fields`, must be a table, not a string",
        ),
        (
            "rules.process.run({ \"ls\", \"-l\" })",
            "process.run: a value has no name: write `{ argv = … }`",
        ),
        (
            "rules.store.lock(\"x\")",
            "store.lock: the second argument, `f`, must be a function, not nil",
        ),
        (
            "rules.store.transaction(function(tx) tx:set() end)",
            "tx:set: the first argument, `key`, must be a string, not nil",
        ),
        (
            "rules.store.transaction(function(tx) tx.gte(\"k\") end)",
            "`tx` has no `gte`; did you mean `get`?",
        ),
    ] {
        let lib = "return { log = require(\"@moondock/log\"), process = require(\"@moondock/process\"), store = \
                   require(\"@moondock/store\") }\n";
        let (told, _) = called(&driver(create), lib, "volume.create");
        assert_eq!(told, format!("volume.lua:5: {message}"), "{create}");
    }
}

#[test]
fn a_result_of_a_host_function_has_no_other_fields() {
    for (expression, message) in [
        (
            "fs.stat(\"/etc\").sise",
            "the result of `fs.stat` has no field `sise`; did you mean `size`?",
        ),
        (
            "rules.net.parse_cidr(\"fd00::/64\").boadcast",
            "the result of `net.parse_cidr` has no field `boadcast`; did you mean `broadcast`?",
        ),
        (
            "rules.store.list()[1].vlaue",
            "the result of `store.list` has no field `vlaue`; did you mean `value`?",
        ),
    ] {
        let create = format!("rules.store.set(\"k\", 1) local x = {expression}");
        let lib =
            "return { net = require(\"@moondock/net\"), store = require(\"@moondock/store\") }\n";
        let (told, _) = called(&driver(&create), lib, "volume.create");
        assert_eq!(told, format!("volume.lua:5: {message}"), "{expression}");
    }
}

/// Everything else in the library is called with a dot.
#[test]
fn a_transaction_is_used_with_a_dot_or_a_colon() {
    let create = "rules.store.transaction(function(tx) tx.set(\"a\", 1) tx:set(\"b\", 2) assert(tx:get(\"a\") == 1 and \
                  tx.get(\"b\") == 2) assert(#tx.list() == 2 and #tx:list(\"a\") == 1) assert(tx.delete(\"a\") and not \
                  tx:delete(\"a\")) end)";
    let lib = "return { store = require(\"@moondock/store\") }\n";
    assert_eq!(
        called(&driver(create), lib, "volume.create"),
        (String::new(), String::new())
    );
}
