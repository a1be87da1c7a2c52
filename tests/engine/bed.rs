//! One private engine: namespaces, directory, dockerd and, where wanted, moondock.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api;
use crate::cli::Output;
use crate::daemon::Daemon;
use crate::wait::holds_within;

const SUPERVISOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/bed.sh");
const PATH: &str = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";
const DOCKER: &str = "/usr/bin/docker";
const DOCKERD: &str = "/usr/sbin/dockerd";
const COMMAND_SECONDS: &str = "90";
const START: Duration = Duration::from_secs(30);

/// A bed: everything in it is gone when it is dropped, or when the test process ends in any way.
pub struct Bed {
    namespaces: Namespaces,
    supervisor: Child,
    lifeline: Option<ChildStdin>,
    outside: String,
    engine: Mutex<Option<Daemon>>,
    moondock: Mutex<Option<Daemon>>,
}

/// How to enter a bed from the test process.
#[derive(Clone)]
pub struct Namespaces {
    /// The bed's directory, the same path inside and outside.
    pub dir: PathBuf,
    init: u32,
}

impl Namespaces {
    /// A command that will run inside: `argv`, to which the caller may add.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "-m", "-n", "-p", "--"]).args(argv);
        command.env_clear().envs([("PATH", PATH.into()), ("HOME", self.dir.clone())]);
        command
    }

    /// Runs `argv` inside, to its end.
    pub fn run(&self, argv: &[&str]) -> Output {
        Output::of(self.command(&["timeout", COMMAND_SECONDS]).args(argv).stdin(Stdio::null()))
    }

    /// A path inside as the test process sees it, private mounts included.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }
}

impl Bed {
    /// Namespaces and a directory, with nothing running yet.
    pub fn new() -> Bed {
        let dir = tempfile::Builder::new().prefix("moondock-bed-").tempdir().unwrap().keep();
        let mut supervisor = Command::new("sh")
            .args([SUPERVISOR, "supervise"])
            .arg(&dir)
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let words: Vec<&str> = ready.split_whitespace().collect();
        let ["ready", init, outside] = words[..] else { panic!("no namespaces (is this root?): `{ready}`") };
        Bed {
            namespaces: Namespaces { dir, init: init.parse().unwrap() },
            lifeline: supervisor.stdin.take(),
            supervisor,
            outside: outside.to_owned(),
            engine: Mutex::default(),
            moondock: Mutex::default(),
        }
    }

    /// A bed with a running engine and no plugin.
    pub fn start() -> Bed {
        let bed = Bed::new();
        bed.engine_start(&[]);
        bed
    }

    /// The bed's directory.
    pub fn dir(&self) -> &Path {
        &self.namespaces.dir
    }

    /// How to enter this bed.
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// Runs `argv` beside the engine: its mounts, its network, its processes.
    pub fn exec_in_ns(&self, argv: &[&str]) -> Output {
        self.namespaces.run(argv)
    }

    /// Runs `argv` on the neighbour of the engine's machine, `198.51.100.2` and `fd00:198::2`.
    pub fn exec_outside(&self, argv: &[&str]) -> Output {
        self.namespaces.run(&[&["nsenter", "-t", &self.outside, "-n", "--"], argv].concat())
    }

    /// Writes a file under the bed's directory, by renaming it into place as editors do.
    pub fn write_script(&self, path: &str, text: &str) {
        let target = self.dir().join(path);
        let draft = target.with_extension("draft");
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&draft, text).unwrap();
        fs::rename(draft, target).unwrap();
    }
}

