//! Podman, which takes volume plugins by their sockets (`volume_plugins` in containers.conf).

use std::fs;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::dockerd::busybox_tar;
use crate::harness::wait::wait_for;
use crate::transports::VOLUME;

const SOON: Duration = Duration::from_secs(20);

/// Cannot tell whether a volume is there.
const AWAY: &str = r#"local volume = {}

function volume.create()
  error("the storage is away")
end

function volume.get()
  error("the storage is away")
end

function volume.remove() end

function volume.mount()
  return { Mountpoint = "/srv/data" }
end

function volume.unmount() end

function volume.list()
  return { Volumes = {} }
end

return volume
"#;

impl Bed {
    /// A bed with the plugin `vol` and a configuration of Podman that knows it, and touches nothing outside.
    fn with_podman() -> Bed {
        let bed = Bed::new();
        let dir = bed.dir().display();
        let config = format!(
            "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nlock_type = \"file\"\n\
             runtime = \"runc\"\ntmp_dir = \"{dir}/tmp\"\n\
             [engine.volume_plugins]\nvol = \"/run/docker/plugins/vol.sock\"\n"
        );
        bed.write_script("containers.conf", &config);
        let private = "mkdir -p /var/lib/containers && mount -t tmpfs tmpfs /var/lib/containers";
        bed.exec_in_ns(&["sh", "-c", private]).ok();
        bed.serve(&[("vol", "volume.lua", VOLUME)], &[]);
        bed
    }

    /// One `podman` command line, whose state is in the directory `root` of the bed.
    fn podman_at(&self, root: &str, args: &[&str]) -> Output {
        let dir = self.dir().display();
        let fixed = [
            "env".to_owned(),
            format!("CONTAINERS_CONF={dir}/containers.conf"),
            "podman".into(),
            format!("--root={dir}/{root}"),
            format!("--runroot={dir}/{root}-run"),
            format!("--tmpdir={dir}/{root}-tmp"),
            "--storage-driver=vfs".into(),
        ];
        let fixed: Vec<&str> = fixed.iter().map(String::as_str).collect();
        self.exec_in_ns(&[&fixed, args].concat())
    }

    fn podman(&self, args: &[&str]) -> Output {
        self.podman_at("podman", args)
    }

    fn podman_import_busybox(&self) {
        let tar = self.dir().join("busybox.tar");
        fs::write(&tar, busybox_tar()).unwrap();
        self.podman(&["import", tar.to_str().unwrap(), "busybox"])
            .ok();
    }

    /// Runs a shell command in a container with the volume `a` at `/v`.
    fn podman_run(&self, command: &str) -> Output {
        let parent = format!(
            "--cgroup-parent=/{}",
            self.dir().file_name().unwrap().display()
        );
        let options = [
            "run",
            "--rm",
            "--network=none",
            "--ulimit=nofile=1000:1000",
            "--ulimit=nproc=1000:1000",
        ];
        let container = ["-v=a:/v", &parent, "busybox", "sh", "-c", command];
        self.podman(&[&options[..], &container].concat())
    }

    /// How often moondock answered a call with this outcome.
    fn answered(&self, method: &str, outcome: &str) -> usize {
        let log = self.moondock_log();
        log.lines()
            .filter(|line| line.contains(method) && line.contains(outcome))
            .count()
    }
}

#[test]
fn podman_creates_uses_lists_and_removes_volumes() {
    needs!(engine);
    needs!(program, "podman");
    let bed = Bed::with_podman();
    bed.podman(&["volume", "create", "--driver", "vol", "a"])
        .ok();
    assert_eq!(bed.answered("VolumeDriver.Get", "no such volume"), 1);
    assert_eq!(
        bed.podman(&["volume", "inspect", "-f", "{{.Driver}}", "a"])
            .ok(),
        "vol"
    );
    bed.podman(&["volume", "inspect", "b"])
        .fails_with(&["no such volume b"]);
    bed.podman_import_busybox();
    assert_eq!(bed.podman_run("echo kept >/v/file").ok(), "");
    assert_eq!(
        bed.podman_run("read line </v/file; echo $line").ok(),
        "kept"
    );
    assert_eq!(
        fs::read_to_string(bed.dir().join("srv/data/file")).unwrap(),
        "kept\n"
    );
    wait_for("as many unmounts as mounts", SOON, || {
        bed.answered("VolumeDriver.Mount", "ok") == 2
            && bed.answered("VolumeDriver.Unmount", "ok") == 2
    });
    bed.podman_at("other", &["volume", "reload"]).ok();
    assert_eq!(bed.podman_at("other", &["volume", "ls", "-q"]).ok(), "a");
    bed.podman(&["volume", "rm", "a"]).ok();
    assert_eq!(bed.answered("VolumeDriver.Remove", "ok"), 1);
    assert_eq!(bed.podman(&["volume", "ls", "-q"]).ok(), "");
    bed.podman_at("other", &["volume", "reload"]).ok();
    assert_eq!(bed.podman_at("other", &["volume", "ls", "-q"]).ok(), "");
}

/// A get that fails is left unanswered, which Podman takes for an error as it takes any other: it makes no volume,
/// and forgets one that it is to remove, until it is told to look again.
#[test]
fn podman_keeps_volumes_while_the_storage_is_unavailable() {
    needs!(engine);
    needs!(program, "podman");
    let bed = Bed::with_podman();
    bed.podman(&["volume", "create", "--driver", "vol", "kept"])
        .ok();
    bed.write_script("scripts/vol/volume.lua", AWAY);
    wait_for("the new script", SOON, || {
        bed.moondock_log().contains("generation=2")
    });
    let create = ["volume", "create", "--driver", "vol", "new"];
    bed.podman(&create)
        .fails_with(&["volume.lua:4: the storage is away"]);
    bed.podman(&["volume", "rm", "kept"])
        .fails_with(&["could not be retrieved from plugin vol"]);
    assert_eq!(bed.podman(&["volume", "ls", "-q"]).ok(), "");
    assert_eq!(bed.answered("VolumeDriver.Remove", ""), 0);
    bed.write_script("scripts/vol/volume.lua", VOLUME);
    wait_for("the old script", SOON, || {
        bed.moondock_log().contains("generation=3")
    });
    bed.podman(&["volume", "reload"]).ok();
    assert_eq!(bed.podman(&["volume", "ls", "-q"]).ok(), "kept");
}
