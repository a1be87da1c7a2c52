//! Plugins that `moondock new` makes, as they are, in a real engine.

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::wait::wait_for;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const MOONDOCK: &str = env!("CARGO_BIN_EXE_moondock");

/// Makes a plugin in the bed, with its directories in the bed too.
fn make_new(bed: &Bed, name: &str, args: &[&str]) -> PathBuf {
    let dir = bed.dir().join("scripts").join(name);
    Output::of(Command::new(MOONDOCK).arg("new").arg(&dir).args(args)).ok();
    let manifest = dir.join("plugin.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let own = format!("\"{}/", bed.dir().display());
    fs::write(&manifest, text.replace("\"/var/lib/moondock/", &own)).unwrap();
    dir
}

/// Makes a plugin in the bed, and serves it.
fn serve_new(bed: &Bed, name: &str, args: &[&str]) {
    make_new(bed, name, args);
    serve(bed, name, &[]);
}

fn serve(bed: &Bed, name: &str, args: &[&str]) {
    let path = |path: &str| bed.dir().join(path).display().to_string();
    let argv = [
        MOONDOCK,
        "serve",
        &path("scripts"),
        "--state",
        &path("state"),
    ];
    let socket = format!("/run/docker/plugins/{name}.sock");
    let argv = argv.iter().chain(args).map(ToString::to_string);
    bed.plugin_start(&argv.collect::<Vec<_>>(), &socket);
}

/// From an idea to a driver in use: made, tested, mended, served, and broken again.
#[test]
fn a_new_driver_is_tested_before_docker_uses_it() {
    needs!(engine);
    let bed = Bed::new();
    let dir = make_new(&bed, "mydisk", &["volume"]);
    let test = || Output::of(Command::new(MOONDOCK).arg("test").arg(&dir));
    assert!(test().ok().contains(", 0 failed"));

    let (script, tests) = (dir.join("volume.lua"), dir.join("volume_test.lua"));
    let good = fs::read_to_string(&script).unwrap();
    let wanted = format!(
        "{}\ntest.case(\"a volume has a note\", function()\n  \
         test.call(\"VolumeDriver.Create\", {{ Name = \"aa\" }})\n  \
         test.equal(test.call(\"VolumeDriver.Mount\", {{ Name = \"aa\", ID = \"b\" }}).Mountpoint ~= nil, true)\n  \
         test.match(fs.read(\"{}/volumes/mydisk/aa/note\"), \"mydisk\")\nend)\n",
        fs::read_to_string(&tests).unwrap().replacen(
            "local test",
            "local fs = require(\"@moondock/fs\")\nlocal test",
            1
        ),
        bed.dir().display()
    );
    fs::write(&tests, wanted).unwrap();
    test().fails_with(&["FAIL  mydisk/volume_test.lua: a volume has a note", "note"]);

    let made = "  create = function(v)\n";
    let start = good.find(made).unwrap() + made.len();
    let end = start + good[start..].find("  end,").unwrap();
    let note = "    fs.write(path(v) .. \"/note\", \"made by mydisk\")\n";
    let mended = format!("{}{note}{}", &good[..end], &good[end..]);
    fs::write(&script, &mended).unwrap();
    test().ok();

    serve(&bed, "mydisk", &["--test-on-reload"]);
    bed.engine_start(&[]);
    let read = || {
        let volume = ["-v", "notes:/data", "busybox", "cat", "/data/note"];
        bed.docker(&[&["run", "--rm"], &volume[..]].concat()).ok()
    };
    bed.docker(&["volume", "create", "-d", "mydisk", "notes"])
        .ok();
    assert_eq!(read(), "made by mydisk");

    fs::write(&script, mended.replace("made by mydisk", "spoilt")).unwrap();
    wait_for(
        "the failed tests in the log",
        Duration::from_mins(1),
        || bed.moondock_log().contains("its tests fail:"),
    );
    bed.docker(&["volume", "create", "-d", "mydisk", "more"])
        .ok();
    let more = bed.dir().join("volumes/mydisk/more/note");
    assert_eq!(fs::read_to_string(more).unwrap(), "made by mydisk");
}

