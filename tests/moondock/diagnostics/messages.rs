//! What an author is told of the usual mistakes: of other languages, of names, of files.

use super::{GOOD, RULES, called, checked, driver};
use crate::harness::command::Workplace;
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs;
use std::os::unix::{fs::symlink, net::UnixListener};
use std::path::Path;

#[test]
fn syntax_of_other_lua_versions_and_languages_is_translated() {
    const BITS: &str = "Luau has no operators for bits: write ";
    for (line, cure) in [
        (
            "goto done",
            "Luau has no `goto`: use `continue`, `break`, or `return` in a function of its own",
        ),
        ("local a = 5 & 3", &format!("{BITS}`bit32.band(a, b)`")),
        ("local a = 5 | 3", &format!("{BITS}`bit32.bor(a, b)`")),
        (
            "local a = ~3",
            &format!("{BITS}`bit32.bxor(a, b)` or `bit32.bnot(a)`"),
        ),
        (
            "local a = 5 << 3",
            &format!("{BITS}`bit32.lshift(a, count)`"),
        ),
        (
            "local a = 5 >> 3",
            &format!("{BITS}`bit32.rshift(a, count)`"),
        ),
        (
            "local a <const> = 1",
            "Luau has no `<const>`: leave it out, or protect a table with `table.freeze`",
        ),
        ("a++", "write `x += 1`"),
        ("let x = 1", "write `local x = …`"),
        ("// what it is", "a comment begins with `--`"),
        ("local a = [1, 2]", "a list is written `{ 1, 2 }`"),
        (
            "if b = 1 then end",
            "`=` assigns a value: compare with `==`",
        ),
        (
            "while b = 1 do end",
            "`=` assigns a value: compare with `==`",
        ),
        (
            "local function f() return b = 1 end",
            "`=` assigns a value: compare with `==`",
        ),
    ] {
        let found = checked(&[
            GOOD,
            ("volume.lua", &format!("local b = 1\n{line}\nreturn {{}}\n")),
        ]);
        let (first, _) = found.split_once('\n').unwrap();
        assert!(first.starts_with("volume.lua:2: "), "{line}: {found}");
        assert!(
            found.ends_with(&format!("\n  cure: {cure}")),
            "{line}: {found}"
        );
    }
}

