//! Managed plugins: bundled, created, set, enabled, and what the engine does with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::bed::{Bed, PATH};
use crate::harness::cli::Output;
use crate::harness::wait::wait_for;

const SOON: Duration = Duration::from_secs(30);
/// What the log says once for each start.
const READY: &str = " INFO ready ";

/// What is to be bundled, and how.
pub struct Managed<'a> {
    bed: &'a Bed,
    scripts: PathBuf,
    name: String,
    options: Vec<String>,
}

/// A plugin that the engine has.
pub struct Installed<'a> {
    bed: &'a Bed,
    /// The full name, with its tag.
    pub name: String,
    /// What `moondock bundle` printed.
    pub printed: String,
}

impl Bed {
    /// A plugin that the engine has got in another way.
    pub fn installed(&self, name: &str) -> Installed<'_> {
        Installed {
            bed: self,
            name: name.to_owned(),
            printed: String::new(),
        }
    }

    /// A plugin's directory that will be the managed plugin `name`.
    pub fn managed(&self, scripts: &Path, name: &str) -> Managed<'_> {
        Managed {
            bed: self,
            scripts: scripts.to_owned(),
            name: name.to_owned(),
            options: Vec::new(),
        }
    }

    /// Copies the shipped `ops` to the bed, its manifest as it is but for more grants; its directory.
    pub fn ops_with_grants(&self, more: &[&str]) -> PathBuf {
        let scripts = self.install_ops().join("ops");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ops/plugin.toml");
        let shipped = fs::read_to_string(shipped).unwrap();
        let more: String = more
            .iter()
            .map(|grant| format!("\n    {grant:?},"))
            .collect();
        let granted = shipped.replacen("grants = [", &format!("grants = [{more}"), 1);
        assert!(granted != shipped, "no grants in {shipped}");
        self.write_script("scripts/ops/plugin.toml", &granted);
        scripts
    }

    /// The binary without what only debuggers read, as each bundle has a copy.
    fn stripped_moondock(&self) -> PathBuf {
        let stripped = self.dir().join("moondock");
        if !stripped.exists() {
            let mut strip = Command::new("strip");
            strip
                .arg("-o")
                .arg(&stripped)
                .arg(env!("CARGO_BIN_EXE_moondock"));
            Output::of(&mut strip).ok();
        }
        stripped
    }
}

impl<'a> Managed<'a> {
    /// More arguments of `moondock bundle`.
    pub fn with(mut self, options: &[&str]) -> Self {
        self.options
            .extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// `moondock bundle … --create`.
    pub fn bundle(&self, out: &Path) -> Output {
        let mut command = Command::new(self.bed.stripped_moondock());
        command
            .arg("bundle")
            .arg(&self.scripts)
            .arg("--out")
            .arg(out)
            .args(["--name", &self.name]);
        command.args(&self.options).arg("--create");
        command.args(["--host", &format!("unix://{}", self.bed.socket().display())]);
        Output::of(
            command
                .env_clear()
                .env("PATH", format!("/usr/bin:{PATH}"))
                .env("HOME", self.bed.dir()),
        )
    }

    /// Bundles it and has the engine create it; it is not enabled yet.
    #[track_caller]
    pub fn create(self) -> Installed<'a> {
        let out = tempfile::Builder::new()
            .prefix("bundle-")
            .tempdir_in(self.bed.dir())
            .unwrap();
        let printed = self.bundle(out.path()).ok();
        Installed {
            bed: self.bed,
            name: self.name,
            printed,
        }
    }
}

impl Installed<'_> {
    /// `docker plugin VERB NAME ARGS…`.
    pub fn run(&self, verb: &str, args: &[&str]) -> Output {
        self.bed
            .docker(&[&["plugin", verb, &self.name], args].concat())
    }

    /// `docker plugin enable`; shows the plugin's log when that fails.
    #[track_caller]
    pub fn enable(&self) {
        let enabled = self.run("enable", &[]);
        assert!(enabled.code == Some(0), "{enabled}\n{}", self.log());
    }

    /// `docker plugin inspect`.
    #[track_caller]
    pub fn inspect(&self) -> Value {
        let mut all: Value = serde_json::from_str(&self.run("inspect", &[]).ok()).unwrap();
        all[0].take()
    }

    /// The ID, by which the engine's paths and log know it.
    #[track_caller]
    pub fn id(&self) -> String {
        self.inspect()["Id"].as_str().unwrap().to_owned()
    }

    /// The lines that the plugin has printed, as the engine's log has them.
    pub fn log(&self) -> String {
        let id = format!("plugin={}", self.id());
        let log = self.bed.engine.log();
        log.lines()
            .filter(|line| line.contains(&id))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Waits for a line in the plugin's log.
    #[track_caller]
    pub fn wait_for_log(&self, part: &str) {
        wait_for(
            &format!("`{part}` in the plugin's log:\n{}", self.log()),
            SOON,
            || self.log().contains(part),
        );
    }

    /// The plugin's PID 1 and what it has started, as the bed knows them; nothing while it does not run.
    pub fn processes(&self) -> Vec<u32> {
        let listed = self
            .bed
            .exec_in_ns(&["pgrep", "-f", "^/usr/bin/moondock serve"]);
        listed
            .stdout
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    /// Where volumes are mounted, as the engine sees it: what containers get is from there. A mount is listed once for
    /// the directory and once for what the engine has mounted of the directory on itself.
    pub fn mounts(&self) -> Vec<String> {
        let root = self.propagated("").display().to_string();
        let mounts = self.bed.exec_in_ns(&["cat", "/proc/self/mounts"]).ok();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let below = points.filter(|point| point.len() > root.len() && point.starts_with(&root));
        below
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Kills a process of the plugin, PID 1 or the one that serves, and waits until the engine has started it again.
    #[track_caller]
    pub fn kill(&self, victim: usize) {
        let (before, starts) = (self.processes(), self.starts());
        assert_eq!(before.len(), 2, "PID 1 and what serves: {before:?}");
        // An engine gives up on what ends while it waits for its start, which takes it some half a second.
        let seconds = || {
            self.bed
                .exec_in_ns(&["ps", "-o", "etimes=", "-p", &before[0].to_string()])
                .stdout
        };
        wait_for("a process of two seconds", SOON, || {
            seconds().trim().parse().unwrap_or(0) >= 2
        });
        self.bed
            .exec_in_ns(&["kill", "-9", &before[victim].to_string()])
            .ok();
        let renewed = || {
            let now = self.processes();
            now.len() == 2 && !now.iter().any(|pid| before.contains(pid))
        };
        wait_for("another process", SOON, renewed);
        let greeted = || {
            let log = self.log();
            let latest = log.rsplit(READY).next().unwrap_or_default();
            self.starts() > starts && latest.contains("IpamDriver.GetCapabilities")
        };
        wait_for("the engine's greeting", SOON, greeted);
    }

    /// How often its process has started.
    fn starts(&self) -> usize {
        self.log().matches(READY).count()
    }

    /// A directory or file of the plugin's propagated mount, as the engine sees it.
    pub fn propagated(&self, path: &str) -> PathBuf {
        self.bed
            .dir()
            .join("data/plugins")
            .join(self.id())
            .join("propagated-mount")
            .join(path)
    }
}
