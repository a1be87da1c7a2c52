//! `moondock fmt`: the style of Lua files.

use crate::harness::command::{Workplace, run_on_small_disk};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const UGLY: &str =
    "local volume = {}\nfunction volume.list( )\n    return { Volumes={} }\nend\nreturn volume\n";
const NEAT: &str =
    "local volume = {}\nfunction volume.list()\n  return { Volumes = {} }\nend\nreturn volume\n";
const DIFF: &str = "\
--- p/volume.lua
+++ p/volume.lua (formatted)
@@ -1,5 +1,5 @@
 local volume = {}
-function volume.list( )
-    return { Volumes={} }
+function volume.list()
+  return { Volumes = {} }
 end
 return volume
";

fn place() -> Workplace {
    Workplace::new(&[
        ("p/volume.lua", UGLY),
        ("p/volume_test.lua", "return  {}"),
        ("p/lib/a.luau", NEAT),
        ("p/.moondock/types.luau", UGLY),
        ("p/notes.txt", UGLY),
    ])
}

fn text(place: &Workplace, file: &str) -> String {
    fs::read_to_string(place.path().join(file)).unwrap()
}

#[test]
fn all_lua_of_a_plugin_is_formatted_once() {
    let place = place();
    let formatted = place.run(&["fmt"]);
    let changed = "p/volume.lua\np/volume_test.lua\n";
    assert_eq!(
        (formatted.code, formatted.stdout.as_str()),
        (Some(0), changed)
    );
    assert_eq!(text(&place, "p/volume.lua"), NEAT);
    assert_eq!(text(&place, "p/volume_test.lua"), "return {}\n");
    assert_eq!(text(&place, "p/.moondock/types.luau"), UGLY, "hidden");
    assert_eq!(text(&place, "p/notes.txt"), UGLY, "no Lua");
    for again in [["fmt", "p", "p/lib/a.luau"], ["fmt", "p", "--check"]] {
        let again = place.run(&again);
        assert_eq!(
            (again.code, again.stdout.as_str()),
            (Some(0), ""),
            "{again:?}"
        );
    }
}

/// StyLua alone needs two runs for this one.
#[test]
fn what_was_formatted_stays_as_it_is() {
    let long = "x".repeat(60);
    let text = format!(
        "local function f() return g(function() return {{ {long} = h(a, b), y = {{ z = 1 }} }} end, {{ a = 1,\n b = 2 }}) end\n"
    );
    let place = place();
    let once = place.run_with(&["fmt", "-"], &text);
    let again = place.run_with(&["fmt", "--check", "-"], &once.stdout);
    assert_eq!(
        (once.code, again.code),
        (Some(0), Some(0)),
        "{}",
        again.stdout
    );
}

#[test]
fn check_shows_the_difference_and_writes_nothing() {
    let place = place();
    let checked = place.run(&["fmt", "--check", "p/volume.lua", "p/lib"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (Some(1), DIFF),
        "{checked:?}"
    );
    assert_eq!(text(&place, "p/volume.lua"), UGLY);
}

#[test]
fn stdin_is_formatted_to_stdout() {
    let place = place();
    let formatted = place.run_with(&["fmt", "-"], UGLY);
    assert_eq!((formatted.code, formatted.stdout.as_str()), (Some(0), NEAT));
    let checked = place.run_with(&["fmt", "--check", "-"], UGLY);
    assert_eq!(checked.code, Some(1));
    assert_eq!(checked.stdout, DIFF.replace("p/volume.lua", "stdin"));
    let broken = place.run_with(&["fmt", "-"], "return {");
    assert_eq!((broken.code, broken.stdout.as_str()), (Some(1), ""));
    assert!(broken.stderr.starts_with("stdin:1: "), "{broken:?}");
}

#[test]
fn what_cannot_be_formatted_is_left_alone_and_told() {
    let place = place();
    place.write("p/broken.lua", "local  x = \nreturn  {\n");
    fs::write(place.path().join("p/latin.lua"), b"return\n'\xe9'").unwrap();
    symlink("volume.lua", place.path().join("p/link.lua")).unwrap();
    let fifo = place.path().join("p/fifo.lua");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let below = place.run(&["fmt", "p"]);
    assert_eq!(
        (below.code, below.stdout.as_str()),
        (Some(1), "p/volume.lua\np/volume_test.lua\n")
    );
    let named = ["p/notes.txt", "p/link.lua", "p/fifo.lua", "absent.lua"];
    let named = place.run(&[&["fmt"], &named[..]].concat());
    let told = below.stderr + &named.stderr;
    for part in [
        "p/broken.lua:2: Expected",
        "2 | return  {",
        "p/latin.lua:2: the file is not in UTF-8\n",
        "cure: save it as UTF-8, and write other bytes as `\\xFF`",
        "`p/notes.txt` is no Lua file: name files that end in .lua or .luau, or directories",
        "`p/link.lua` is a symbolic link: name",
        "`p/fifo.lua` is not a regular file: name",
        "`absent.lua` does not exist: name",
    ] {
        assert!(told.contains(part), "`{part}` is not in {told}");
    }
    let deep = format!(
        "return {}1{}",
        "function() return ".repeat(150),
        " end".repeat(150)
    );
    let deep = place.run_with(&["fmt", "-"], &deep);
    assert_eq!(deep.code, Some(0), "{deep:?}");
    let parentheses = place.run_with(&["fmt", "-"], "return ((((1))))");
    let said = "stdin: StyLua would change what a statement does\n  \
                cure: put `-- stylua: ignore` above it\n";
    assert_eq!(
        (parentheses.code, parentheses.stderr.as_str()),
        (Some(1), said)
    );
    assert_eq!(text(&place, "p/broken.lua"), "local  x = \nreturn  {\n");
    assert!(place.path().join("p/link.lua").is_symlink());
}

#[test]
fn a_file_keeps_its_mode_and_no_other_is_left() {
    let place = place();
    let file = place.path().join("p/volume.lua");
    fs::set_permissions(&file, Permissions::from_mode(0o750)).unwrap();
    let before = (place.listing(), fs::metadata(&file).unwrap());
    assert_eq!(place.run(&["fmt", "p"]).code, Some(0));
    let after = fs::metadata(&file).unwrap();
    assert_eq!(place.listing(), before.0);
    assert_eq!(after.mode(), before.1.mode());
    assert_ne!(after.ino(), before.1.ino(), "replaced by renaming");
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    needs!(root);
    let prepare = "mkdir p && { seq -f 'local  x%g = 1' 150; echo 'return  {}'; } > p/volume.lua
                   dd if=/dev/zero of=full bs=4096";
    let ended = run_on_small_disk("64k", prepare, "fmt p");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no space left"), "{ended:?}");
}

/// `MOONDOCK_UPDATE_DOCS=1` formats them. The types keep the form in which documents show them.
#[test]
fn lua_files_of_the_repository_are_formatted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = fs::read_dir(root.join("scripts")).unwrap();
    let paths = scripts.map(|entry| entry.unwrap().path());
    let mut fmt = Command::new(env!("CARGO_BIN_EXE_moondock"));
    fmt.arg("fmt").arg(root.join("tests"));
    fmt.args(paths.filter(|path| !path.ends_with("types") && path.is_dir()));
    if std::env::var_os("MOONDOCK_UPDATE_DOCS").is_none() {
        fmt.arg("--check");
    }
    let ended = fmt.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "run `tests/run --format`:\n{said}");
}
