//! Volumes, as a user of `docker` sees them.

use std::fs;
use std::path::Path;

use crate::harness::bed::Bed;

#[test]
fn a_volume_is_created_shown_used_and_removed() {
    needs!(engine);
    let bed = Bed::with_ops();
    assert_eq!(
        bed.volume_create(
            "data",
            &["-o", "mode=0750", "-o", "uid=1000", "-o", "gid=2000"]
        )
        .ok(),
        "data"
    );
    let seen = bed.inspect_json("data");
    assert_eq!(seen["Driver"], "ops");
    assert_eq!(seen["Options"]["uid"], "1000");
    let created = seen["CreatedAt"].as_str().unwrap_or("absent");
    assert!(created.starts_with("20"), "CreatedAt: {created}");
    let mountpoint = seen["Mountpoint"].as_str().unwrap();
    assert!(mountpoint.starts_with(&bed.volume_root()), "{mountpoint}");
    assert!(
        bed.docker(&["volume", "ls"])
            .ok()
            .lines()
            .any(|line| line.split_whitespace().eq(["ops", "data"]))
    );
    let stat = bed.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/data",
        "busybox",
        "stat",
        "-c",
        "%a %u %g",
        "/data",
    ]);
    assert_eq!(stat.ok(), "750 1000 2000");
    bed.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/data",
        "busybox",
        "sh",
        "-c",
        "echo kept >/data/file",
    ])
    .ok();
    assert_eq!(
        bed.docker(&[
            "run",
            "--rm",
            "-v",
            "data:/x:ro",
            "busybox",
            "cat",
            "/x/file"
        ])
        .ok(),
        "kept"
    );
    assert_eq!(bed.docker(&["volume", "rm", "data"]).ok(), "data");
    assert!(bed.volumes().is_empty());
    assert!(
        !Path::new(mountpoint).exists(),
        "{mountpoint} is still there"
    );
    bed.docker(&["volume", "inspect", "data"])
        .fails_with(&["No such volume: data"]);
}

#[test]
fn two_containers_share_one_volume() {
    needs!(engine);
    let bed = Bed::with_ops();
    for options in [&[][..], &["-o", "size=8M"]] {
        bed.volume_create("shared", options).ok();
        bed.run_sleeper("one", &["-v", "shared:/data"]);
        bed.run_sleeper("two", &["-v", "shared:/data"]);
        bed.sh("one", "echo from one >/data/note").ok();
        assert_eq!(bed.sh("two", "cat /data/note").ok(), "from one");
        bed.docker(&["rm", "-f", "one"]).ok();
        assert_eq!(
            bed.sh("two", "cat /data/note; echo more >>/data/note").ok(),
            "from one"
        );
        bed.docker(&["rm", "-f", "two"]).ok();
        assert!(bed.volume_mounts().is_empty(), "{:?}", bed.volume_mounts());
        bed.docker(&["volume", "rm", "shared"]).ok();
    }
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
}

#[test]
fn docker_cp_leaves_the_volume_of_a_running_container_mounted() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("data", &["-o", "size=8M"]).ok();
    bed.run_sleeper("web", &["-v", "data:/data"]);
    let file = bed.dir().join("page");
    for round in ["first", "second"] {
        fs::write(&file, round).unwrap();
        bed.docker(&["cp", file.to_str().unwrap(), "web:/data/page"])
            .ok();
        assert_eq!(bed.sh("web", "cat /data/page").ok(), round);
        assert_eq!(bed.volume_mounts().len(), 1, "{:?}", bed.volume_mounts());
    }
    bed.docker(&[
        "cp",
        "web:/data/page",
        file.with_extension("back").to_str().unwrap(),
    ])
    .ok();
    assert_eq!(
        fs::read_to_string(file.with_extension("back")).unwrap(),
        "second"
    );
    bed.docker(&["stop", "web"]).ok();
    assert!(bed.volume_mounts().is_empty(), "{:?}", bed.volume_mounts());
    bed.docker(&["start", "web"]).ok();
    assert_eq!(bed.sh("web", "cat /data/page").ok(), "second");
}

#[test]
fn a_volume_in_use_is_not_removed() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("busy", &[]).ok();
    bed.run_sleeper("user", &["-v", "busy:/data"]);
    bed.docker(&["volume", "rm", "busy"])
        .fails_with(&["volume is in use"]);
    bed.docker(&["volume", "rm", "-f", "busy"])
        .fails_with(&["volume is in use"]);
    bed.sh("user", "echo still here >/data/file").ok();
    bed.docker(&["rm", "-f", "user"]).ok();
    bed.docker(&["volume", "rm", "busy"]).ok();
    assert!(bed.volumes().is_empty());
}

