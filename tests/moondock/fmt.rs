//! `moondock fmt`: the style of Lua files.

use crate::harness::command::Workplace;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

const UGLY: &str =
    "local volume = {}\nfunction volume.list( )\n    return { Volumes={} }\nend\nreturn volume\n";
const NEAT: &str =
    "local volume = {}\nfunction volume.list()\n  return { Volumes = {} }\nend\nreturn volume\n";

fn place() -> Workplace {
    Workplace::new(&[
        ("p/volume.lua", UGLY),
        ("p/lib/a.luau", NEAT),
        ("p/.moondock/types.luau", UGLY),
        ("p/notes.txt", UGLY),
    ])
}

fn text(place: &Workplace, file: &str) -> String {
    fs::read_to_string(place.path().join(file)).unwrap()
}

#[test]
fn check_names_what_is_not_formatted_and_writes_nothing() {
    let place = place();
    let checked = place.run(&["fmt", "--check"]);
    assert_eq!(
        (
            checked.code,
            checked.stdout.as_str(),
            checked.stderr.as_str()
        ),
        (Some(1), "p/volume.lua:2: not formatted\n", "")
    );
    assert_eq!(text(&place, "p/volume.lua"), UGLY);
}

#[test]
fn files_are_formatted_once() {
    let place = place();
    let formatted = place.run(&["fmt", "p"]);
    assert_eq!(
        (formatted.code, formatted.stdout.as_str()),
        (Some(0), "p/volume.lua\n")
    );
    assert_eq!(text(&place, "p/volume.lua"), NEAT);
    assert_eq!(text(&place, "p/.moondock/types.luau"), UGLY, "hidden");
    assert_eq!(text(&place, "p/notes.txt"), UGLY, "no Lua");
    let again = place.run(&["fmt", "p", "p/lib/a.luau", "--check"]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (Some(0), ""),
        "{again:?}"
    );
}

#[test]
fn a_file_that_luau_rejects_is_left_alone() {
    let place = place();
    place.write("p/broken.lua", "local  x = \nreturn  {\n");
    let formatted = place.run(&["fmt", "p", "p/notes.txt", "absent"]);
    assert_eq!(
        (formatted.code, formatted.stdout.as_str()),
        (Some(1), "p/volume.lua\n")
    );
    for part in [
        "p/broken.lua:2: Expected",
        "2 | return  {",
        "`p/notes.txt` is neither a directory nor a file of Lua",
        "`absent` is neither",
    ] {
        assert!(
            formatted.stderr.contains(part),
            "`{part}` is not in {formatted:?}"
        );
    }
    assert_eq!(text(&place, "p/broken.lua"), "local  x = \nreturn  {\n");
}

#[test]
fn links_and_modes_are_kept() {
    let place = place();
    let file = place.path().join("p/volume.lua");
    fs::set_permissions(&file, Permissions::from_mode(0o750)).unwrap();
    place.write("q/x.lua", "return  1\n");
    symlink(&file, place.path().join("q/link.lua")).unwrap();
    let formatted = place.run(&["fmt", "q"]);
    assert_eq!(formatted.stdout, "q/link.lua\nq/x.lua\n", "{formatted:?}");
    assert_eq!(text(&place, "p/volume.lua"), NEAT);
    assert!(place.path().join("q/link.lua").is_symlink());
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o750
    );
}
