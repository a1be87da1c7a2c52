//! `moondock new`: what it makes works at once, and what it cannot make leaves nothing behind.

use crate::harness::command::{Ended, Workplace, run_on_small_disk};
use crate::harness::process::Setup;
use moondock::protocol::Interface;
use moondock::script::check_syntax;
use moondock::shipped::{PLUGINS, TEMPLATES, files_of};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// The arguments of every plugin that can be made, after its name: each interface alone and all of
/// them, with and without kits, and each copy.
fn combinations() -> Vec<(String, Vec<&'static str>)> {
    let all = Interface::ALL.map(Interface::name);
    let mut made: Vec<(String, Vec<&str>)> = vec![("all".to_owned(), all.to_vec())];
    made.extend(all.map(|interface| (interface.to_owned(), vec![interface])));
    let raw: Vec<_> = made
        .iter()
        .map(|(name, args)| (format!("{name}-raw"), [&args[..], &["--raw"]].concat()))
        .collect();
    let copies = PLUGINS.iter().map(|plugin| {
        let name = format!("my-{}", plugin.name);
        (name, vec!["--from", plugin.name])
    });
    made.into_iter().chain(raw).chain(copies).collect()
}

fn make(place: &Workplace, name: &str, args: &[&str]) -> Ended {
    let made = place.run(&[&["new", name], args].concat());
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""), "{name}");
    made
}

/// What `new` says when it makes nothing.
fn refused(place: &Workplace, args: &[&str], code: i32) -> String {
    let before = place.listing();
    let ended = place.run(&[&["new"], args].concat());
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(place.listing(), before, "{args:?}");
    ended.stderr
}

#[test]
fn every_new_plugin_passes_check() {
    let place = Workplace::new(&[]);
    for (name, args) in combinations() {
        make(&place, &name, &args);
        let checked = place.run(&["check", &name]);
        let ending = "1 plugin: no errors, no warnings\n";
        assert!(checked.stdout.ends_with(ending), "{name}: {checked:?}");
        assert_eq!(checked.code, Some(0), "{name}");
    }
}

#[test]
fn every_new_plugin_is_served() {
    let setup = Setup::new();
    let place = Workplace::new(&[]);
    for (name, args) in combinations() {
        let path = setup.scripts().join(&name);
        make(&place, path.to_str().unwrap(), &args);
    }
    let served = setup.start();
    for (name, args) in combinations() {
        let activated = served.call(&name, "Plugin.Activate", "").body;
        let announced = Interface::ALL.into_iter().filter(|i| i.is_announced());
        for interface in announced.filter(|interface| args.contains(&interface.name())) {
            assert!(activated.contains(interface.implements()), "{activated}");
        }
    }
    for word in ["WARN", "ERROR"] {
        let log = served.log();
        let lines = log.lines().filter(|line| line.contains(word));
        // The machine that runs the test may have no Docker, so `ops` may find leftovers.
        let lines: Vec<_> = lines
            .filter(|line| !line.contains("remove_leftovers"))
            .collect();
        let expected = |line: &&&str| line.contains("metrics");
        assert!(lines.iter().all(|line| expected(&line)), "{lines:#?}");
    }
}