#[test]
fn the_size_of_a_volume_limits_it() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("small", &["-o", "size=8M", "-o", "mode=1777"])
        .ok();
    bed.volume_create("other", &[]).ok();
    bed.run_sleeper("writer", &["-v", "small:/small", "-v", "other:/other"]);
    let full = bed.sh(
        "writer",
        "dd if=/dev/zero of=/small/big bs=1M count=16 2>&1",
    );
    full.fails_with(&["No space left on device"]);
    bed.sh("writer", "dd if=/dev/zero of=/other/big bs=1M count=16")
        .ok();
    assert_eq!(bed.sh("writer", "stat -c %a /small").ok(), "1777");
    bed.sh("writer", "rm /small/big && echo room >/small/again")
        .ok();
    bed.docker(&["rm", "-f", "writer"]).ok();
    assert!(bed.volume_mounts().is_empty(), "{:?}", bed.volume_mounts());
    assert_eq!(
        bed.docker(&[
            "run", "--rm", "-v", "small:/s", "busybox", "cat", "/s/again"
        ])
        .ok(),
        "room"
    );
    bed.docker(&["volume", "rm", "small", "other"]).ok();
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
}

#[test]
fn a_name_that_leaves_the_root_is_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("fine", &[]).ok();
    let before = bed.exec_in_ns(&["find", "/srv", &bed.volume_root()]).ok();
    let long = "x".repeat(256);
    for name in [
        "../x",
        "a/../../x",
        "/etc",
        "..",
        ".hidden",
        "-x",
        "a b",
        "a/b",
        &long,
    ] {
        let seen = bed
            .docker(&["volume", "create", "-d", "ops", "--", name])
            .fails();
        assert!(seen.contains("name"), "`{name}`: {seen}");
    }
    assert_eq!(bed.volumes(), ["fine"]);
    assert_eq!(
        bed.exec_in_ns(&["find", "/srv", &bed.volume_root()]).ok(),
        before
    );
}

#[test]
fn an_invalid_option_is_reported_and_creates_no_volume() {
    needs!(engine);
    let bed = Bed::with_ops();
    let wrong = [
        ("colour=red", "colour"),
        ("size=lots", "size"),
        ("size=-1", "size"),
        ("mode=999", "mode"),
        ("uid=root", "uid"),
        ("gid=-3", "gid"),
    ];
    for (option, named) in wrong {
        bed.volume_create("bad", &["-o", option])
            .fails_with(&["create bad", named]);
    }
    assert!(bed.volumes().is_empty());
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
}

#[test]
fn containers_create_volumes_as_they_start() {
    needs!(engine);
    let bed = Bed::with_ops();
    let run = [
        "run",
        "--rm",
        "--volume-driver",
        "ops",
        "-v",
        "auto:/data",
        "busybox",
        "touch",
        "/data/file",
    ];
    bed.docker(&run).ok();
    let mount = "type=volume,src=inline,dst=/data,volume-driver=ops,volume-opt=size=8M";
    bed.run_sleeper("inline-user", &["--mount", mount]);
    bed.sh("inline-user", "dd if=/dev/zero of=/data/big bs=1M count=16")
        .fails_with(&["No space left on device"]);
    assert_eq!(bed.volumes(), ["auto", "inline"]);
    assert_eq!(
        bed.inspect("inline", "{{.Driver}} {{.Options.size}}"),
        "ops 8M"
    );
    bed.volume_create("auto", &[]).ok();
    assert_eq!(
        bed.docker(&["run", "--rm", "-v", "auto:/data", "busybox", "ls", "/data"])
            .ok(),
        "file"
    );
    bed.docker(&[
        "run",
        "--rm",
        "-v",
        "filled:/bin",
        "--volume-driver",
        "ops",
        "busybox",
        "true",
    ])
    .ok();
    assert_eq!(
        bed.docker(&[
            "run",
            "--rm",
            "-v",
            "filled:/x",
            "busybox",
            "ls",
            "/x/busybox"
        ])
        .ok(),
        "/x/busybox"
    );
}

