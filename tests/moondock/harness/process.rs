//! Starts the real binary on a directory of its own, and ends it whatever happens.

use crate::harness::http::{Connection, Response};
use crate::harness::tls_client::Spec;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long enough for a slow machine, so that only a fault makes a test wait for it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A volume driver that sleeps in `Create` for as long as the option `sleep` says.
pub const VOLUME: &str = r#"local time = require("@moondock/time")
local volume = {}

function volume.create(req)
  if req.Opts and req.Opts.sleep then time.sleep(tonumber(req.Opts.sleep)) end
end

function volume.remove(req) end

function volume.mount(req)
  return { Mountpoint = "/m/" .. req.Name }
end

function volume.unmount(req) end

function volume.list()
  return { Volumes = {} }
end

function volume.get(req)
  return { Volume = { Name = req.Name, Mountpoint = "/m/" .. req.Name } }
end

return volume
"#;

/// Directories, plugins, and how the binary is to be started on them.
pub struct Setup {
    dir: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// A running process.
pub struct Served {
    setup: Setup,
    child: Child,
    log: Arc<(Mutex<String>, Condvar)>,
}

impl Setup {
    pub fn new() -> Setup {
        let dir = tempfile::tempdir().unwrap();
        for name in ["scripts", "sockets", "specs"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Setup {
            dir,
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// With the volume driver [`VOLUME`] as its only plugin, `vol`.
    pub fn with_volume() -> Setup {
        Setup::new().plugin("vol", "volume.lua", VOLUME)
    }

    pub fn plugin(self, name: &str, file: &str, text: &str) -> Setup {
        let dir = self.scripts().join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(file), text).unwrap();
        self
    }

    pub fn arg(mut self, arg: &str) -> Setup {
        self.args.push(arg.into());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn scripts(&self) -> PathBuf {
        self.path().join("scripts")
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn specs(&self) -> PathBuf {
        self.path().join("specs")
    }

    /// The address in the plugin's `.spec` file, when there is one.
    pub fn address(&self, plugin: &str) -> Option<SocketAddr> {
        let text = fs::read_to_string(self.specs().join(format!("{plugin}.spec"))).ok()?;
        Some(
            text.strip_prefix("tcp://")
                .unwrap()
                .trim_end()
                .parse()
                .unwrap(),
        )
    }

    /// A connection to the plugin, found as the engine finds it.
    pub fn connect(&self, plugin: &str) -> io::Result<Connection> {
        if let Some(address) = self.address(plugin) {
            return Connection::open_tcp(address);
        }
        match Spec::read(self, plugin) {
            Some(spec) => spec.connect(),
            None => Connection::open(&self.socket(plugin)),
        }
    }

    pub fn socket(&self, plugin: &str) -> PathBuf {
        self.path().join("sockets").join(format!("{plugin}.sock"))
    }

    /// The command as it would be started, `serve` with its directories in the environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moondock"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MOONDOCK_")) {
            command.env_remove(name);
        }
        command
            .arg("serve")
            .args(&self.args)
            .current_dir(self.path());
        command
            .env("MOONDOCK_SOCKETS", self.path().join("sockets"))
            .env("MOONDOCK_STATE", self.state());
        command.env("MOONDOCK_SPEC_DIR", self.specs());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What the command says when it does not come to serve.
    pub fn refused(&self) -> String {
        let Output { status, stderr, .. } = self.command().output().unwrap();
        assert_eq!(status.code(), Some(1));
        String::from_utf8(stderr).unwrap()
    }

    /// Starts the command and waits until all plugins answer.
    pub fn start(self) -> Served {
        let plugins: Vec<_> = fs::read_dir(self.scripts())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        let command = self.command();
        let mut served = self.launch(command);
        for plugin in plugins {
            let plugin = plugin.to_str().unwrap();
            served.wait_for("a way to it", |served| served.setup.connect(plugin).is_ok());
            assert_eq!(served.call(plugin, "Plugin.Activate", "").status, 200);
        }
        served
    }

    /// Starts a command without waiting for anything.
    pub fn launch(self, command: Command) -> Served {
        let log = Arc::new((Mutex::new(String::new()), Condvar::new()));
        Served {
            child: spawn(command, log.clone()),
            setup: self,
            log,
        }
    }
}

fn spawn(mut command: Command, log: Arc<(Mutex<String>, Condvar)>) -> Child {
    // A managed plugin logs to stdout.
    let (log_end, output) = std::io::pipe().unwrap();
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    let child = command.spawn().unwrap();
    drop(command);
    let lines = BufReader::new(log_end).lines();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            *log.0.lock().unwrap() += &(line + "\n");
            log.1.notify_all();
        }
    });
    child
}

impl Served {
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self, plugin: &str) -> Connection {
        self.setup.connect(plugin).unwrap()
    }

    /// One call on a connection of its own.
    pub fn call(&self, plugin: &str, method: &str, body: &str) -> Response {
        self.connect(plugin)
            .call(method, body)
            .unwrap_or_else(|e| panic!("{method}: {e}\n{}", self.log()))
    }

    /// That a good call is answered well.
    pub fn assert_answers(&self) {
        let response = self.call("vol", "VolumeDriver.Get", r#"{"Name":"good"}"#);
        assert_eq!(
            (response.status, response.body.contains("good")),
            (200, true),
            "{response:?}"
        );
    }

    /// Kills the process on the spot and starts it again, with the same state.
    pub fn crash(&mut self, plugin: &str) {
        self.signal(Signal::KILL);
        self.wait();
        self.start_again(plugin);
    }

    /// Starts the process again after its end.
    pub fn start_again(&mut self, plugin: &str) {
        self.child = spawn(self.setup.command(), self.log.clone());
        let plugin = plugin.to_owned();
        self.wait_for("its socket", |served| {
            Connection::open(&served.setup.socket(&plugin)).is_ok()
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        self.wait_for("the end", |served| {
            status = served.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn log(&self) -> String {
        self.log.0.lock().unwrap().clone()
    }

    /// Waits until the log has `text` in it.
    pub fn wait_for_log(&self, text: &str) {
        let (log, changed) = &*self.log;
        let missing = |log: &mut String| !log.contains(text);
        let (log, waited) = changed
            .wait_timeout_while(log.lock().unwrap(), TIMEOUT, missing)
            .unwrap();
        assert!(!waited.timed_out(), "`{text}` is not in the log:\n{log}");
    }

    /// Polls until `done`, for what causes no event.
    pub fn wait_for(&mut self, what: &str, mut done: impl FnMut(&mut Served) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(
                begun.elapsed() < TIMEOUT,
                "waited in vain for {what}:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
