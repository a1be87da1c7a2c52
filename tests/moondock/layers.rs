//! Checks the layers of `docs/architecture.md` by what the source files name, and the rules of style that no lint
//! knows. The lints are in `Cargo.toml` and `clippy.toml`.

use std::fs;
use std::path::{Path, PathBuf};

/// What each part of the crate may name of the others. `main` and `lib` may name all.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "bundle",
            "check",
            "client",
            "config",
            "format",
            "server",
            "plugin",
            "script",
            "protocol",
            "grants",
            "telemetry",
            "scaffold",
            "shipped",
            "testing",
        ],
    ),
    (
        "testing",
        &[
            "client",
            "plugin",
            "script",
            "host",
            "protocol",
            "grants",
            "telemetry",
        ],
    ),
    ("format", &["script", "sys"]),
    ("scaffold", &["config", "protocol", "sys", "shipped"]),
    (
        "bundle",
        &["check", "config", "plugin", "protocol", "grants", "sys"],
    ),
    (
        "check",
        &["plugin", "script", "host", "sys", "protocol", "grants"],
    ),
    ("config", &["protocol"]),
    ("telemetry", &[]),
    (
        "server",
        &[
            "config",
            "plugin",
            "protocol",
            "metrics",
            "telemetry",
            "testing",
            "trace",
        ],
    ),
    (
        "plugin",
        &[
            "script",
            "host",
            "sys",
            "protocol",
            "authz",
            "grants",
            "metrics",
            "telemetry",
            "trace",
        ],
    ),
    ("trace", &["protocol", "telemetry"]),
    ("script", &["host", "sys", "protocol", "grants", "shipped"]),
    ("host", &["sys", "grants", "shipped"]),
    ("shipped", &[]),
    ("sys", &[]),
    ("protocol", &[]),
    ("authz", &[]),
    ("client", &[]),
    ("metrics", &["protocol"]),
    ("grants", &["sys"]),
];

/// A word that only some parts may have in their code, and the files elsewhere that have it for a reason.
struct Reserved {
    word: &'static str,
    parts: &'static [&'static str],
    exceptions: &'static [(&'static str, &'static str)],
}

/// Where HTTP is spoken besides the server.
const CLIENT: &[(&str, &str)] = &[(
    "sys/network/http.rs",
    "requests of scripts, and for the engine's metrics",
)];

const RESERVED: &[Reserved] = &[
    Reserved {
        word: "hyper::",
        parts: &["server"],
        exceptions: CLIENT,
    },
    Reserved {
        word: "hyper_util::",
        parts: &["server"],
        exceptions: CLIENT,
    },
    Reserved {
        word: "hyperlocal::",
        parts: &[],
        exceptions: CLIENT,
    },
    Reserved {
        word: "tokio_rustls::",
        parts: &["server"],
        exceptions: CLIENT,
    },
    Reserved {
        word: "rcgen::",
        parts: &["server"],
        exceptions: &[],
    },
    Reserved {
        word: "listenfd::",
        parts: &["server"],
        exceptions: &[],
    },
    Reserved {
        word: "mlua::",
        parts: &["script", "host", "plugin", "testing"],
        exceptions: &[],
    },
    Reserved {
        word: "luau_analysis::",
        parts: &["check"],
        exceptions: &[],
    },
    Reserved {
        word: "stylua_lib::",
        parts: &["format"],
        exceptions: &[],
    },
    Reserved {
        word: "clap::",
        parts: &["cli"],
        exceptions: &[
            ("telemetry.rs", "the values of its own options"),
            ("testing/report.rs", "the values of an option"),
        ],
    },
    Reserved {
        word: "anyhow::",
        parts: &["cli"],
        exceptions: &[],
    },
    Reserved {
        word: "redb::",
        parts: &["sys"],
        exceptions: &[],
    },
    Reserved {
        word: "rtnetlink::",
        parts: &["sys"],
        exceptions: &[],
    },
    Reserved {
        word: "notify::",
        parts: &["sys"],
        exceptions: &[],
    },
    Reserved {
        word: "rustix::fs",
        parts: &["sys"],
        exceptions: &[
            (
                "server/socket.rs",
                "the mode of a socket that is born private",
            ),
            (
                "server/own_file.rs",
                "knowing an own file from one that replaced it",
            ),
            ("server/state.rs", "the lock on the state directory"),
            ("testing/feed.rs", "the engine's end of a log's FIFO"),
            (
                "bundle/rootfs/tree.rs",
                "the fixed times of a bundle's files",
            ),
        ],
    },
    Reserved {
        word: "rustix::process",
        parts: &["sys"],
        exceptions: &[
            ("server/signals.rs", "the signals of the process itself"),
            ("server/init.rs", "PID 1 reaps and passes signals on"),
        ],
    },
    Reserved {
        word: "rustix::net",
        parts: &["sys"],
        exceptions: &[
            (
                "server/socket.rs",
                "asking who listens on a socket before it is replaced",
            ),
            (
                "server/acceptor.rs",
                "having the kernel notice a peer that vanished",
            ),
        ],
    },
    Reserved {
        word: "rustix::mount",
        parts: &["sys"],
        exceptions: &[],
    },
];

