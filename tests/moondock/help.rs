//! Help, completions, manual pages.

use crate::harness::command::{Ended, Workplace};
use std::fs;
use std::process::Command;

/// The commands that the help of the whole names.
fn verbs(place: &Workplace) -> Vec<String> {
    let help = place.run(&["help"]).stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap();
    let lines = commands.split("\n\n").next().unwrap().lines();
    lines
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|verb| verb != "help")
        .collect()
}

#[test]
fn the_options_of_the_log_are_shown_once_and_accepted_by_each_command() {
    let place = Workplace::new(&[]);
    let whole = place.run(&["help"]).stdout;
    assert_eq!(whole.matches("--log-level").count(), 1, "{whole}");
    assert_eq!(place.run(&["--help"]).stdout, whole);
    let verbs = verbs(&place);
    assert!(verbs.len() >= 10, "{verbs:?}");
    for verb in &verbs {
        let help = place.run(&["help", verb]);
        assert_eq!(help.code, Some(0));
        assert!(!help.stdout.contains("--log-"), "{}", help.stdout);
        let accepted = place.run(&[verb, "--log-level", "off", "--log-format=json", "--help"]);
        assert_eq!(accepted.stdout, help.stdout, "{}", accepted.stderr);
    }
}

#[test]
fn help_names_what_is_misspelt() {
    let ended = Workplace::new(&[]).run(&["help", "serv"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("serv"), "{}", ended.stderr);
}

#[test]
fn completions_load_in_bash() {
    needs!(program, "bash");
    let place = Workplace::new(&[]);
    let bash = |line: &str| {
        let moondock = env!("CARGO_BIN_EXE_moondock");
        let script = format!(
            "set -e; {moondock} completions bash > completions; bash -n completions; . ./completions
             complete -p moondock
             COMP_WORDS=(moondock {line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             _moondock moondock \"${{COMP_WORDS[COMP_CWORD]}}\" \"\"; echo \"${{COMPREPLY[*]}}\""
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &script])
            .current_dir(place.path());
        Ended::from(bash.output().unwrap())
    };
    for (line, completed) in [
        ("ser", "serve"),
        ("check --stri", "--strict"),
        ("completions z", "zsh"),
    ] {
        let Ended { stdout, stderr, .. } = bash(line);
        let lines: Vec<_> = stdout.lines().collect();
        assert!(
            lines[0].ends_with(" -F _moondock moondock"),
            "{stdout}{stderr}"
        );
        assert_eq!(lines[1..], [completed], "{line}: {stderr}");
    }
}

#[test]
fn completions_are_made_for_each_shell() {
    let place = Workplace::new(&[]);
    for (shell, part) in [
        ("bash", "complete -F _moondock"),
        ("zsh", "#compdef moondock"),
        ("fish", "complete -c moondock"),
    ] {
        let made = place.run(&["completions", shell]).stdout;
        assert!(made.contains(part), "{shell}: {made}");
        for verb in verbs(&place) {
            assert!(made.contains(&verb), "{shell}: {verb}");
        }
    }
    let unknown = place.run(&["completions", "tcsh"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("bash"), "{}", unknown.stderr);
}

#[test]
fn a_manual_page_of_each_command_can_be_typeset() {
    needs!(program, "groff");
    let place = Workplace::new(&[("man1/keep", "")]);
    assert_eq!(place.run(&["man", "man1"]).code, Some(0));
    let page = |name: &str| {
        let path = place.path().join(format!("man1/{name}.1"));
        let mut groff = Command::new("groff");
        groff
            .args(["-man", "-rLL=100n", "-Tutf8", "-ww", "-P-cbou"])
            .arg(&path);
        let set = Ended::from(groff.output().unwrap());
        assert_eq!((set.code, set.stderr.as_str()), (Some(0), ""), "{name}");
        set.stdout
    };
    let whole = page("moondock");
    for verb in verbs(&place) {
        let name = format!("moondock-{verb}");
        assert!(whole.contains(&format!("{name}(1)")), "{whole}");
        assert!(page(&name).contains(&name), "{name}");
    }
    let serve = page("moondock-serve");
    for part in [
        "--spec-dir",
        "MOONDOCK_LISTEN",
        "  moondock serve /etc/moondock/mynas    one plugin, named mynas\n",
        "  SIGHUP           reload all scripts",
    ] {
        assert!(serve.contains(part), "`{part}` is not in\n{serve}");
    }
    let pages = fs::read_dir(place.path().join("man1")).unwrap().count() - 1;
    assert_eq!(pages, verbs(&place).len() + 1);
}

#[test]
fn manual_pages_need_a_directory() {
    let ended = Workplace::new(&[]).run(&["man", "nowhere"]);
    assert_eq!(ended.code, Some(1));
    let message = "cannot write pages to `nowhere`: ";
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
}