/// The engine.
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
        let argv = [DOCKERD.to_owned(), "--config-file".to_owned(), config];
        let _ = fs::remove_file(self.socket());
        let mut daemon = Daemon::start(&self.namespaces, "dockerd", &argv);
        let mut gone = false;
        let up = holds_within(START, || {
            gone = daemon.ended().is_some();
            gone || self.try_api("GET", "/_ping", &[], b"").is_ok()
        });
        assert!(up && !gone, "dockerd did not start: {}", daemon.log());
        *locked(&self.engine) = Some(daemon);
    }

    /// Ends dockerd in good order and starts it again.
    pub fn engine_restart(&self) {
        self.engine_stop();
        self.engine_boot();
    }

    /// Ends dockerd in good order.
    pub fn engine_stop(&self) {
        locked(&self.engine).take().expect("the engine runs").end_with("TERM");
    }

    /// Kills dockerd; its containers live on, as after a crash.
    pub fn engine_kill9(&self) {
        locked(&self.engine).take().expect("the engine runs").end_with("KILL");
    }

    /// One `docker` command line.
    pub fn docker(&self, args: &[&str]) -> Output {
        Output::of(self.docker_command(args).stdin(Stdio::null()))
    }

    /// The same, not yet started.
    pub fn docker_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", COMMAND_SECONDS, DOCKER]).args(args);
        command.env_clear().env("PATH", PATH).env("HOME", self.dir());
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        command
    }

    /// A container that stays until it is stopped, which it does at once.
    #[track_caller]
    pub fn run_sleeper(&self, name: &str, args: &[&str]) -> String {
        let head = ["run", "-d", "--name", name, "--stop-signal", "KILL"];
        self.docker(&[&head, args, &["busybox", "sleep", "600"]].concat()).ok()
    }

    /// One request to the engine's API, exactly as given.
    #[track_caller]
    pub fn api(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> api::Reply {
        self.try_api(method, target, headers, body).unwrap_or_else(|e| panic!("{method} {target}: {e}"))
    }

    fn try_api(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<api::Reply> {
        api::send(&self.socket(), &api::request(method, target, headers, body))
    }

    /// The engine's API socket.
    pub fn socket(&self) -> PathBuf {
        self.dir().join("docker.sock")
    }

    fn import_busybox(&self) {
        let tar = self.dir().join("busybox.tar");
        fs::write(&tar, busybox_tar()).unwrap();
        self.docker(&["import", tar.to_str().unwrap(), "busybox"]).ok();
    }
}

/// Moondock.
impl Bed {
    /// Starts `moondock serve SCRIPTS ARGS…`, and waits until the plugin `ops` answers.
    pub fn moondock_start(&self, scripts: &Path, args: &[&str]) {
        self.moondock_start_at("/run/docker/plugins", scripts, args);
    }

    /// The same, with its sockets in another directory than the engine's.
    pub fn moondock_start_at(&self, sockets: &str, scripts: &Path, args: &[&str]) {
        let state = self.dir().join("state");
        let fixed = ["--sockets".to_owned(), sockets.to_owned(), "--state".to_owned()];
        let mut argv = vec![env!("CARGO_BIN_EXE_moondock").to_owned(), "serve".to_owned()];
        argv.push(scripts.display().to_string());
        argv.extend(fixed.into_iter().chain([state.display().to_string()]));
        argv.extend(args.iter().map(|&arg| arg.to_owned()));
        self.plugin_start(&argv, &format!("{sockets}/ops.sock"));
    }

    /// Starts any plugin, and waits until its socket answers `/Plugin.Activate`.
    pub fn plugin_start(&self, argv: &[String], socket: &str) {
        let socket = self.namespaces.path(socket);
        let mut daemon = Daemon::start(&self.namespaces, "moondock", argv);
        let activate = api::request("POST", "/Plugin.Activate", &[], b"");
        let mut gone = false;
        let up = holds_within(START, || {
            gone = daemon.ended().is_some();
            gone || api::send(&socket, &activate).is_ok_and(|reply| reply.status == 200)
        });
        assert!(up && !gone, "the plugin did not start: {}", daemon.log());
        *locked(&self.moondock) = Some(daemon);
    }

    /// Kills moondock on the spot.
    pub fn moondock_kill9(&self) {
        locked(&self.moondock).take().expect("moondock runs").end_with("KILL");
    }

    /// Asks moondock to end, and waits for it.
    pub fn moondock_term(&self) -> ExitStatus {
        locked(&self.moondock).take().expect("moondock runs").end_with("TERM")
    }

    /// All that moondock has printed.
    pub fn moondock_log(&self) -> String {
        locked(&self.moondock).as_ref().expect("moondock runs").log()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        drop(self.lifeline.take());
        let _ = self.supervisor.wait();
    }
}

impl Bed {
    fn show_logs(&self) {
        for name in ["dockerd", "moondock"] {
            let log = fs::read(self.dir().join(format!("{name}.log"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains("level=info")).collect();
            eprintln!("── the end of {name}'s log");
            lines[lines.len().saturating_sub(40)..].iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

fn locked(slot: &Mutex<Option<Daemon>>) -> MutexGuard<'_, Option<Daemon>> {
    slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A root file system of one static busybox and a link for each of its applets, made once.
fn busybox_tar() -> &'static [u8] {
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
        let tar = Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).output().unwrap();
        assert!(tar.status.success(), "tar: {}", String::from_utf8_lossy(&tar.stderr));
        tar.stdout
    })
}