#[test]
fn volumes_outlive_the_engine_and_the_plugin() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("plain", &[]).ok();
    bed.volume_create("sized", &["-o", "size=8M"]).ok();
    bed.run_sleeper("web", &["-v", "plain:/plain", "-v", "sized:/sized"]);
    bed.sh("web", "echo a >/plain/a; echo b >/sized/b").ok();
    bed.engine_stop();
    assert_eq!(bed.moondock_term().code(), Some(0));
    assert!(
        !bed.namespaces()
            .path("/run/docker/plugins/ops.sock")
            .exists(),
        "the socket is still there"
    );
    bed.moondock_start(&bed.dir().join("scripts"), &[]);
    bed.engine_boot();
    assert_eq!(bed.volumes(), ["plain", "sized"]);
    assert!(bed.volume_mounts().is_empty(), "{:?}", bed.volume_mounts());
    bed.docker(&["start", "web"]).ok();
    assert_eq!(bed.sh("web", "cat /plain/a /sized/b").ok(), "a\nb");
    assert_eq!(
        bed.inspect("sized", "{{.Driver}} {{.Options.size}}"),
        "ops 8M"
    );
}

/// The engine mounts nothing again for a container that outlived it, so all that it says of the volume is a copy's.
#[test]
fn docker_cp_leaves_the_volume_of_a_live_restored_container_mounted() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.engine_live_restore();
    bed.engine_restart();
    bed.volume_create("data", &["-o", "size=8M"]).ok();
    bed.run_sleeper("web", &["-v", "data:/data"]);
    let pid = bed.inspect("web", "{{.State.Pid}}");
    let file = bed.dir().join("page");
    for round in ["restart", "crash"] {
        match round {
            "crash" => {
                bed.engine_kill9();
                bed.engine_boot();
            }
            _ => bed.engine_restart(),
        }
        assert_eq!(
            bed.inspect("web", "{{.State.Pid}}"),
            pid,
            "the container did not outlive the engine"
        );
        fs::write(&file, round).unwrap();
        bed.docker(&["cp", file.to_str().unwrap(), "web:/data/page"])
            .ok();
        assert_eq!(
            bed.volume_mounts().len(),
            1,
            "{round}: {:?}",
            bed.volume_mounts()
        );
        let again = bed.docker(&[
            "run",
            "--rm",
            "-v",
            "data:/data",
            "busybox",
            "cat",
            "/data/page",
        ]);
        assert_eq!(again.ok(), round);
        assert_eq!(bed.sh("web", "cat /data/page").ok(), round);
        assert_eq!(
            (bed.volume_mounts().len(), bed.loops().len()),
            (1, 1),
            "{round}: {:?}",
            bed.loops()
        );
    }
    // Having copied, the engine does not say that this container is done with the volume; it will of the next one.
    bed.docker(&["rm", "-f", "web"]).ok();
    bed.docker(&["run", "--rm", "-v", "data:/data", "busybox", "true"])
        .ok();
    assert!(bed.volume_mounts().is_empty(), "{:?}", bed.volume_mounts());
    bed.docker(&["volume", "rm", "data"]).ok();
    assert!(bed.loops().is_empty(), "{:?}", bed.loops());
}

#[test]
fn a_failed_removal_is_reported_and_can_be_retried() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.volume_create("data", &[]).ok();
    bed.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/data",
        "busybox",
        "touch",
        "/data/file",
    ])
    .ok();
    let kept = format!("{}/data/data/kept", bed.volume_root());
    bed.exec_in_ns(&["mkdir", &kept]).ok();
    bed.exec_in_ns(&["mount", "-t", "tmpfs", "tmpfs", &kept])
        .ok();
    bed.docker(&["volume", "rm", "data"])
        .fails_with(&["remove data", "kept"]);
    assert_eq!(bed.volumes(), ["data"]);
    let status = bed.inspect("data", "{{json .Status}}");
    assert!(
        status.contains("partly removed") && status.contains("kept"),
        "{status}"
    );
    let run = ["run", "--rm", "-v", "data:/data", "busybox", "ls", "/data"];
    bed.docker(&run)
        .fails_with(&["is partly removed", "remove it again"]);
    bed.exec_in_ns(&["umount", &kept]).ok();
    bed.docker(&["rm", &bed.containers().join(" ")]).text();
    bed.docker(&["volume", "rm", "data"]).ok();
    assert!(bed.volumes().is_empty());
    assert!(!Path::new(&kept).exists());
}
