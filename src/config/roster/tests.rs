//! Tests of the directories of plugins.

use super::*;
use std::fs;

fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    dir
}

fn names(dir: &Path, paths: &[&str]) -> Result<Vec<String>, String> {
    let paths: Vec<_> = paths.iter().map(|p| dir.join(p)).collect();
    let found = Roster::new(&paths).and_then(|roster| roster.find_some());
    let found = found.map_err(|e| e.to_string())?;
    Ok(found.plugins.into_iter().map(|p| p.name).collect())
}

#[test]
fn a_path_is_a_plugin_or_a_directory_of_plugins() {
    let dir = tree(&[
        "s/b/volume.lua",
        "s/a/authz.lua",
        "s/types/x.lua",
        "s/.git/authz.lua",
        "s/b/lib/x",
        "c/log.lua",
    ]);
    assert_eq!(names(dir.path(), &["s"]).unwrap(), ["a", "b"]);
    assert_eq!(names(dir.path(), &["s/b", "c"]).unwrap(), ["b", "c"]);
    assert_eq!(names(dir.path(), &["s/types/../b/."]).unwrap(), ["b"]);
    assert_eq!(names(dir.path(), &["s/b/lib/.."]).unwrap(), ["b"]);
}

#[test]
fn unservable_directories_are_refused_with_a_reason() {
    let dir = tree(&[
        "s/a/authz.lua",
        "t/a/authz.lua",
        "Big/authz.lua",
        "-x/authz.lua",
        "e/x",
        "f",
    ]);
    let long = "a".repeat(21);
    fs::create_dir(dir.path().join(&long)).unwrap();
    fs::write(dir.path().join(&long).join("ipam.lua"), "").unwrap();
    for (paths, part) in [
        (&["s/a", "t/a"][..], "two plugins are named `a`"),
        (&["Big"], "`Big` cannot be the name of a plugin"),
        (&["-x"], "begin with a letter or a digit"),
        (&[&long], "it has 21 bytes, which exceeds the limit of 20"),
        (
            &["e"],
            "contains one of authz.lua, volume.lua, network.lua, ipam.lua, log.lua, metrics.lua, secret.lua",
        ),
        (&["f"], "is a file: pass the directory that contains it"),
        (&["none"], "there is no directory `"),
    ] {
        let error = names(dir.path(), paths).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_cannot_be_served_beside_others_is_a_problem() {
    let dir = tree(&[
        "s/a/authz.lua",
        "s/UPPER/authz.lua",
        "s/Backup copy/volume.lua",
        "s/dir/authz.lua/x",
        "s/half/README",
        "s/new\nline/authz.lua",
        "s/note.txt",
        "t/a/authz.lua",
    ]);
    let at = |path: &str| dir.path().join(path);
    let roster = Roster::new(&[at("s"), at("t")]).unwrap();
    let found = roster.find();
    let names: Vec<_> = found.plugins.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["a"]);
    let problems: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
    let parts = [
        "`Backup copy` cannot",
        "`UPPER` cannot",
        "dir/authz.lua` is not a regular file",
        "`new\\nline` cannot",
        "two plugins are named `a`",
    ];
    assert_eq!(problems.len(), parts.len(), "{problems:?}");
    for (problem, part) in problems.iter().zip(parts) {
        assert!(problem.contains(part), "{problem}");
    }
    assert!(found.unfinished().any(|dir| *dir == at("s/half")));
    assert!(!found.lacks(&at("s/half")) && found.lacks(&at("s/gone")));
    assert!(!found.lacks(&at("u/elsewhere")));
}

#[test]
fn what_was_probably_meant_to_be_served_is_a_warning() {
    let dir = tree(&[
        "s/a/authz.lua",
        "s/typo/volum.lua",
        "s/case/Volume.lua",
        "s/types/volume.luau",
        "s/half/lib/log.lua",
    ]);
    let at = |path: &str| dir.path().join(path);
    let roster = Roster::new(&[at("s")]).unwrap();
    fs::write(at("s/log.lua"), "").unwrap();
    let warnings = roster.find().warnings;
    let parts = [
        "case: not served: rename `",
        "typo: not served: rename `",
        "s/log.lua: not served, as it lies beside plugins: move it into a directory of its own",
    ];
    assert_eq!(warnings.len(), parts.len(), "{warnings:?}");
    for (warning, part) in warnings.iter().zip(parts) {
        assert!(warning.contains(part), "{warning}");
    }
    assert!(roster.find().problems.is_empty());
}

#[test]
fn a_directory_without_a_plugin_may_be_waited_for() {
    let dir = tree(&["e/README", "v/volumes.lua", "f", "b/Big/log.lua"]);
    let at = |path: &str| vec![dir.path().join(path)];
    for path in ["e", "b"] {
        let found = Roster::waiting(&at(path)).unwrap().find();
        let last = found.warnings.last().unwrap();
        assert!(last.starts_with("no plugin in `"), "{last}");
    }
    for (path, part) in [
        ("v", "volumes.lua` to `volume.lua`"),
        ("f", "is a file"),
        ("none", "there is no directory `"),
    ] {
        let error = Roster::waiting(&at(path)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn an_unreadable_collection_lacks_nothing() {
    let dir = tree(&["s/a/authz.lua"]);
    let roster = Roster::new(&[dir.path().join("s")]).unwrap();
    fs::rename(dir.path().join("s"), dir.path().join("t")).unwrap();
    let found = roster.find();
    assert!(!found.lacks(&dir.path().join("s/a")));
    assert!(
        found.problems[0]
            .to_string()
            .contains("there is no directory")
    );
    assert!(roster.find_some().is_err());
}