/// The grants must be there with the script, as later ones would have to be accepted.
#[test]
fn a_plugin_that_is_made_while_moondock_runs_is_served_at_once() {
    let mut served = Setup::with_volume().start();
    let place = Workplace::new(&[]);
    let scripts = served.setup().scripts();
    fs::create_dir(scripts.join("filled")).unwrap();
    for name in ["late", "filled"] {
        make(&place, scripts.join(name).to_str().unwrap(), &["volume"]);
        served.wait_for("a way to it", |served| served.setup().connect(name).is_ok());
        assert_eq!(served.call(name, "Plugin.Activate", "").status, 200);
    }
    let log = served.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_new_plugin_says_what_to_do_next() {
    let place = Workplace::new(&[]);
    let made = make(&place, "my plugins/mydisk", &["volume"]);
    assert_eq!(
        made.stdout,
        "my plugins/mydisk: plugin.toml volume.lua volume_test.lua\n\nNext:\n  \
         moondock check 'my plugins/mydisk'\n  \
         moondock test 'my plugins/mydisk'\n  \
         moondock serve 'my plugins/mydisk'    as root\n"
    );
    let dir = place.path().join("my plugins/mydisk");
    for file in [
        ".luaurc",
        ".vscode/settings.json",
        ".nvim.lua",
        ".moondock/README.md",
    ] {
        assert!(dir.join(file).is_file(), "{file}");
    }
    for file in [".luaurc", ".vscode/settings.json"] {
        let text = fs::read_to_string(dir.join(file)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o777 & !umask());
}

fn umask() -> u32 {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    0o777 & !dir.path().join("a").metadata().unwrap().mode()
}

#[test]
fn a_new_plugin_has_its_own_name_and_only_the_grants_that_it_needs() {
    let place = Workplace::new(&[]);
    for (name, args) in combinations() {
        make(&place, &name, &args);
        for path in place.listing().iter().filter(|path| path.is_file()) {
            let text = fs::read_to_string(path).unwrap();
            for placeholder in ["PLUGIN", "VERSION"] {
                assert!(!text.contains(placeholder), "{}", path.display());
            }
        }
    }
    let manifest = |name: &str| fs::read_to_string(place.path().join(name).join("plugin.toml"));
    for (name, grants) in [
        ("volume", &["fs.write:{settings.volume_root}"][..]),
        ("network", &["net"]),
        ("ipam", &["net"]),
        ("ipam-raw", &[]),
        ("authz", &[]),
        ("log-raw", &[]),
        ("secret", &["fs.read:{settings.secret_root}"]),
    ] {
        let table: toml::Table = manifest(name).unwrap().parse().unwrap();
        let declared = table.get("grants").map(|list| list.as_array().unwrap());
        let declared: Vec<_> = declared.into_iter().flatten().collect();
        assert_eq!(declared.len(), grants.len(), "{name}");
        assert!(
            declared
                .iter()
                .zip(grants)
                .all(|(a, b)| a.as_str() == Some(b))
        );
    }
    assert!(
        manifest("volume")
            .unwrap()
            .contains("\"/var/lib/moondock/volumes/volume\"")
    );
    assert!(
        manifest("my-ops")
            .unwrap()
            .contains("[\"bridge\", \"overlay\", \"my-ops\"]")
    );
}

#[test]
fn the_tests_of_new_plugins_are_lua() {
    let tests = files_of(TEMPLATES.get_dir("tests").unwrap());
    assert_eq!(tests.len(), Interface::ALL.len());
    for (path, text) in tests {
        check_syntax(&path.display().to_string(), text).unwrap();
    }
}

#[test]
fn every_shipped_plugin_can_be_copied() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut shipped: Vec<_> = fs::read_dir(scripts)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|dir| Interface::ALL.iter().any(|i| dir.join(i.file()).exists()))
        .map(|dir| dir.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    shipped.sort();
    let place = Workplace::new(&[]);
    let listed = place.run(&["new", "--list"]).stdout;
    let mut names: Vec<_> = listed
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, shipped);
    make(&place, "guard", &["--from", "readonly"]);
    make(&place, "mydisk", &["volume"]);
    for (name, mode) in [("guard", "\"nonstrict\""), ("mydisk", "\"strict\"")] {
        let luaurc = fs::read_to_string(place.path().join(name).join(".luaurc")).unwrap();
        assert!(luaurc.contains(mode), "{luaurc}");
    }
    let copied = fs::read_to_string(place.path().join("guard/authz.lua")).unwrap();
    let original = include_str!("../../scripts/readonly/authz.lua");
    assert_eq!(copied, original.replace("-- readonly/", "-- guard/"));
}