#[test]
fn a_module_that_is_required_without_its_prefix_is_named() {
    assert_eq!(
        checked(&[
            GOOD,
            ("volume.lua", "local fs = require(\"fs\")\nreturn {}\n")
        ]),
        "volume.lua:1: `fs` cannot be required; did you mean `@moondock/fs`?
  |
1 | local fs = require(\"fs\")
  |                     ^^"
    );
}

/// Of several grants on a line, the wrong one is shown.
#[test]
fn a_wrong_grant_is_shown_at_its_place() {
    for (grant, caret) in [("fs.write:srv", 12), ("fs.write:{settings.a}", 21)] {
        let text =
            format!("grants = [\"fs.read:/a.b\", \"{grant}\", \"net\"]\n[settings]\na = \"srv\"\n");
        let found = checked(&[GOOD, ("plugin.toml", &text)]);
        let pointer = format!("  | {}{}", " ".repeat(27), "^".repeat(caret));
        assert!(
            found.starts_with("plugin.toml:1: `fs.write:srv` needs an absolute path"),
            "{found}"
        );
        assert_eq!(found.lines().nth(3), Some(pointer.as_str()), "{found}");
    }
}

#[test]
fn names_that_luau_does_not_have_are_translated() {
    for (create, message) in [
        (
            "io.open(\"/x\")",
            "Luau has no `io` here: files are in `require(\"@moondock/fs\")`, and `print` writes to the log",
        ),
        (
            "os.execute(\"ls\")",
            "`os` has no `execute`: `require(\"@moondock/process\")` runs programs",
        ),
        (
            "process.run({})",
            "no variable `process`: write `local process = require(\"@moondock/process\")` at the top",
        ),
        ("volum.x = 1", "no variable `volum`: did you mean `volume`?"),
        (
            "local x = rules.list or rulez",
            "no variable `rulez`: did you mean `rules`?",
        ),
        (
            "table.isnert({}, 1)",
            "`table` has no `isnert`; did you mean `insert`?",
        ),
        (
            "later()",
            "no variable `later` here: it is declared on line 10, further down or within another block",
        ),
        (
            "nobody_knows()",
            "no variable `nobody_knows`: declare it with `local nobody_knows = …`",
        ),
    ] {
        let text = driver(create).replace(
            "return volume\n",
            "\nlocal function later() end\nreturn volume\n",
        );
        let (told, _) = called(&text, RULES, "volume.create");
        assert_eq!(told, format!("volume.lua:5: {message}"), "{create}");
    }
}

#[test]
fn a_script_may_set_globals_and_ask_for_them() {
    let create =
        "own = 1 assert(own == 1 and rawget(_G, \"zzz\") == nil and string.len(\"a\") == 1)";
    assert_eq!(
        called(&driver(create), RULES, "volume.create"),
        (String::new(), String::new())
    );
}

#[test]
fn a_byte_order_mark_is_accepted_and_utf_16_is_named() {
    let place = Workplace::new(&[]);
    place.write("p/secret.lua", &format!("\u{feff}{}", GOOD.1));
    place.write("p/plugin.toml", "\u{feff}grants = [\"net\"]\n");
    place.write("p/lib.lua", "\u{feff}return {}\n");
    let checked = place.run(&["check", "p"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    for (file, message) in [
        (
            "lib.lua",
            "lib.lua:1: the file is in UTF-16: save it as UTF-8",
        ),
        (
            "secret.lua",
            "secret.lua:1: the file is in UTF-16: save it as UTF-8",
        ),
        (
            "plugin.toml",
            "plugin.toml: the file is not in UTF-8: save it as UTF-8",
        ),
    ] {
        std::fs::write(place.path().join("p").join(file), b"\xff\xfer\x00e\x00").unwrap();
        let checked = place.run(&["check", "p"]);
        assert_eq!(checked.code, Some(1), "{}", checked.stdout);
        assert!(checked.stdout.contains(message), "{}", checked.stdout);
    }
}

#[test]
fn a_driver_that_is_not_returned_is_shown() {
    let text = "local volume = require(\"@moondock/volume\")\nvolume.driver({\n  mount = function(v) return \"/x\" end,\n})\n";
    assert_eq!(
        checked(&[GOOD, ("volume.lua", text)]),
        "volume.lua:2: the script must return a table of hooks; it returned nothing
  |
2 | volume.driver({
  | ^^^^^^^^^^^^^^^
  cure: write `return volume.driver({ … })`"
    );
}

#[test]
fn a_manifest_is_explained_in_plain_words() {
    for (text, message, cure) in [
        (
            "grants = [net]",
            "plugin.toml:1: a text must be in quotes",
            "write `grants = [\"net\"]`",
        ),
        (
            "grants = \"net\"",
            "plugin.toml:1: `grants` must be a list in brackets, not \"net\"",
            "write `grants = [\"net\"]`",
        ),
        (
            "description = hello",
            "plugin.toml:1: a text must be in quotes",
            "write `description = \"…\"`",
        ),
        (
            "grants = [\"fs.write:/srv/*\"]",
            "plugin.toml:1: `fs.write:/srv/*` has a wildcard, which no grant has: a grant of a directory covers \
             everything below it",
            "",
        ),
        (
            "grants = [\"fs.wirte:/srv\"]",
            "plugin.toml:1: unknown grant `fs.wirte:/srv`: did you mean `fs.write:PATH`?",
            "",
        ),
        (
            "[limits]\ncpu_ms = \"5s\"",
            "plugin.toml:2: `cpu_ms` must be a whole number, not \"5s\"",
            "",
        ),
        (
            "[limits]\ncpu_ms = -1",
            "plugin.toml:2: `cpu_ms` must be a whole number, not `-1`",
            "",
        ),
        (
            "[limits]\ncpu_msec = 1",
            "plugin.toml:2: unknown key `cpu_msec`; did you mean `cpu_ms`?",
            "",
        ),
        (
            "[limit]\ncpu_ms = 1",
            "plugin.toml:1: unknown key `limit`; did you mean `limits`?",
            "",
        ),
        (
            "[log]\non_slow = \"blok\"",
            "plugin.toml:2: `on_slow` must be `block` or `drop`, not `blok`",
            "",
        ),
        (
            "[limits.deadline_ms]\nvolume.mount = 5",
            "plugin.toml:2: `volume.mount` must be a whole number, not a table",
            "write a key with a dot in quotes: `\"volume.mount\" = …`",
        ),
        (
            "description = 5",
            "plugin.toml:1: `description` must be a text in quotes, not `5`",
            "",
        ),
        (
            "settings = 5",
            "plugin.toml:1: `settings` must be a table, not `5`",
            "",
        ),
    ] {
        let found = checked(&[GOOD, ("plugin.toml", &format!("{text}\n"))]);
        let (first, rest) = found.split_once('\n').unwrap();
        assert_eq!(first, message, "{text}");
        let shown = rest.split_once("\n  cure: ").map_or("", |(_, cure)| cure);
        assert_eq!(shown, cure, "{text}");
    }
}

/// Docker uses its own driver instead.
#[test]
fn a_plugin_named_like_a_driver_of_docker_is_a_warning() {
    for (name, file, kind) in [
        ("local", "volume.lua", "volume"),
        ("bridge", "network.lua", "network"),
        ("json-file", "log.lua", "log"),
        ("default", "ipam.lua", "ipam"),
    ] {
        let place = Workplace::new(&[]);
        place.write(&format!("{name}/{file}"), "return {}\n");
        let checked = place.run(&["check", name]);
        let warning = format!(
            "warning: {file}: Docker has a {kind} driver `{name}` of its own, and will never ask this one\n  cure: rename \
             the plugin's directory"
        );
        assert!(checked.stdout.contains(&warning), "{}", checked.stdout);
    }
    let place = Workplace::new(&[]);
    place.write("local/secret.lua", GOOD.1);
    assert!(!place.run(&["check", "local"]).stdout.contains("warning:"));
}

#[test]
fn a_directory_without_a_script_names_what_is_nearly_one() {
    for (file, hint) in [
        ("volumes.lua", "; rename `"),
        ("Volume.lua", "/Volume.lua` to `volume.lua`"),
        ("sub/auhtz.lua", "/sub/auhtz.lua` to `authz.lua`"),
    ] {
        let place = Workplace::new(&[]);
        place.write(&format!("p/{file}"), "return {}\n");
        let checked = place.run(&["check", "p"]);
        assert_eq!(checked.code, Some(1), "{checked:?}");
        assert!(checked.stderr.contains(hint), "{checked:?}");
    }
    let place = Workplace::new(&[("p/readme", "")]);
    symlink("gone.lua", place.path().join("p/volume.lua")).unwrap();
    let checked = place.run(&["check", "p"]);
    assert!(
        checked
            .stderr
            .contains("/volume.lua` is a link to `gone.lua`, which does not exist"),
        "{checked:?}"
    );
}

#[test]
fn what_is_named_like_a_script_and_is_no_file_is_said_to_be_what_it_is() {
    type Make = fn(&Path);
    let kinds: [(&str, Make); 4] = [
        ("is a directory, not a script", |path| {
            fs::create_dir(path).unwrap()
        }),
        ("is a FIFO, not a script", |path| {
            mkfifoat(CWD, path, Mode::RUSR).unwrap();
        }),
        ("is a socket, not a script", |path| {
            UnixListener::bind(path).unwrap();
        }),
        ("is a device, not a script", |path| {
            symlink("/dev/null", path).unwrap()
        }),
    ];
    for (what, make) in kinds {
        for name in ["authz.lua", "auhtz.lua"] {
            let place = Workplace::new(&[("p/readme", "")]);
            make(&place.path().join("p").join(name));
            let checked = place.run(&["check", "p"]);
            assert!(
                checked.stderr.contains(&format!("/{name}` {what}")),
                "{checked:?}"
            );
            assert!(!checked.stderr.contains("rename"), "{checked:?}");
        }
    }
}

#[test]
fn lines_of_kits_are_readable() {
    let create = "rules.log.warn(\"driver function failed\", { volume = \"x\", reason = 'volume.lua:5: cannot `do` it' })";
    let lib = "return { log = require(\"@moondock/log\") }\n";
    let (_, logged) = called(&driver(create), lib, "volume.create");
    assert!(
        logged.ends_with(" reason=\"volume.lua:5: cannot `do` it\" volume=x"),
        "{logged}"
    );
}
