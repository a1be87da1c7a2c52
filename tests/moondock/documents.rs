//! Tests of the documents: their scripts are checked, their commands run, their links followed, and
//! their lines measured.
//! `docs/contributing.md` says how blocks are marked.

use crate::document::{Block, Shown, blocks};
use crate::harness::command::{Ended, Workplace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const POLICY: &str = "return { request = function() return true end }\n";

/// What can be run here without an engine.
const RUN: [&str; 5] = [
    "moondock new ",
    "moondock check ",
    "moondock fmt ",
    "moondock call ",
    "moondock test ",
];

fn checks(block: &Block) -> bool {
    block.language == "console" && block.text.contains("$ moondock check")
}

fn documents() -> Vec<PathBuf> {
    let mut found = files_below(&Path::new(ROOT).join("docs"), "md");
    found.extend(["README.md", "SECURITY.md"].map(|name| Path::new(ROOT).join(name)));
    found.sort();
    found
}

fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == extension) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn scripts_and_commands_do_what_is_shown() {
    let mut wrong = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(ROOT).unwrap().display();
        for (line, problem) in faults(&blocks(&text)) {
            wrong.push(format!("{name}:{line}: {problem}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is not as shown, by the line of its block.
fn faults(blocks: &[Block]) -> Vec<(usize, String)> {
    let shipped = include_str!("../../scripts/readonly/authz.lua");
    let place = Workplace::new(&[("scripts/readonly/authz.lua", shipped)]);
    let mut faults = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let next = blocks.get(index + 1);
        let shown_next = next.is_some_and(|next| checks(next) || is_manifest_of(next, block));
        let result = match (block.language.as_str(), block.path()) {
            ("lua" | "toml", Some(path)) => write(&place, path, &block.text, shown_next),
            ("lua", None) => compile(&block.text),
            ("console", _) => block
                .commands()
                .iter()
                .filter(|shown| RUN.iter().any(|verb| shown.command.starts_with(verb)))
                .try_for_each(|shown| run(&place, shown)),
            _ => Ok(()),
        };
        faults.extend(result.err().map(|problem| (block.line, problem)));
    }
    faults
}

/// Whether a script's manifest follows, with the grants that it needs.
fn is_manifest_of(next: &Block, script: &Block) -> bool {
    let paths = next.path().zip(script.path());
    paths.is_some_and(|(manifest, script)| {
        let manifest = Path::new(manifest);
        manifest.ends_with("plugin.toml") && manifest.parent() == Path::new(script).parent()
    })
}

fn write(place: &Workplace, path: &str, text: &str, shown_next: bool) -> Result<(), String> {
    place.write(path, text);
    let plugin = Path::new(path).parent().unwrap().to_str().unwrap();
    // A manifest alone is not a plugin.
    let policy = format!("{plugin}/authz.lua");
    let stands_in = path.ends_with(".toml") && !place.path().join(&policy).exists();
    if stands_in {
        // It may use every grant.
        let modules = ["docker", "env", "fs", "http", "net", "process"];
        let modules = modules.map(|name| format!("require(\"@moondock/{name}\")"));
        let used = format!("local _used = {{ {} }}\n{POLICY}", modules.join(", "));
        place.write(&policy, &used);
    }
    let checked = place.run(&["check", plugin]);
    if stands_in {
        fs::remove_file(place.path().join(&policy)).unwrap();
    }
    let fine = checked.code == Some(0) && checked.stdout.contains("no errors, no warnings");
    if fine || shown_next {
        Ok(())
    } else {
        Err(checked.stdout + &checked.stderr)
    }
}

fn compile(text: &str) -> Result<(), String> {
    mlua::Lua::new()
        .load(text)
        .set_name("=block")
        .into_function()
        .map(drop)
        .map_err(|e| e.to_string())
}

fn run(place: &Workplace, shown: &Shown) -> Result<(), String> {
    let bin = Path::new(env!("CARGO_BIN_EXE_moondock")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &shown.command])
        .current_dir(place.path())
        .env("PATH", path)
        .env("TMPDIR", place.temporary());
    let output = shell.stdin(std::process::Stdio::null()).output().unwrap();
    let Ended { stdout, stderr, .. } = Ended::from(output);
    shown.compare(&stdout, &stderr)
}

#[test]
fn log_lines_have_messages_that_moondock_writes() {
    let sources: String = files_below(&Path::new(ROOT).join("src"), "rs")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut wrong = Vec::new();
    for path in documents() {
        let name = path.strip_prefix(ROOT).unwrap().display();
        let text = fs::read_to_string(&path).unwrap();
        let messages = text.lines().filter_map(log_message);
        let unknown = messages.filter(|message| !sources.contains(&format!("\"{message}")));
        wrong.extend(unknown.map(|message| format!("{name}: no source has `{message}`")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The message of a log line such as `2026-11-23T16:32:14.929470Z  INFO ready plugin=nas ms=15.5`.
fn log_message(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let is_time = |word: &&str| word.starts_with("20") && word.ends_with('Z');
    words.next().filter(is_time)?;
    words
        .next()
        .filter(|level| matches!(*level, "ERROR" | "WARN" | "INFO"))?;
    let message: Vec<_> = words.take_while(|word| !word.contains('=')).collect();
    (!message.is_empty()).then(|| message.join(" "))
}

/// What the engine sends for `docker run -v /etc:/host busybox`.
#[test]
fn the_readme_shows_the_shipped_policy_and_is_short() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let shipped = fs::read_to_string(Path::new(ROOT).join("scripts/readonly/authz.lua")).unwrap();
    assert_eq!(blocks(&readme)[0].text, shipped);
    assert_eq!(shipped.lines().count(), 9);
    assert!(readme.lines().count() < 150);
}

#[test]
fn the_index_of_decisions_has_their_titles() {
    let docs = Path::new(ROOT).join("docs");
    let index = fs::read_to_string(docs.join("architecture.md")).unwrap();
    let listed: Vec<_> = index
        .lines()
        .filter(|line| line.contains("](decisions/"))
        .collect();
    let mut files: Vec<_> = fs::read_dir(docs.join("decisions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected: Vec<_> = files
        .iter()
        .map(|file| decision_row(&docs.join("decisions").join(file), file))
        .collect();
    assert_eq!(listed, expected);
}

/// The row of a decision in the index. Its page begins with `# NNNN: Title`.
fn decision_row(path: &Path, file: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    let heading = text.lines().next().unwrap_or_default();
    let number = &file[..4];
    let title = heading
        .strip_prefix(&format!("# {number}: "))
        .unwrap_or_else(|| panic!("{file} begins with `{heading}`, not with `# {number}: Title`"));
    format!("| [{number}](decisions/{file}) | {title} |")
}

/// Documents that may be wide.
const WIDE: &[&str] = &["docs/contributing.md"];

#[test]
fn prose_is_at_most_100_columns_wide() {
    let mut wide = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(ROOT).unwrap();
        if WIDE.iter().any(|wide| name.starts_with(wide)) {
            continue;
        }
        let name = name.display();
        wide.extend(
            wide_lines(&text)
                .into_iter()
                .map(|line| format!("{name}:{line}")),
        );
    }
    assert!(wide.is_empty(), "over 100 columns:\n{}", wide.join("\n"));
}

/// The numbers of lines that are too wide. Code, tables, headings and links may be.
fn wide_lines(document: &str) -> Vec<usize> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (index, line) in document.lines().enumerate() {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        let may_be_wide = in_code || line.starts_with(['|', '#']) || line.contains("](");
        if !may_be_wide && line.chars().count() > 100 {
            found.push(index + 1);
        }
    }
    found
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text).filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            if !target.exists() || !has_anchor(&target, anchor) {
                wrong.push(format!(
                    "{}: {link}",
                    path.strip_prefix(ROOT).unwrap().display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
}

fn has_anchor(file: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    anchor.is_empty()
        || headings.any(|heading| slug(heading) == anchor)
        || text.contains(&format!("<a id=\"{anchor}\"></a>"))
}

/// As forges make it of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