/// Files that are tables more than code, and may be longer.
const TABLES: &[&str] = &["authz/routes.rs", "client/commands.rs"];
const MAX_LINES: usize = 450;

/// The std modules: none names another.
fn std_modules() -> Vec<String> {
    moondock::host::MODULES
        .iter()
        .map(|module| module.name.to_owned())
        .collect()
}

/// A source file without its tests and comments.
struct Source {
    /// Below `src/`.
    path: String,
    code: String,
    lines: usize,
}

impl Source {
    /// The part of the crate that it belongs to.
    fn part(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }

    /// Whether the code has the word, not as the end of a longer one.
    fn has(&self, word: &str) -> bool {
        let of_a_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let whole = |at: usize| !self.code[..at].ends_with(of_a_word);
        let ends = |at: usize| {
            let rest = &self.code[at + word.len()..];
            word.ends_with(':') || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        };
        self.code
            .match_indices(word)
            .any(|(at, _)| whole(at) && ends(at))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut open, mut found) = (vec![root.clone()], Vec::new());
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_tests(&path) {
                found.push(read(&root, &path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        found.len() > 50,
        "only {} files in {}",
        found.len(),
        root.display()
    );
    found
}

fn is_tests(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
}

fn read(root: &Path, path: &PathBuf) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let path = path.strip_prefix(root).unwrap().display().to_string();
    Source {
        path,
        code: flatten(&code),
        lines: text.lines().count(),
    }
}

/// `use crate::{a, b::c}` as `crate::a crate::b::c`, as far as one level of braces goes.
fn flatten(code: &str) -> String {
    let mut flat = code.to_owned();
    for prefix in ["crate::", "super::", "std::", "rustix::", "tokio::"] {
        let mut added = String::new();
        for (at, opening) in code.match_indices(&format!("{prefix}{{")) {
            let inside = code[at + opening.len()..].split(';').next().unwrap();
            inside
                .split(',')
                .for_each(|part| added += &format!("\n{prefix}{}", part.trim()));
        }
        flat += &added;
    }
    flat
}

#[test]
fn parts_use_only_lower_layers() {
    let parts: Vec<_> = LAYERS.iter().map(|(part, _)| *part).collect();
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !matches!(source.part(), "main" | "lib"))
    {
        let (part, may_name) = LAYERS
            .iter()
            .find(|(part, _)| *part == source.part())
            .unwrap_or_else(|| {
                panic!(
                    "{} is in no layer: add it to the table here and in the docs",
                    source.path
                )
            });
        for other in parts
            .iter()
            .filter(|other| *other != part && !may_name.contains(other))
        {
            if source.has(&format!("crate::{other}")) {
                wrong.push(format!(
                    "{} names `{other}`, which {part} may not",
                    source.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reserved_crates_stay_in_their_part() {
    let sources = sources();
    let mut wrong = Vec::new();
    for Reserved {
        word,
        parts,
        exceptions,
    } in RESERVED
    {
        let having = || sources.iter().filter(|source| source.has(word));
        for source in having().filter(|source| !parts.contains(&source.part())) {
            if !exceptions.iter().any(|(path, _)| *path == source.path) {
                wrong.push(format!(
                    "{} has `{word}`, which belongs to {}",
                    source.path,
                    parts.join(", ")
                ));
            }
        }
        for (path, _) in exceptions
            .iter()
            .filter(|(path, _)| !having().any(|source| source.path == *path))
        {
            wrong.push(format!("{path} needs no exception for `{word}` any more"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn std_modules_do_not_use_each_other() {
    let modules = std_modules();
    let mut wrong = Vec::new();
    for source in sources() {
        let own = source
            .path
            .strip_prefix("host/")
            .map(|rest| rest.split(['/', '.']).next().unwrap().to_owned());
        let Some(own) = own.filter(|own| modules.contains(own)) else {
            continue;
        };
        for other in modules.iter().filter(|other| **other != own) {
            if source.has(&format!("super::{other}"))
                || source.has(&format!("crate::host::{other}"))
            {
                wrong.push(format!("{} names the module `{other}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_enough_to_read() {
    let long =
        |source: &Source| source.lines > MAX_LINES && !TABLES.contains(&source.path.as_str());
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(long)
        .map(|s| format!("{}: {} lines", s.path, s.lines))
        .collect();
    assert!(
        wrong.is_empty(),
        "over {MAX_LINES} lines:\n{}",
        wrong.join("\n")
    );
}
