//! The reference pages and type stubs, made from the same tables as the program.
//!
//! The committed files must be what the tables give. `UPDATE_DOCS=1 cargo test --test moondock reference`
//! writes them.

mod bundle_page;
mod pages;
mod stubs;

use std::fs;
use std::path::Path;

/// A generated file: its path in the repository, and its text.
type Generated = (String, String);

#[test]
fn generated_files_are_up_to_date() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut stale = Vec::new();
    for (path, text) in pages::all().into_iter().chain(stubs::all()) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
        if fs::read_to_string(&file).is_ok_and(|committed| committed == text) {
            continue;
        }
        if update {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
        } else {
            stale.push(path);
        }
    }
    assert!(
        stale.is_empty(),
        "run `UPDATE_DOCS=1 cargo test --test moondock reference`: {} {} not what the tables give",
        stale.join(", "),
        if stale.len() == 1 { "is" } else { "are" }
    );
}

#[test]
fn type_stubs_compile() {
    let lua = mlua::Lua::new();
    for (path, text) in stubs::all() {
        lua.load(text)
            .set_name(format!("={path}"))
            .into_function()
            .unwrap_or_else(|e| panic!("{e}"));
    }
}
