//! The bed's engine: dockerd, its client, its API, and an image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::api;
use crate::harness::bed::{Bed, COMMAND_SECONDS, PATH};
use crate::harness::cli::Output;
use crate::harness::daemon::Daemon;
use crate::harness::wait::holds_within;

const DOCKER: &str = "/usr/bin/docker";
/// Where another engine than Debian's lies: a directory with `usr/sbin/dockerd`, and `usr/bin/containerd` beside it.
const OTHER: &str = "MOONDOCK_TEST_ENGINE";
const START: Duration = Duration::from_secs(30);

impl Bed {
    /// Starts dockerd with these authorization plugins, waits until it answers, and gives it an image.
    pub fn engine_start(&self, authorization: &[&str]) {
        self.engine_configure(authorization);
        self.engine_boot();
        self.import_busybox();
    }

    /// Writes the engine's configuration, for its next start.
    pub fn engine_configure(&self, authorization: &[&str]) {
        self.write_script("daemon.json", &self.daemon_json(authorization).to_string());
    }

    /// Has containers outlive the engine, from its next start on.
    pub fn engine_live_restore(&self) {
        let file = self.dir().join("daemon.json");
        let mut config: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        config["live-restore"] = true.into();
        self.write_script("daemon.json", &config.to_string());
    }

    fn daemon_json(&self, authorization: &[&str]) -> Value {
        let dir = self.dir();
        json!({
            "data-root": dir.join("data"),
            "exec-root": dir.join("exec"),
            "pidfile": dir.join("dockerd.lock"),
            "hosts": [format!("unix://{}", self.socket().display())],
            "cgroup-parent": Path::new("/").join(dir.file_name().unwrap()),
            "authorization-plugins": authorization,
        })
    }

    /// Starts dockerd as it was configured before, and waits until it answers, be it with a refusal.
    pub fn engine_boot(&self) {
        let config = self.dir().join("daemon.json").display().to_string();
        let root = std::env::var(OTHER).unwrap_or_default();
        let path = format!("PATH={root}/usr/sbin:{root}/usr/bin:{PATH}");
        let dockerd = format!("{root}/usr/sbin/dockerd");
        let argv = [
            "env".to_owned(),
            path,
            dockerd,
            "--config-file".to_owned(),
            config,
        ];
        let _ = fs::remove_file(self.socket());
        let mut daemon = Daemon::start(self.namespaces(), "dockerd", &argv);
        let mut gone = false;
        let up = holds_within(START, || {
            gone = daemon.ended().is_some();
            gone || self.try_api("GET", "/_ping", &[], b"").is_ok()
        });
        assert!(up && !gone, "dockerd did not start: {}", daemon.log());
        self.engine.put(daemon);
    }

    /// Ends dockerd in good order and starts it again.
    pub fn engine_restart(&self) {
        self.engine_stop();
        self.engine_boot();
    }

    /// Ends dockerd in good order.
    pub fn engine_stop(&self) {
        self.engine.take().end_with("TERM");
    }

    /// Kills dockerd; its containers live on, as after a crash.
    pub fn engine_kill9(&self) {
        self.engine.take().end_with("KILL");
    }

    /// One `docker` command line.
    pub fn docker(&self, args: &[&str]) -> Output {
        Output::of(self.docker_command(args).stdin(Stdio::null()))
    }

    /// The same, not yet started.
    pub fn docker_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", COMMAND_SECONDS, DOCKER])
            .args(args);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", self.dir());
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        // From 23 on engines ask for BuildKit, which the shipped policy refuses and older ones do not have.
        command.env("DOCKER_BUILDKIT", "0");
        command
    }

    /// A container that stays until it is stopped, which it does at once.
    #[track_caller]
    pub fn run_sleeper(&self, name: &str, args: &[&str]) -> String {
        let head = ["run", "-d", "--name", name, "--stop-signal", "KILL"];
        self.docker(&[&head, args, &["busybox", "sleep", "600"]].concat())
            .ok()
    }

    /// One request to the engine's API, exactly as given.
    #[track_caller]
    pub fn api(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> api::Reply {
        self.try_api(method, target, headers, body)
            .unwrap_or_else(|e| panic!("{method} {target}: {e}"))
    }

    fn try_api(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<api::Reply> {
        api::send(&self.socket(), &api::request(method, target, headers, body))
    }

    /// The engine's API socket.
    pub fn socket(&self) -> PathBuf {
        self.dir().join("docker.sock")
    }

    fn import_busybox(&self) {
        let tar = self.dir().join("busybox.tar");
        fs::write(&tar, busybox_tar()).unwrap();
        self.docker(&["import", tar.to_str().unwrap(), "busybox"])
            .ok();
    }
}

/// A root file system of one static busybox and a link for each of its applets, made once.
pub fn busybox_tar() -> &'static [u8] {
    static TAR: OnceLock<Vec<u8>> = OnceLock::new();
    TAR.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/usr/bin/busybox", bin.join("busybox")).unwrap();
        let applets = Output::of(Command::new("/usr/bin/busybox").arg("--list")).ok();
        for applet in applets.lines().filter(|&applet| applet != "busybox") {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
        }
        let tar = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .args(["-c", "."])
            .output()
            .unwrap();
        assert!(
            tar.status.success(),
            "tar: {}",
            String::from_utf8_lossy(&tar.stderr)
        );
        tar.stdout
    })
}
