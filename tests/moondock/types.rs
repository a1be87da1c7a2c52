//! `moondock types`: what it writes for editors, and what it leaves alone.

use crate::harness::command::{Workplace, run_on_small_disk};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const POLICY: &str = "return { request = function() return true end }\n";

fn policy() -> Workplace {
    Workplace::new(&[("guard/authz.lua", POLICY)])
}

fn types(place: &Workplace) -> String {
    let ended = place.run(&["types", "guard"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    ended.stdout
}

fn read(place: &Workplace, path: &str) -> String {
    fs::read_to_string(place.path().join(path)).unwrap()
}

#[test]
fn types_come_to_a_plugin_without_them() {
    let place = policy();
    assert_eq!(
        types(&place),
        format!(
            "guard/.moondock: types of moondock {}\n  added    .luaurc, which names them `@moondock`\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    let luaurc = read(&place, "guard/.luaurc");
    assert!(
        luaurc.contains("\"moondock\": \".moondock/types\""),
        "{luaurc}"
    );
    assert!(luaurc.contains("\"nonstrict\""), "{luaurc}");
    assert!(read(&place, "guard/.moondock/types/fs.luau").contains("--!strict"));
    let made = place.run(&["new", "other", "authz"]);
    assert_eq!(made.code, Some(0));
    let below = |dir: &str| -> Vec<PathBuf> {
        let dir = place.path().join(dir);
        let listing = place.listing().into_iter();
        listing
            .filter_map(|path| Some(path.strip_prefix(&dir).ok()?.to_owned()))
            .collect()
    };
    assert_eq!(below("guard/.moondock"), below("other/.moondock"));
    let checked = place.run(&["check", "guard"]);
    assert!(
        checked
            .stdout
            .ends_with("1 plugin: no errors, no warnings\n"),
        "{checked:?}"
    );
}

#[test]
fn older_types_are_replaced_and_nothing_else_is_touched() {
    let place = policy();
    types(&place);
    let current = format!("types of moondock {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        types(&place),
        format!("guard/.moondock: {current}, nothing to change\n")
    );
    let readme = read(&place, "guard/.moondock/README.md");
    let older = readme.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    for (path, text) in [
        (".moondock/README.md", older.as_str()),
        (".moondock/types/fs.luau", "return {}"),
        (".moondock/types/gone.luau", "return {}"),
        (".luaurc", "{ \"languageMode\": \"nonstrict\" }"),
    ] {
        place.write(&format!("guard/{path}"), text);
    }
    fs::remove_file(place.path().join("guard/.moondock/types/net.luau")).unwrap();
    assert_eq!(
        types(&place),
        format!(
            "guard/.moondock: {current}, before of 0.0.1\n  added    types/net.luau\n  \
             changed  README.md\n  changed  types/fs.luau\n  removed  types/gone.luau\n\
             note: .luaurc does not name them: add \"aliases\": {{ \"moondock\": \".moondock/types\" }}\n"
        )
    );
    assert_eq!(read(&place, "guard/.moondock/README.md"), readme);
    assert_eq!(
        read(&place, "guard/.luaurc"),
        "{ \"languageMode\": \"nonstrict\" }"
    );
    assert_eq!(read(&place, "guard/authz.lua"), POLICY);
    let names = |dir: &str| fs::read_dir(place.path().join(dir)).unwrap().count();
    assert_eq!((names("guard"), names("guard/.moondock")), (3, 2));
}

#[test]
fn what_moondock_has_not_made_is_kept() {
    let foreign = policy();
    foreign.write("guard/.moondock/README.md", "mine");
    let linked = policy();
    symlink("..", linked.path().join("guard/.moondock")).unwrap();
    let file = policy();
    file.write("guard/.moondock", "mine");
    for place in [foreign, linked, file] {
        let before = place.listing();
        let ended = place.run(&["types", "guard"]);
        assert_eq!(ended.code, Some(1));
        assert!(
            ended
                .stderr
                .contains("`guard/.moondock` was not made by moondock: move it away"),
            "{ended:?}"
        );
        assert_eq!(place.listing(), before);
    }
    let nowhere = Workplace::new(&[]).run(&["types"]);
    assert!(nowhere.stderr.contains("no plugin in `.`"), "{nowhere:?}");
}

#[test]
fn a_full_disk_keeps_the_earlier_types() {
    needs!(root);
    let prepare = "mkdir guard && touch guard/authz.lua && \"$0\" types guard && : > guard/.moondock/types/fs.luau
                   head -c 10M /dev/zero > rest";
    let ended = run_on_small_disk("1m", prepare, "types guard");
    let said = "cannot write `guard/.moondock`, so it is left as it was: No space left";
    assert!(ended.stderr.contains(said), "{ended:?}");
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

/// As a language server would: by the alias of `.luaurc`.
#[test]
fn whatever_the_types_require_is_there() {
    let place = policy();
    types(&place);
    let all = place.path().join("guard/.moondock/types");
    let files = place.listing();
    let files = files
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "luau"));
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"));
        for required in code.filter_map(|line| line.split("require(\"").nth(1)) {
            let name = required.split('"').next().unwrap();
            let name = name
                .strip_prefix("@moondock/")
                .unwrap_or_else(|| panic!("{name}"));
            let at = |path: &str| all.join(path).is_file();
            let is_there = at(&format!("{name}.luau")) || at(&format!("{name}/init.luau"));
            assert!(is_there, "{} requires {name}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
    assert!(!Path::new(&all).join("volume.luau").exists());
}