#[test]
fn a_new_volume_driver_keeps_files() {
    needs!(engine);
    for args in [&["volume"][..], &["volume", "--raw"]] {
        let bed = Bed::new();
        serve_new(&bed, "mydisk", args);
        bed.engine_start(&[]);
        let run = |command: &str| {
            let volume = ["-v", "notes:/data", "busybox", "sh", "-c", command];
            bed.docker(&[&["run", "--rm"], &volume[..]].concat()).ok()
        };
        bed.docker(&["volume", "create", "-d", "mydisk", "notes"])
            .ok();
        run("echo hello > /data/greeting");
        assert_eq!(run("cat /data/greeting"), "hello");
        let on_host = bed.dir().join("volumes/mydisk/notes/greeting");
        assert_eq!(fs::read_to_string(&on_host).unwrap(), "hello\n");
        // Docker asks `get` before it creates a volume, and asks for 15 s again if that fails.
        let begun = Instant::now();
        bed.docker(&["volume", "create", "-d", "mydisk", "../etc"])
            .fails();
        assert!(begun.elapsed() < Duration::from_secs(10), "{args:?}");
        bed.docker(&["volume", "rm", "notes"]).ok();
        assert!(!on_host.exists());
    }
}

#[test]
fn a_new_policy_denies_what_it_says() {
    needs!(engine);
    let bed = Bed::new();
    serve_new(&bed, "guard", &["authz"]);
    bed.engine_start(&["guard"]);
    let run = |args: &str| {
        let args: Vec<_> = args.split(' ').collect();
        bed.docker(&[&["run", "--rm"], &args[..]].concat())
    };
    assert_eq!(run("busybox echo hello").ok(), "hello");
    for (args, reason) in [
        (
            "--privileged busybox true",
            "privileged containers are not allowed",
        ),
        (
            "-v /etc:/host busybox true",
            "/etc is not a directory in /srv/data (HostConfig.Binds[0])",
        ),
    ] {
        run(args).fails_with(&["authorization denied by plugin guard: ", reason]);
    }
    let id = bed.docker(&["run", "-d", "busybox", "sleep", "60"]).ok();
    bed.docker(&["exec", "--privileged", &id, "true"])
        .fails_with(&["privileged commands are not allowed"]);
    bed.docker(&["rm", "-f", &id]).ok();
}

#[test]
fn a_new_network_has_addresses_and_reaches_its_containers() {
    needs!(engine);
    for raw in [&[][..], &["--raw"]] {
        let bed = Bed::new();
        serve_new(&bed, "wires", &[&["network", "ipam"], raw].concat());
        bed.engine_start(&[]);
        let create = "network create -d wires --ipam-driver wires --subnet 10.20.30.0/24 mynet";
        let create: Vec<_> = create.split(' ').collect();
        bed.docker(&create).ok();
        let server = [
            "run",
            "-d",
            "--network",
            "mynet",
            "--name",
            "server",
            "busybox",
            "sleep",
            "60",
        ];
        bed.docker(&server).ok();
        let format = "{{.NetworkSettings.Networks.mynet.IPAddress}}";
        let address = bed.docker(&["inspect", "-f", format, "server"]).ok();
        assert!(address.starts_with("10.20.30."), "{address}");
        let ping = [
            "run",
            "--rm",
            "--network",
            "mynet",
            "busybox",
            "ping",
            "-c",
            "1",
            "-W",
            "5",
        ];
        for to in [address.as_str(), "10.20.30.1"] {
            bed.docker(&[&ping[..], &[to]].concat()).ok();
        }
        bed.docker(&["rm", "-f", "server"]).ok();
        bed.docker(&["network", "rm", "mynet"]).ok();
        let links = bed.exec_in_ns(&["ip", "-o", "link"]).ok();
        for part in ["nb-", "nh-", "nc-"] {
            assert!(!links.contains(part), "{links}");
        }
    }
}

#[test]
fn a_new_log_driver_is_read_by_docker_logs() {
    needs!(engine);
    let bed = Bed::new();
    serve_new(&bed, "files", &["log"]);
    bed.engine_start(&[]);
    let logged = [
        "run",
        "--name",
        "web",
        "--log-driver",
        "files",
        "busybox",
        "echo",
        "hello",
    ];
    bed.docker(&logged).ok();
    assert_eq!(bed.docker(&["logs", "web"]).ok(), "hello");
    bed.docker(&["rm", "web"]).ok();
}
