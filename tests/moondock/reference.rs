//! The reference pages and `hooks.d.luau`, made from the tables of the program and from the stubs.
//!
//! The committed files must be what the generator writes. Update them with
//! `MOONDOCK_UPDATE_DOCS=1 cargo test --test moondock reference`.

mod authz;
mod bodies;
mod bundle;
mod cli;
mod control;
mod manifest;
mod methods;
mod metrics;
mod std_modules;
mod stub;
mod types;
mod wrap;

use moondock::host::MODULES;
use std::fs;
use std::path::{Path, PathBuf};

/// A generated file: its path in the repository, and its text.
type Generated = (String, String);

const HEAD: &str = "<!-- Generated from src/ and scripts/types/ by tests/moondock/reference.rs: \
                    do not edit. -->\n\n";

fn generated() -> Vec<Generated> {
    let page = |name: &str, text: String| {
        let path = format!("docs/reference/{name}.md");
        (path, HEAD.to_owned() + &wrap::markdown(&text))
    };
    let pages = vec![
        page("methods", methods::page()),
        page("std", std_modules::page()),
        page("authz-request", authz::page()),
        page("cli", cli::page()),
        page("plugin-toml", manifest::page()),
        page("bundle", bundle::page()),
        page("metrics", metrics::page()),
        page("control", control::page()),
    ];
    pages.into_iter().chain(types::all()).collect()
}

fn in_repository(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn generated_files_are_up_to_date() {
    let update = std::env::var_os("MOONDOCK_UPDATE_DOCS").is_some();
    let mut stale = Vec::new();
    for (path, text) in generated() {
        let file = in_repository(&path);
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
        "out of date: {}; run `MOONDOCK_UPDATE_DOCS=1 cargo test --test moondock reference`",
        stale.join(", ")
    );
}

#[test]
fn generated_lines_have_at_most_100_columns() {
    for (path, text) in generated() {
        let is_too_long =
            |line: &&str| line.chars().count() > wrap::WIDTH && !line.starts_with('|');
        assert_eq!(text.lines().find(is_too_long), None, "{path}");
    }
}

#[test]
fn stubs_and_tables_of_functions_agree() {
    for module in MODULES {
        let stub = stub::Stub::read(module.name);
        let of_stub: Vec<_> = stub.functions.iter().map(|f| f.name.as_str()).collect();
        let of_table: Vec<_> = module.functions.iter().map(|f| f.name).collect();
        assert_eq!(of_stub, of_table, "functions of {}", module.name);
        for (documented, function) in stub.functions.iter().zip(module.functions) {
            let name = format!("{}.{}", module.name, function.name);
            let needs = function.needs.in_words();
            assert_eq!(documented.needs.as_deref(), needs, "grant of {name}");
            assert!(documented.signature.contains("->"), "signature of {name}");
            assert!(documented.doc.ends_with(['.', '`']), "text of {name}");
        }
    }
}

#[test]
fn type_stubs_compile() {
    let lua = mlua::Lua::new();
    for entry in fs::read_dir(in_repository("scripts/types")).unwrap() {
        let path = entry.unwrap().path();
        lua.load(fs::read_to_string(&path).unwrap())
            .set_name(format!("={}", path.display()))
            .into_function()
            .unwrap_or_else(|e| panic!("{e}"));
    }
}
