//! The types and lints of `moondock check`: each mistake, its message and its place.

use crate::harness::command::{Ended, Workplace};
use serde_json::Value;
use std::fs;
use std::path::Path;

const POLICY: &str =
    "local authz = {}\nfunction authz.request(_req)\n  return true\nend\nreturn authz\n";

/// What `check` says about a place: severity, line, column, message.
type Remark<'t> = (&'t str, usize, usize, &'t str);

fn checked(place: &Workplace, args: &[&str]) -> Ended {
    place.run(&[&["check"], args].concat())
}

fn lines_of(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {ended:?}")))
        .collect()
}

/// Checks the plugin `p` with one more file, and compares what is said about that file.
#[track_caller]
fn assert_said(file: &str, text: &str, expected: &[Remark]) {
    let place = Workplace::new(&[
        ("p/authz.lua", POLICY),
        (
            "p/plugin.toml",
            "grants = [\"fs.write:/srv\", \"exec:id\"]\n",
        ),
        (&format!("p/{file}"), text),
    ]);
    let lines = lines_of(&checked(&place, &["--json", "p"]));
    let said = lines.iter().filter(|line| line["file"] == file);
    let said: Vec<_> = said
        .map(|line| {
            let number = |key: &str| usize::try_from(line[key].as_u64().unwrap_or(0)).unwrap();
            let word = |key: &str| line[key].as_str().unwrap_or_default();
            (
                word("severity"),
                number("line"),
                number("column"),
                word("message"),
            )
        })
        .collect();
    assert_eq!(said, expected, "\n{text}");
}

/// A script whose hook has `statement` on line 4, from column 3.
fn secret(head: &str, statement: &str) -> String {
    format!(
        "{head}\nlocal secret = {{}}\nfunction secret.get_secret(req)\n  {statement}\n  \
         return {{ Value = `{{req.SecretName}}` }}\nend\nreturn secret\n"
    )
}

const FS: &str = "local fs = require(\"@moondock/fs\")";

#[test]
fn each_mistake_in_a_hook_is_found_in_both_modes() {
    for (head, statement, expected) in [
        (
            FS,
            "fs.raed(\"/a\")",
            ("error", 4, 6, "`fs` has no `raed`; did you mean `read`?"),
        ),
        (
            FS,
            "fs.read(5)",
            (
                "error",
                4,
                11,
                "expected this to be `string`, but got `number`",
            ),
        ),
        (
            FS,
            "fs.write(\"/a\")",
            (
                "error",
                4,
                3,
                "function expects 2 to 3 arguments, but only 1 is specified",
            ),
        ),
        (
            FS,
            "fs.write(\"/a\", \"\", { mod = 1 })",
            (
                "error",
                4,
                24,
                "there is no option `mod`; did you mean `mode`?",
            ),
        ),
        (
            FS,
            "fs.write(\"/a\", \"\", { append = 1 })",
            (
                "error",
                4,
                33,
                "expected this to be `boolean?`, but got `number`",
            ),
        ),
        (
            "--",
            "print(req.SecretNmae)",
            (
                "error",
                4,
                13,
                "`SecretRequest` has no field `SecretNmae`; did you mean `SecretName`?",
            ),
        ),
        (
            "--",
            "if req.TaskID then return { Valeu = \"x\" } end",
            (
                "error",
                4,
                31,
                "`SecretReply` has no field `Valeu`; did you mean `Value`?",
            ),
        ),
        (
            "--",
            "if req.TaskID then return { Value = 5 } end",
            (
                "error",
                4,
                39,
                "expected this to be `string`, but got `number`",
            ),
        ),
        (
            "--",
            "if req.TaskID then return 5 end",
            (
                "error",
                4,
                29,
                "expected this to be `SecretReply`, but got `number`",
            ),
        ),
        (
            "--",
            "if req.TaskID then return {} end",
            ("error", 4, 29, "`SecretReply` needs the field `Value`"),
        ),
        (
            "--",
            "os.execute(\"ls\")",
            (
                "error",
                4,
                6,
                "`os` has no `execute`: `require(\"@moondock/process\")` runs programs",
            ),
        ),
        (
            "--",
            "io.write(\"x\")",
            (
                "error",
                4,
                3,
                "Luau has no `io` here: files are in `require(\"@moondock/fs\")`, and `print` writes to the log",
            ),
        ),
        (
            "--",
            "dofile(\"x\")",
            (
                "error",
                4,
                3,
                "Luau has no `dofile` here: `require` loads the plugin's own files",
            ),
        ),
        (
            "--",
            "loadstring(\"x\")",
            (
                "error",
                4,
                3,
                "Luau has no `loadstring` here: `require` loads the plugin's own files",
            ),
        ),
        (
            "--",
            "print(secrt)",
            ("error", 4, 9, "no variable `secrt`: did you mean `secret`?"),
        ),
        (
            "--",
            "local _n: number = \"a\"",
            (
                "error",
                4,
                22,
                "expected this to be `number`, but got `string`",
            ),
        ),
        (
            "--",
            "local _n: Secret = nil",
            ("error", 4, 13, "unknown type `Secret`"),
        ),
        (
            "--",
            "local x = 1",
            ("warning", 4, 9, "variable `x` is never used"),
        ),
        (
            FS,
            "print(1)",
            ("warning", 1, 7, "import `fs` is never used"),
        ),
        (
            "--",
            "do return { Value = \"a\" } end",
            (
                "warning",
                5,
                3,
                "unreachable code (previous statement always returns)",
            ),
        ),
    ] {
        assert_said("secret.lua", &secret(head, statement), &[expected]);
        let strict = secret(head, statement).replacen(head, &format!("--!strict\n{head}"), 1);
        let (severity, line, column, message) = expected;
        assert_said(
            "secret.lua",
            &strict,
            &[(severity, line + 1, column, message)],
        );
    }
}