#[test]
fn an_empty_directory_is_filled_and_stays_the_same_one() {
    let place = Workplace::new(&[]);
    let dir = place.path().join("mydisk");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).unwrap();
    let before = dir.metadata().unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_moondock"))
        .args(["new", ".", "volume"])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let after = dir.metadata().unwrap();
    assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
    let mut names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".luaurc",
            ".moondock",
            ".nvim.lua",
            ".vscode",
            "plugin.toml",
            "volume.lua",
            "volume_test.lua"
        ]
    );
    let manifest = fs::read_to_string(dir.join("plugin.toml")).unwrap();
    assert!(manifest.contains("/volumes/mydisk\""), "{manifest}");
}

#[test]
fn what_exists_is_never_overwritten() {
    let place = Workplace::new(&[("mydisk/notes", "mine"), ("file", "mine")]);
    symlink("nowhere", place.path().join("dangling")).unwrap();
    for (name, part) in [
        (
            "mydisk",
            "`mydisk` exists, and is not empty: choose another name",
        ),
        ("a/../b", "cannot write `a/../b`, so it is left as it was"),
        ("file", "`file` is not a directory: choose another name"),
        ("file/below", "`file/below` is not a directory"),
        (
            "dangling",
            "cannot write `dangling`, so it is left as it was",
        ),
    ] {
        let said = refused(&place, &[name, "volume"], 1);
        assert!(said.contains(part), "{said}");
    }
    let notes = fs::read_to_string(place.path().join("mydisk/notes")).unwrap();
    assert_eq!(notes, "mine");
}

#[test]
fn names_that_docker_cannot_use_are_refused_with_a_cure() {
    let place = Workplace::new(&[]);
    for (args, parts) in [
        (
            &["MyDisk", "volume"][..],
            &[
                "`MyDisk` cannot be the name of a plugin: a name must consist of",
                "`mydisk` can",
            ][..],
        ),
        (
            &["scripts/a-name-that-is-too-long", "volume"],
            &["exceeds the limit of 20; `a-name-that-is-too-l` can"],
        ),
        (
            &["..", "volume"],
            &["does not end in the name of a plugin: write `DIRECTORY/NAME`"],
        ),
        (&["/", "volume"], &["does not end in the name of a plugin"]),
        (
            &["local", "volume"],
            &[
                "Docker has a volume driver `local` of its own, and never asks a plugin of that name",
            ],
        ),
        (
            &["bridge", "ipam", "network"],
            &["Docker has a network driver `bridge` of its own"],
        ),
        (
            &["journald", "log"],
            &["Docker has a log driver `journald` of its own"],
        ),
    ] {
        let said = refused(&place, args, 1);
        for part in parts {
            assert!(said.contains(part), "{said}");
        }
    }
    let said = refused(&place, &["local", "--from", "ops"], 1);
    assert!(
        said.contains("Docker has a volume driver `local`"),
        "{said}"
    );
    make(&place, "local", &["authz"]);
}

#[test]
fn arguments_that_mean_nothing_are_refused_with_the_near_ones() {
    let place = Workplace::new(&[]);
    for (args, part) in [
        (&["x", "volum"][..], "a similar value exists: 'volume'"),
        (&["x", "volume", "logs"], "a similar value exists: 'log'"),
        (
            &["x", "zzz"],
            "possible values: authz, volume, network, ipam, log, metrics, secret",
        ),
        (&["x"], "<INTERFACE>"),
        (&[], "<NAME>"),
        (
            &["x", "--from", "redonly"],
            "a similar value exists: 'readonly'",
        ),
        (&["x", "volume", "--from", "ops"], "cannot be used with"),
        (&["x", "--raw", "--from", "ops"], "cannot be used with"),
        (&["x", "--list"], "cannot be used with"),
    ] {
        let said = refused(&place, args, 2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    needs!(root);
    for (prepare, name) in [
        (":", "mydisk"),
        ("mkdir mydisk", "mydisk"),
        ("mkdir a", "a/b/mydisk"),
    ] {
        let ended = run_on_small_disk("64k", prepare, &format!("new {name} volume"));
        assert!(
            ended
                .stderr
                .contains("so it is left as it was: No space left"),
            "{ended:?}"
        );
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{ended:?}"
        );
    }
}
