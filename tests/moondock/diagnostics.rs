//! What authors are told of each kind of mistake, to the letter: the whole of it by `check` or in the log, one line
//! of it to Docker.

mod messages;
mod places;
mod silent;

use crate::harness::command::{Ended, Workplace};
use crate::harness::scripted::Scripts;
use serde_json::Value;

/// What `check` says of a plugin with these files, after its first lines on what the plugin is.
fn checked(files: &[(&str, &str)]) -> String {
    let place = Workplace::new(&[]);
    files
        .iter()
        .for_each(|(path, text)| place.write(&format!("p/{path}"), text));
    let Ended { code, stdout, .. } = place.run(&["check", "p"]);
    assert_eq!(code, Some(1), "{stdout}");
    let (findings, _) = stdout.rsplit_once("\n\n").unwrap();
    findings
        .split_once("error: ")
        .unwrap_or_else(|| panic!("{stdout}"))
        .1
        .to_owned()
}

/// A secret provider that serves, beside a fault elsewhere.
const GOOD: (&str, &str) = (
    "secret.lua",
    "return { get_secret = function() return { Value = \"x\" } end }\n",
);

/// What Docker receives for a call, and what the log adds to it.
fn called(volume: &str, lib: &str, method: &str) -> (String, String) {
    let grants = "grants = [\"fs.read:/nowhere\", \"fs.read:/etc\", \"fs.write:/z\"]\n";
    let place = Workplace::new(&[
        ("v/plugin.toml", grants),
        ("v/volume.lua", volume),
        ("v/lib/rules.lua", lib),
    ]);
    let body = r#"{"Name":"v1","ID":"1"}"#;
    let Ended { stdout, stderr, .. } = place.run(&["call", "v", method, body]);
    let told: Value = serde_json::from_str(&stdout).unwrap_or_default();
    assert_eq!(told["Err"], told["Error"]);
    let log: Vec<_> = stderr
        .lines()
        .filter(|line| !line.contains(" INFO "))
        .collect();
    let log = log.join("\n").replace(" plugin=v", "");
    let diagnostic = log
        .split_once(" WARN ")
        .map_or(log.as_str(), |(_, diagnostic)| diagnostic);
    (
        told["Err"].as_str().unwrap_or_default().to_owned(),
        diagnostic.to_owned(),
    )
}

/// A volume driver of which `create` is as given, on line 5.
fn driver(create: &str) -> String {
    format!(
        "local fs = require(\"@moondock/fs\")\nlocal rules = require(\"./lib/rules\")\nlocal volume = {{}}\nfunction \
         volume.create(req)\n  {create}\nend\nvolume.remove, volume.unmount = volume.create, \
         volume.create\nvolume.mount, volume.get, volume.list = volume.create, volume.create, \
         volume.create\nreturn volume\n"
    )
}

const RULES: &str = "local fs = require(\"@moondock/fs\")\nlocal rules = {}\nfunction rules.check(opts)\n\treturn \
                     opts.size\nend\nfunction rules.read()\n\treturn fs.read(\"/nowhere\")\nend\nreturn rules\n";

#[track_caller]
fn assert_called(create: &str, method: &str, short: &str, rest: &str) {
    let (told, logged) = called(&driver(create), RULES, method);
    assert_eq!(told, short, "{create}");
    assert_eq!(logged, format!("{short}{rest}"), "{create}");
}

#[test]
fn a_syntax_error_is_shown_at_its_line() {
    let text = "local volume = {}\nfunction volume.get(req)\n  return { Volume = { Name = req.Name }\nend\nreturn \
                volume\n";
    assert_eq!(
        checked(&[("volume.lua", text)]),
        "volume.lua:4: Expected '}' (to close '{' at line 3), got 'end'
  |
4 | end
  | ^^^
  cure: a table above is not closed, or a comma is missing"
    );
}

#[test]
fn unknown_hooks_are_refused() {
    assert_eq!(
        checked(&[(
            "authz.lua",
            "local authz = {}\nfunction authz.reqest(req) end\nfunction authz.zzz(req) end\nauthz.response = { 1 \
             }\nreturn authz\n"
        )]),
        "authz.lua:2: authz has no hook `reqest`
  |
2 | function authz.reqest(req) end
  |                ^^^^^^
  cure: did you mean `request`?
error: authz.lua:3: authz has no hook `zzz`
  |
3 | function authz.zzz(req) end
  |                ^^^
  cure: authz has the hooks request, response; make everything else a local
error: authz.lua:4: the hook `response` must be a function, not a table
  |
4 | authz.response = { 1 }
  |       ^^^^^^^^
  cure: write `function authz.response(req) … end`"
    );
    assert_eq!(
        checked(&[("secret.lua", "return {}\n")]),
        "secret.lua: the hook `get_secret` is missing: SecretProvider.GetSecret needs it
  cure: add `function secret.get_secret(req) … end`"
    );
}

