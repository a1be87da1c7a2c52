//! The bed's moondock, or any plugin in its place.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use crate::harness::api;
use crate::harness::bed::Bed;
use crate::harness::daemon::Daemon;
use crate::harness::wait::holds_within;

const START: Duration = Duration::from_secs(30);

impl Bed {
    /// Starts `moondock serve SCRIPTS ARGS…`, and waits until the plugin `ops` answers.
    pub fn moondock_start(&self, scripts: &Path, args: &[&str]) {
        self.moondock_start_at("/run/docker/plugins", scripts, args);
    }

    /// The same, with its sockets in another directory than the engine's.
    pub fn moondock_start_at(&self, sockets: &str, scripts: &Path, args: &[&str]) {
        let state = self.dir().join("state");
        let fixed = [
            "--sockets".to_owned(),
            sockets.to_owned(),
            "--state".to_owned(),
        ];
        let mut argv = vec![
            env!("CARGO_BIN_EXE_moondock").to_owned(),
            "serve".to_owned(),
        ];
        argv.push(scripts.display().to_string());
        argv.extend(fixed.into_iter().chain([state.display().to_string()]));
        argv.extend(args.iter().map(|&arg| arg.to_owned()));
        self.plugin_start(&argv, &format!("{sockets}/ops.sock"));
    }

    /// Starts any plugin, and waits until its socket answers. The question is one that no plugin knows, as
    /// `/Plugin.Activate` would tell it that a new engine has started.
    pub fn plugin_start(&self, argv: &[String], socket: &str) {
        let socket = self.namespaces().path(socket);
        let mut daemon = Daemon::start(self.namespaces(), "moondock", argv);
        let question = api::request("POST", "/Bed.Ready", &[], b"");
        let mut gone = false;
        let up = holds_within(START, || {
            gone = daemon.ended().is_some();
            gone || api::send(&socket, &question).is_ok()
        });
        assert!(up && !gone, "the plugin did not start: {}", daemon.log());
        self.moondock.put(daemon);
    }

    /// Kills moondock on the spot.
    pub fn moondock_kill9(&self) {
        self.moondock.take().end_with("KILL");
    }

    /// Asks moondock to end, and waits for it.
    pub fn moondock_term(&self) -> ExitStatus {
        self.moondock.take().end_with("TERM")
    }

    /// All that moondock has printed.
    pub fn moondock_log(&self) -> String {
        self.moondock.log()
    }
}
