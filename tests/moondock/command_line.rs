//! Options, environment, help.

use crate::harness::process::{Setup, VOLUME};
use std::fs;
use std::process::Command;

fn moondock(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_moondock"))
        .args(args)
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn help_names_every_option_its_variable_and_its_default() {
    for (verb, option, variable, default) in [
        ("serve", "[PATH]...", "", "[default: scripts]"),
        (
            "serve",
            "--sockets <DIR>",
            "[env: MOONDOCK_SOCKETS]",
            "[default: /run/docker/plugins]",
        ),
        (
            "serve",
            "--state <DIR>",
            "[env: MOONDOCK_STATE]",
            "[default: /var/lib/moondock]",
        ),
        (
            "help",
            "--log-level <LEVEL>",
            "[env: MOONDOCK_LOG_LEVEL]",
            "[default: info]",
        ),
        (
            "help",
            "--log-format <FORMAT>",
            "[env: MOONDOCK_LOG_FORMAT]",
            "[default: pretty]",
        ),
    ] {
        let (code, help) = match verb {
            "help" => moondock(&["help"]),
            verb => moondock(&["help", verb]),
        };
        assert_eq!(code, Some(0));
        for part in [option, variable, default] {
            assert!(help.contains(part), "`{part}` is not in\n{help}");
        }
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }
}

#[test]
fn invalid_arguments_exit_with_code_2() {
    for args in [
        &["serve", "--nothing"][..],
        &["serve", "--log-level", "loud"],
        &["nothing"],
        &[],
    ] {
        assert_eq!(moondock(args).0, Some(2), "{args:?}");
    }
}

#[test]
fn an_option_wins_over_its_variable() {
    let setup = Setup::with_volume()
        .env("MOONDOCK_LOG_FORMAT", "json")
        .arg("--log-level=info");
    let served = setup.env("MOONDOCK_LOG_LEVEL", "off").start();
    served.assert_answers();
    served.wait_for_log("VolumeDriver.Get");
    for line in served.log().lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(
            event["level"].is_string() && event["timestamp"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn nothing_is_logged_when_logging_is_off() {
    let served = Setup::with_volume()
        .env("MOONDOCK_LOG_LEVEL", "off")
        .start();
    served.assert_answers();
    assert_eq!(served.log(), "");
}

#[test]
fn a_path_names_one_plugin() {
    let setup = Setup::with_volume()
        .plugin("other", "volume.lua", VOLUME)
        .arg("scripts/other");
    let command = setup.command();
    let served = setup.launch(command);
    served.wait_for_log("ready");
    assert!(served.setup().socket("other").exists());
    assert!(!served.setup().socket("vol").exists());
}

#[test]
fn a_directory_without_plugins_is_strictly_an_error_that_lists_the_files() {
    let error = Setup::new().arg("scripts").arg("--strict").refused();
    assert!(error.contains("no plugin in `scripts`"), "{error}");
    assert!(error.contains("authz.lua, volume.lua"), "{error}");
    assert!(
        error.contains("make one with `moondock new NAME INTERFACE`"),
        "{error}"
    );
}

#[test]
fn two_plugins_of_one_name_are_refused() {
    let setup = Setup::with_volume().arg("scripts/vol").arg("other/vol");
    fs::create_dir_all(setup.path().join("other/vol")).unwrap();
    fs::write(setup.path().join("other/vol/volume.lua"), VOLUME).unwrap();
    assert!(setup.refused().contains("two plugins are named `vol`"));
}

#[test]
fn a_plugin_may_be_named_beside_its_directory_of_plugins() {
    let setup = Setup::with_volume().arg("scripts").arg("scripts/vol");
    let served = setup.start();
    served.assert_answers();
    assert!(!served.log().contains("ERROR"), "{}", served.log());
}

/// What is in the way, and what to do about it, without numbers of errors.
#[test]
fn unusable_directories_are_explained_with_a_cure() {
    let setup = || {
        let setup = Setup::with_volume();
        fs::write(setup.path().join("file"), "").unwrap();
        setup
    };
    for (setup, parts) in [
        (
            setup().arg("nothing"),
            [
                "there is no directory `",
                "nothing`: name the directory of a plugin",
            ],
        ),
        (
            setup().arg("file"),
            ["file` is a file: pass the directory", "that contains it"],
        ),
        (
            setup().arg("--state=file"),
            [
                "file` for state: a file is in the way: ",
                "choose another directory with `--state`",
            ],
        ),
        (
            setup().arg("--sockets=file"),
            [
                "file`: a file is in the way: ",
                "choose another directory with `--sockets`",
            ],
        ),
        (
            setup().arg("--state=/proc/none"),
            [
                "`/proc/none` for state: ",
                "choose another directory with `--state`",
            ],
        ),
    ] {
        let error = setup.refused();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in {error}");
        }
        assert!(!error.contains("os error"), "{error}");
    }
}