#[test]
fn an_accidental_global_is_a_warning_unless_the_file_is_strict() {
    let text = secret("--", "total = 1");
    let message = "`total` is not declared: this sets a global, which outlives the call";
    assert_said("secret.lua", &text, &[("warning", 4, 3, message)]);
    let strict = text.replacen("--", "--!strict", 1);
    assert_said("secret.lua", &strict, &[("error", 4, 3, message)]);
}

#[test]
fn hooks_are_checked_however_they_are_defined() {
    let parameter = "`get_secret` is called without `b`, which is always nil";
    for (text, expected) in [
        (
            "local s = {}\nfunction s.get_secret(req, b)\n  return { Value = `{req.TaskID}{b}` }\nend\nreturn s\n",
            vec![("warning", 2, 28, parameter)],
        ),
        (
            "return {\n  get_secret = function(req, b)\n    return { Value = `{req.TaskId}{b}` }\n  end,\n}\n",
            vec![
                ("warning", 2, 30, parameter),
                (
                    "error",
                    3,
                    28,
                    "`SecretRequest` has no field `TaskId`; did you mean `TaskID`?",
                ),
            ],
        ),
        (
            "local s = {} :: SecretHooks\nfunction s.get_secret(req)\n  return { Value = req.TaskId }\nend\nreturn s\n",
            vec![(
                "error",
                3,
                24,
                "`SecretRequest` has no field `TaskId`; did you mean `TaskID`?",
            )],
        ),
        (
            "local s: SecretHooks = {}\ns.get_secret = function(req)\n  return { Value = req.TaskId }\nend\nreturn s\n",
            vec![(
                "error",
                3,
                24,
                "`SecretRequest` has no field `TaskId`; did you mean `TaskID`?",
            )],
        ),
        (
            "local s = {}\nfunction s.get_secret(_req)\n  return { Value = \"a\" }\nend\nfunction s.get_secret(_req)\n  \
             return { Value = \"b\" }\nend\nreturn s\n",
            vec![(
                "warning",
                5,
                10,
                "duplicate function definition: `s.get_secret` also defined on line 2",
            )],
        ),
        (
            "--!strict\nlocal s: SecretHooks = {}\nfunction s.get_secret(_req)\n  return { Value = \"a\" }\nend\nreturn s\n",
            vec![],
        ),
    ] {
        assert_said("secret.lua", text, &expected);
    }
}