#[test]
fn a_script_must_return_its_hooks() {
    for (end, what) in [
        ("", "nothing"),
        ("return nil", "nothing"),
        ("return 'x'", "a string"),
    ] {
        assert_eq!(
            checked(&[("authz.lua", end)]),
            format!(
                "authz.lua: the script must return a table of hooks; it returned {what}
  cure: begin with `local authz = {{}}` and end with `return authz`"
            )
        );
    }
}

#[test]
fn an_error_at_the_top_level_is_shown_at_its_line() {
    assert_eq!(
        checked(&[(
            "authz.lua",
            "local settings\n\tlocal roots = settings.roots\nreturn {}\n"
        )]),
        "authz.lua:2: attempt to index nil with 'roots'
  |
2 |     local roots = settings.roots
  |                            ^^^^^
  cure: the value before the dot is nil here: check it first (`if x then …`)"
    );
    for raised in [
        "\"no roots are set\", 0",
        "{ message = \"no roots are set\" }",
    ] {
        let text = format!("error({raised})\n");
        assert_eq!(
            checked(&[("authz.lua", &text)]),
            "authz.lua: no roots are set"
        );
    }
}

#[test]
fn an_error_in_a_required_file_is_shown_there() {
    let main = "local rules = require(\"./lib/rules\")\nreturn rules\n";
    assert_eq!(
        checked(&[
            ("authz.lua", main),
            (
                "lib/rules.lua",
                "local limits\nlocal most = limits.most\nreturn most\n"
            )
        ]),
        "lib/rules.lua:2: attempt to index nil with 'most'
  |
2 | local most = limits.most
  |                     ^^^^
  cure: the value before the dot is nil here: check it first (`if x then …`)"
    );
    assert_eq!(
        checked(&[("authz.lua", main), ("lib/rules.lua", "local more = require(\"./mor\")\nreturn more\n")]),
        "lib/rules.lua:1: `./mor`: there is no `lib/mor.lua` in this plugin; did you mean `./lib/rules`?
  |
1 | local more = require(\"./mor\")
  |                       ^^^^^"
    );
}

#[test]
fn a_failed_require_names_the_module() {
    for (name, message, caret) in [
        (
            "./lib/rule",
            "`./lib/rule`: there is no `lib/rule.lua` in this plugin; did you mean `./lib/rules`?",
            "./lib/rule",
        ),
        (
            "./zzz",
            "`./zzz`: there is no `zzz.lua` in this plugin",
            "./zzz",
        ),
        (
            "./lib/a_test",
            "`./lib/a_test`: `lib/a_test.lua` is a test, which scripts cannot require: give it a name that does not \
             end in _test",
            "./lib/a_test",
        ),
        (
            "../other/x",
            "`../other/x` is outside the directory of the plugin: move the file into it",
            "../other/x",
        ),
        (
            "./../../x",
            "`./../../x` is outside the directory of the plugin: move the file into it",
            "./../../x",
        ),
        (
            "/etc/x",
            "`/etc/x` cannot be required: write `./name` for a file of this plugin, or `@moondock/name` for a module \
             of Moondock",
            "/etc/x",
        ),
        (
            "@moondock/volum",
            "Moondock has no module `@moondock/volum`; did you mean `@moondock/volume`?",
            "@moondock/volum",
        ),
        (
            "@moondock/volume/mounts",
            "Moondock has no module `@moondock/volume/mounts`; did you mean `@moondock/volume`?",
            "@moondock/volume",
        ),
        (
            "@moondock/tables",
            "Moondock has no module `@moondock/tables`; there are docker, env, firewall, fs, hash, http, json, log, \
             names, net, plugin, process, store, time, ipam, logs, network, options, volume",
            "@moondock/tables",
        ),
    ] {
        let main = format!("local rules = require(\"{name}\")\nreturn rules\n");
        let pointer = "^".repeat(caret.len());
        assert_eq!(
            checked(&[
                ("authz.lua", &main),
                ("lib/rules.lua", "return {}\n"),
                ("lib/a_test.lua", "return {}\n"),
            ]),
            format!(
                "authz.lua:1: {message}
  |
1 | local rules = require(\"{name}\")
  |                        {pointer}"
            )
        );
    }
}

#[test]
fn mistakes_in_a_manifest_are_diagnosed() {
    for (text, message, excerpt) in [
        (
            "grant = [\"exec:id\"]\n",
            "plugin.toml:1: unknown key `grant`; did you mean `grants`?",
            "1 | grant = [\"exec:id\"]\n  | ^^^^^",
        ),
        (
            "description = \"x\n",
            "plugin.toml:1: invalid basic string, expected `\"`",
            "1 | description = \"x\n  | ^^^^^^^^^^^^^^^^",
        ),
        (
            "[limits.deadline_ms]\n\"volume.mont\" = 5\n",
            "plugin.toml:2: unknown hook `volume.mont`: write `interface.hook`, such as `volume.mount`",
            "2 | \"volume.mont\" = 5\n  |  ^^^^^^^^^^^",
        ),
    ] {
        assert_eq!(
            checked(&[GOOD, ("plugin.toml", text)]),
            format!("{message}\n  |\n{excerpt}")
        );
    }
}

#[test]
fn a_runtime_error_is_a_diagnostic_in_the_log_and_one_line_for_the_user() {
    assert_called(
        "local mode = req.Opts.mode",
        "volume.create",
        "volume.lua:5: attempt to index nil with 'mode'",
        "
  |
5 |   local mode = req.Opts.mode
  |                         ^^^^
  cure: the value before the dot is nil here: check it first (`if x then …`)",
    );
    assert_called(
        "req.Name:uper()",
        "volume.create",
        "volume.lua:5: `string` has no `uper`; did you mean `upper`?",
        "
  |
5 |   req.Name:uper()
  |            ^^^^",
    );
    assert_called(
        "rules.check(req.Opts)",
        "volume.create",
        "lib/rules.lua:4: attempt to index nil with 'size'",
        "
  |
4 |     return opts.size
  |                 ^^^^
  cure: the value before the dot is nil here: check it first (`if x then …`)",
    );
}

#[test]
fn an_error_of_a_host_function_is_shown_at_its_call() {
    assert_called(
        "fs.read(\"/nowhere\")",
        "volume.create",
        "volume.lua:5: fs.read: `/nowhere`: no such file or directory",
        "
  |
5 |   fs.read(\"/nowhere\")
  |            ^^^^^^^^",
    );
    assert_called(
        "rules.read()",
        "volume.create",
        "lib/rules.lua:7: fs.read: `/nowhere`: no such file or directory",
        "
  |
7 |     return fs.read(\"/nowhere\")
  |                     ^^^^^^^^",
    );
}

/// What is raised on purpose is for Docker's user: no place in it, and no fault in the log.
#[test]
fn deliberate_errors_reach_the_user_unchanged() {
    for raised in [
        "\"no space left\", 0",
        "{ message = \"no space left\" }",
        "\"no space left\\nat all\", 0",
    ] {
        let create = format!("error({raised})");
        let outcome = called(&driver(&create), RULES, "volume.create");
        assert_eq!(
            outcome,
            ("no space left".to_owned(), String::new()),
            "{raised}"
        );
    }
}

#[test]
fn other_errors_reach_the_user_with_their_place() {
    for (raised, message) in [
        ("\"no space left\"", "no space left"),
        ("{ code = 7 }", "error with a table without `message`"),
        ("42", "42"),
        ("", "error without a message"),
    ] {
        let create = format!("error({raised})");
        let pointer = "^".repeat(create.len());
        let rest = format!("\n  |\n5 |   {create}\n  |   {pointer}");
        assert_called(
            &create,
            "volume.create",
            &format!("volume.lua:5: {message}"),
            &rest,
        );
    }
}

#[test]
fn a_reply_that_docker_would_not_read_names_the_field() {
    const CREATE: &str =
        "\n  |\n4 | function volume.create(req)\n  |                 ^^^^^^\n  cure: ";
    const HOOK: &str =
        "\n  |\n4 | function volume.create(req)\n  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  cure: ";
    for (method, returned, message, cure) in [
        (
            "create",
            "true",
            "the reply must be a table, not `true`",
            "return nothing",
        ),
        (
            "create",
            "{ Err = 'x' }",
            "the reply's `Err` is not a field that Docker reads",
            "report a failure with `error(\"…\", 0)`",
        ),
        (
            "mount",
            "nil",
            "the reply is missing",
            "return { Mountpoint = … }",
        ),
        (
            "mount",
            "{ Mountpont = '/m' }",
            "the reply's `Mountpont` is not a field that Docker reads",
            "did you mean `Mountpoint`?",
        ),
        (
            "list",
            "{ Volumes = { { Name = 'a', CreatedAt = 'yesterday' } } }",
            "the reply's `Volumes[1].CreatedAt` is not an RFC 3339 time",
            "use `time.rfc3339()`, or leave the field out",
        ),
    ] {
        let short = format!("volume.lua:4: `{method}`: {message}");
        let excerpt = if method == "create" { CREATE } else { HOOK };
        assert_called(
            &format!("return {returned}"),
            &format!("volume.{method}"),
            &short,
            &format!("{excerpt}{cure}"),
        );
    }
    assert_called(
        "return { Mountpoint = 5 }",
        "volume.mount",
        "volume.lua:4: `mount`: the reply's `Mountpoint` must be a string, not a number",
        HOOK.trim_end_matches("\n  cure: "),
    );
}

/// The engine would take an error of `Get` for "no such volume": it receives nothing, and the log has the error.
#[test]
fn a_failing_get_is_only_logged() {
    let returned = "return { Volume = { Name = req.Name, CreatedAt = \"\" } }";
    let (told, logged) = called(&driver(returned), RULES, "volume.get");
    assert_eq!(told, "");
    assert!(
        logged.starts_with(
            "volume.lua:4: `get`: the reply's `Volume.CreatedAt` is not an RFC 3339 time\n"
        ),
        "{logged}"
    );
}

/// The engine repeats a `Get` that got no answer, and loses its arguments. The repetition is explained by the failure.
#[test]
fn a_repeated_get_is_logged_with_the_cause() {
    let text = driver("error(`{req.Name} is on fire`)");
    Scripts::new([("volume.lua", text.as_str()), ("lib/rules.lua", RULES)]).open(async |plugin| {
        let repetition = "the answer was lost, and the engine repeated the call without its arguments: repeat the command";
        let lost = plugin.raw("VolumeDriver.Create", b"").await;
        assert_eq!(lost.0, 400);
        let told: Value = serde_json::from_str(&lost.1).unwrap();
        assert_eq!(told["Err"], repetition);
        assert_eq!(plugin.raw("VolumeDriver.Get", br#"{"Name":"v1"}"#).await.0, 0);
        assert_eq!(plugin.raw("VolumeDriver.Get", b"").await.0, 0);
        let log = plugin.log();
        let cause = "failed: repeated by the engine without arguments, after it failed: `v1`: volume.lua:";
        assert!(log.contains(cause) && log.contains("v1 is on fire"), "{log}");
        assert!(!log.contains(&format!("VolumeDriver.Get: {repetition}")), "{log}");
    });
}

#[test]
fn an_error_in_a_function_given_to_a_kit_is_shown_there() {
    let text = "local volume = require(\"@moondock/volume\")\nreturn volume.driver({\n  mount = function(v)\n    return \
                \"/m\"\n  end,\n  create = function(v)\n    return v.data.size\n  end,\n})\n";
    let (told, logged) = called(text, RULES, "volume.create");
    assert_eq!(told, "volume.lua:7: attempt to index nil with 'size'");
    assert_eq!(
        logged,
        "volume.lua:7: attempt to index nil with 'size'
  |
7 |     return v.data.size
  |                   ^^^^
  cure: the value before the dot is nil here: check it first (`if x then …`)"
    );
}

#[test]
fn kits_refuse_wrong_arguments() {
    let text = "local volume = require(\"@moondock/volume\")\nreturn volume.driver({\n  mount = function(v) return \"/m\" \
                end,\n  unmont = function(v) end,\n})\n";
    assert_eq!(
        checked(&[("volume.lua", text)]),
        "volume.lua:2: volume.driver: unknown field `unmont`; did you mean `unmount`?
  |
2 | return volume.driver({
  | ^^^^^^^^^^^^^^^^^^^^^^"
    );
}