#[test]
fn drivers_of_kits_are_checked() {
    let text = "local volume = require(\"@moondock/volume\")\nreturn volume.driver({\n  options = { size = { type = \"size\", \
                defualt = \"1g\" } },\n  create = function(v)\n    print(v.nmae)\n  end,\n  mount = function(_v)\n    \
                return 5\n  end,\n})\n";
    // Loading finds the wrong option first.
    let place = Workplace::new(&[("p/lib/driver.lua", text), ("p/authz.lua", POLICY)]);
    let said: Vec<_> = lines_of(&checked(&place, &["--json", "p"]))
        .iter()
        .map(|line| {
            format!(
                "{}:{} {}",
                line["line"],
                line["column"],
                line["message"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            "3:39 `Option` has no field `defualt`; did you mean `default`?",
            "5:13 `Volume` has no field `nmae`; did you mean `name`?",
            "8:12 expected this to be `string`, but got `number`",
        ]
    );
}

#[test]
fn an_unknown_module_is_told_once() {
    for head in [
        "local a = require(\"@moondock/volums\")",
        "local a = require(\"./nothing\")",
    ] {
        let place = Workplace::new(&[(
            "p/secret.lua",
            &format!("--!strict\n{head}\nreturn {{ get_secret = a }}\n"),
        )]);
        let lines = lines_of(&checked(&place, &["--json", "p"]));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["line"], 2, "{lines:?}");
    }
}

#[test]
fn guesses_count_only_in_strict_files() {
    let text = "local state = { count = 0 }\nlocal function add(text)\n  state.count = text .. \"!\"\n  \
                return state.count + 1\nend\nlocal function find(list, name)\n  for _, each in list do\n    \
                if each.name == name then return each end\n  end\nend\nreturn { add = add, find = find }\n";
    let place = Workplace::new(&[("p/authz.lua", POLICY), ("p/lib/a.lua", text)]);
    let count = |place: &Workplace| {
        let lines = lines_of(&checked(place, &["--json", "p"]));
        lines
            .iter()
            .filter(|line| line["severity"] == "error")
            .count()
    };
    assert_eq!(count(&place), 0);
    place.write("p/.luaurc", "{ \"languageMode\": \"strict\" }\n");
    let strict = count(&place);
    assert!(strict > 0);
    place.write("p/lib/a.lua", &format!("--!nonstrict\n{text}"));
    assert_eq!(count(&place), 0);
    place.write("p/.luaurc", "{}\n");
    place.write("p/lib/a.lua", &format!("--!strict\n{text}"));
    assert_eq!(count(&place), strict);
    place.write(
        "p/lib/a.lua",
        &format!("--!nocheck\nprint(nothing)\n{text}"),
    );
    assert_eq!(count(&place), 0);
    place.write("p/.luaurc", "{ \"languageMode\": \"loud\" }\n");
    let ended = checked(&place, &["p"]);
    assert!(
        ended.stdout.contains("error: .luaurc: "),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_body_of_a_request_has_the_type_of_its_action() {
    let body = "`DockerContainerCreate` has no field `Imge`; did you mean `Image`?";
    let host = "`DockerHostConfig` has no field `Priviledged`; did you mean `Privileged`?";
    let exec = "`DockerExecCreate` has no field `Usr`; did you mean `User`?";
    for head in ["--\n", "--!strict\n"] {
        let text = format!(
            "{head}local authz = {{}}\nfunction authz.request(req)\n  \
             if req.pth == \"/\" then return false, \"no\" end\n  \
             if req.action == \"container.create\" then\n    local host = req.body.HostConfig\n    \
             if host and host.Priviledged then return false, \"no\" end\n    \
             if req.body.Imge then return false, \"no\" end\n  end\n  \
             if req.action == \"exec.create\" and req.body.Usr then return false, \"no\" end\n  \
             if req.body and req.body.HostConfig then return false, \"no\" end\n  \
             return true\nend\nreturn authz\n"
        );
        let expected = [
            (
                "error",
                4,
                10,
                "`AuthzRequest` has no field `pth`; did you mean `path`?",
            ),
            ("error", 7, 22, host),
            ("error", 8, 17, body),
            ("error", 10, 47, exec),
        ];
        assert_said("authz.lua", &text, &expected);
    }
}

#[test]
fn a_table_of_rules_gives_each_the_body_of_its_action() {
    let text = "--!strict\nlocal rules: AuthzRules = {\n  [\"container.create\"] = function(req)\n    \
                return req.body.Imge == nil, req.pth\n  end,\n  [\"exec.crate\"] = function(req)\n    \
                return req.path == \"/\"\n  end,\n  [\"image.list\"] = function(req)\n    \
                return req.path == \"/\"\n  end,\n}\nlocal authz: AuthzHooks = {}\n\
                function authz.request(req)\n  local rule = req.action and rules[req.action]\n  \
                if rule then return rule(req :: any) end\n  return req.effect == \"read\"\nend\nreturn authz\n";
    let expected = [
        (
            "error",
            4,
            21,
            "`DockerContainerCreate` has no field `Imge`; did you mean `Image`?",
        ),
        (
            "error",
            4,
            38,
            "`AuthzRequest` has no field `pth`; did you mean `path`?",
        ),
        (
            "error",
            6,
            4,
            "`AuthzRules` has no field `exec.crate`; did you mean `exec.create`?",
        ),
    ];
    assert_said("authz.lua", text, &expected);
}

#[test]
fn a_table_that_may_be_empty_needs_its_type() {
    let rule = |ty: &str| {
        format!(
            "--!strict\nlocal authz = {{}}\nfunction authz.request(req: AuthzRequest)\n  \
             if req.action == \"container.create\" then\n    \
             local host{ty} = req.body.HostConfig or {{}}\n    \
             if host.Privileged then return false end\n  end\n  return true\nend\nreturn authz\n"
        )
    };
    let place = Workplace::new(&[("p/authz.lua", &rule(""))]);
    let said = checked(&place, &["--quiet", "p"]).stdout;
    let cure = "  cure: give the variable its type: `local x: DockerHostConfig = … or {}`\n";
    assert!(
        said.starts_with("error: p/authz.lua:6: key `Privileged` is missing"),
        "{said}"
    );
    assert!(said.ends_with(cure), "{said}");
    assert_said("authz.lua", &rule(": DockerHostConfig"), &[]);
}

#[test]
fn tests_are_checked_as_scripts_are() {
    let text = "local fs = require(\"@moondock/fs\")\nlocal test = require(\"@moondock/test\")\n\
                test.case(\"a\", function()\n  test.eqal(fs.raed(\"/a\"), 1)\n  \
                test.denied(test.docker(5))\n  test.allowed(test.request({ uri = \"/x\" }).alow)\nend)\n";
    let expected = [
        ("error", 4, 8, "`test` has no `eqal`; did you mean `equal`?"),
        ("error", 4, 16, "`fs` has no `raed`; did you mean `read`?"),
        (
            "error",
            5,
            27,
            "expected this to be `string`, but got `number`",
        ),
        (
            "error",
            6,
            45,
            "`Decision` has no field `alow`; did you mean `allow`?",
        ),
    ];
    assert_said("authz_test.lua", text, &expected);
    let message = "Expected 'end' (to close 'function' at line 1), got <eof>";
    let broken = [("error", 2, 0, message)];
    assert_said("lib/a_test.lua", "return function()\n", &broken);
}

#[test]
fn the_grants_are_compared_with_what_scripts_use() {
    let script = "local fs = require(\"@moondock/fs\")\nlocal net = require(\"@moondock/net\")\n\
                  local secret = {}\nfunction secret.get_secret(req)\n  net.set_up(\"eth9\")\n  \
                  return { Value = fs.read(\"/etc/\" .. req.SecretName) }\nend\nreturn secret\n";
    let place = Workplace::new(&[
        ("p/secret.lua", script),
        (
            "p/plugin.toml",
            "grants = [\n  \"exec:ls\",\n  \"fs.read:/etc\",\n]\n",
        ),
    ]);
    let ended = checked(&place, &["--quiet", "p"]);
    assert_eq!(
        ended.stdout,
        "warning: p/secret.lua:5: `net.set_up` needs the grant `net`\n  |\n5 |   net.set_up(\"eth9\")\n  \
         |   ^^^^^^^^^^\n  cure: add `\"net\"` to `grants` in plugin.toml\n\
         warning: p/plugin.toml:2: no script uses the grant `exec:ls`\n  |\n2 |   \"exec:ls\",\n  \
         |    ^^^^^^^\n  cure: leave it out\n"
    );
    // What is handed on may be used in any way, and kits use what they need.
    place.write(
        "p/secret.lua",
        &script.replace("net.set_up(\"eth9\")", "(net :: any)[req.SecretName]()"),
    );
    place.write(
        "p/network.lua",
        "local network = require(\"@moondock/network\")\nreturn network.driver({\n  \
         create = function(_) end,\n  delete = function(_) end,\n  \
         join = function(_) return { interface = \"a\" } end,\n  leave = function(_) end,\n})\n",
    );
    place.write("p/plugin.toml", "grants = [\"net\", \"fs.read:/etc\"]\n");
    let ended = checked(&place, &["--quiet", "p"]);
    assert_eq!((ended.stdout.as_str(), ended.code), ("", Some(0)));
}

/// As an archive or a colleague may leave them.
#[test]
fn settings_that_cannot_be_read_are_an_error() {
    let place = Workplace::new(&[("p/authz.lua", POLICY)]);
    let settings = place.path().join("p/.luaurc");
    rustix::fs::mkfifoat(rustix::fs::CWD, &settings, 0o644.into()).unwrap();
    let told = |place: &Workplace| {
        let ended = checked(place, &["--quiet", "p"]);
        (ended.stdout, ended.code)
    };
    let (message, code) = told(&place);
    assert_eq!(message, "error: p/.luaurc: is not a regular file\n");
    assert_eq!(code, Some(1));
    let types = place.run(&["types", "p"]);
    assert_eq!(types.code, Some(0), "{types:?}");
    fs::remove_file(&settings).unwrap();
    fs::write(&settings, b"\xff").unwrap();
    assert!(
        told(&place).0.contains("invalid utf-8"),
        "{:?}",
        told(&place)
    );
}

#[test]
fn lints_can_be_turned_off() {
    let text = "local x = 1\nlocal y = 2\nreturn {}\n";
    let place = Workplace::new(&[("p/authz.lua", POLICY), ("p/lib/a.lua", text)]);
    let count = |place: &Workplace| lines_of(&checked(place, &["--json", "p"])).len();
    assert_eq!(count(&place), 2);
    place.write("p/lib/a.lua", &format!("--!nolint LocalUnused\n{text}"));
    assert_eq!(count(&place), 0);
    place.write("p/lib/a.lua", text);
    place.write("p/.luaurc", "{ \"lint\": { \"LocalUnused\": false } }\n");
    assert_eq!(count(&place), 0);
}

#[test]
fn strict_lets_warnings_fail() {
    let place = Workplace::new(&[
        ("p/authz.lua", POLICY),
        ("p/lib/a.lua", "local x = 1\nreturn {}\n"),
    ]);
    assert_eq!(checked(&place, &["p"]).code, Some(0));
    assert_eq!(checked(&place, &["--strict", "p"]).code, Some(1));
    place.write("p/lib/a.lua", "return {}\n");
    assert_eq!(checked(&place, &["--strict", "p"]).code, Some(0));
}

#[test]
fn quiet_prints_only_errors_and_warnings() {
    let place = Workplace::new(&[
        ("p/authz.lua", POLICY),
        ("p/plugin.toml", "grants = [\"fs.read:/nonexistent\"]\n"),
        ("p/lib/fs.lua", "return require(\"@moondock/fs\")\n"),
    ]);
    let ended = checked(&place, &["--quiet", "p"]);
    assert_eq!((ended.stdout.as_str(), ended.code), ("", Some(0)));
    place.write("p/lib/a.lua", "local x = 1\nreturn {}\n");
    let ended = checked(&place, &["--quiet", "p"]);
    assert_eq!(
        ended.stdout,
        "warning: p/lib/a.lua:1: variable `x` is never used\n  |\n1 | local x = 1\n  |       ^\n  cure: prefix \
         with `_` to silence\n"
    );
}

#[test]
fn json_has_one_object_for_each_finding() {
    let place = Workplace::new(&[
        ("good/authz.lua", POLICY),
        ("q/secret.lua", &secret("--", "\tprint(req.Nmae)")),
        ("UPPER/authz.lua", POLICY),
    ]);
    let ended = checked(&place, &["--json", "good", "UPPER", "none", "q"]);
    let lines = lines_of(&ended);
    let first = serde_json::json!({
        "severity": "error", "plugin": "q", "file": "secret.lua", "line": 4, "column": 14, "end_column": 18,
    });
    assert_eq!(lines.len(), 3, "{lines:?}");
    for key in ["severity", "plugin", "file", "line", "column", "end_column"] {
        assert_eq!(lines[0][key], first[key], "{lines:?}");
    }
    assert!(
        lines[1]["message"].as_str().unwrap().contains("`UPPER`"),
        "{lines:?}"
    );
    assert!(
        lines[2]["message"].as_str().unwrap().contains("/none`"),
        "{lines:?}"
    );
    assert_eq!(ended.code, Some(1));
}

/// As when an administrator checks everything: one bad path hides nothing.
#[test]
fn a_bad_path_does_not_end_the_run() {
    let place = Workplace::new(&[("good/authz.lua", POLICY), ("UPPER/authz.lua", POLICY)]);
    let ended = checked(&place, &["UPPER", "good", "none"]);
    for part in [
        "good\n  authz.lua     request\n",
        "error: `UPPER` cannot be the name of a plugin",
        "/none`: name the directory of a plugin, or of several",
        "1 plugin: 2 errors, no warnings\n",
    ] {
        assert!(
            ended.stdout.contains(part),
            "`{part}` is not in\n{}",
            ended.stdout
        );
    }
    assert_eq!(ended.code, Some(1));
}

#[test]
fn colours_are_for_terminals() {
    let place = Workplace::new(&[
        ("p/authz.lua", POLICY),
        ("p/lib/a.lua", "local x = 1\nreturn {}\n"),
    ]);
    let ended = checked(&place, &["p"]);
    assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
}

/// The kits and the stubs ask for strictness, and the plugins that ship are clean.
#[test]
fn everything_that_ships_is_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let place = Workplace::new(&[
        ("p/authz.lua", POLICY),
        ("p/plugin.toml", "grants = [\"fs.write:/srv\", \"net\"]\n"),
    ]);
    for directory in ["kits", "types"] {
        copy(&root.join(directory), &place, &format!("p/{directory}"));
    }
    let ended = checked(&place, &["--strict", "--quiet", "p"]);
    assert_eq!((ended.stdout.as_str(), ended.code), ("", Some(0)));
    let kits = root.join("../tests/kits");
    let plugins = [root.to_str().unwrap(), kits.to_str().unwrap()];
    let ended = checked(&place, &[&["--strict"], &plugins[..]].concat());
    assert!(
        ended.stdout.ends_with("no errors, no warnings\n"),
        "{ended:?}"
    );
    assert!(!ended.stdout.contains("not checked"), "{ended:?}");
}

fn copy(from: &Path, place: &Workplace, to: &str) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = format!("{to}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            copy(&entry.path(), place, &to);
        } else if !to.ends_with(".d.luau") {
            place.write(&to, &fs::read_to_string(entry.path()).unwrap());
        }
    }
}
