//! A reader who follows a document word by word: with a clean clone, `sudo`, and an engine.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::document::{Block, Shown, blocks, matches};
use crate::harness::bed::{Bed, COMMAND_SECONDS, PATH};
use crate::harness::cli::Output;
use crate::harness::daemon::Daemon;
use crate::harness::wait::{holds_within, wait_for};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PATIENCE: Duration = Duration::from_secs(60);

/// What stands in for programs that a bed cannot have. systemd returns once it has sent the signal, but a reader
/// is slower than the engine.
const PROGRAMS: [(&str, &str); 2] = [
    ("sudo", r#"exec "$@""#),
    (
        "systemctl",
        r#"[ "$*" = "reload docker" ] || exit 9
reloads() { grep -c "Reloaded configuration" "$BED/dockerd.log"; }
before=$(reloads)
kill -HUP "$(cat "$BED/dockerd.lock")"
for _ in $(seq 600); do [ "$(reloads)" = "$before" ] || exit 0; sleep 0.05; done
exit 8"#,
    ),
];

/// Whoever follows a document.
pub struct Reader {
    bed: Bed,
    place: RefCell<String>,
    serves: Cell<bool>,
}

impl Reader {
    /// A reader in an empty directory, with an engine that is `moondock`'s neighbour, and without `moondock`.
    pub fn new() -> Reader {
        let bed = Bed::new();
        let (bin, home) = (bed.dir().join("bin"), bed.dir().join("home"));
        for dir in [&bin, &home, &bed.dir().join("var")] {
            fs::create_dir_all(dir).unwrap();
        }
        for (name, script) in PROGRAMS {
            let file = bin.join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let private = r#"mkdir -p /var/lib/moondock && mount --bind "$0/var" /var/lib/moondock && mount --bind "$0/bin" /usr/local/bin"#;
        let dir = bed.dir().display().to_string();
        bed.exec_in_ns(&["sh", "-c", private, &dir]).ok();
        bed.engine_start(&[]);
        Reader {
            place: RefCell::new(home.display().to_string()),
            bed,
            serves: Cell::new(false),
        }
    }

    /// A reader in a clean clone: the files that Git has, as they are now.
    pub fn in_clone() -> Reader {
        let reader = Reader::new();
        let clone = reader.bed.dir().join("home/moondock");
        fs::create_dir(&clone).unwrap();
        let copy = r#"git -C "$0" ls-files -z | tar -C "$0" --null -T - -c | tar -C "$1" -x"#;
        Output::of(Command::new("sh").args(["-c", copy, ROOT]).arg(&clone)).ok();
        reader.place.replace(clone.display().to_string());
        reader
    }

    /// Installs `moondock`, as a document presumes that says so elsewhere.
    pub fn has_moondock(self) -> Reader {
        copy_moondock(&self.bed.dir().join("bin"));
        self
    }

    /// Does what the document says, from top to bottom, and compares what it shows.
    pub fn follow(&self, document: &str) {
        let text = fs::read_to_string(Path::new(ROOT).join(document)).unwrap();
        for block in blocks(&text) {
            let done = self.do_as_shown(&block);
            done.unwrap_or_else(|problem| panic!("{document}:{}: {problem}", block.line));
        }
    }

    fn do_as_shown(&self, block: &Block) -> Result<(), String> {
        match (block.language.as_str(), block.path()) {
            ("lua" | "toml", Some(path)) => self.save(path, &block.text),
            ("json", _) => self.configure(&block.text),
            ("console", _) => return block.commands().iter().try_for_each(|c| self.run(c)),
            _ => {}
        }
        Ok(())
    }

    /// Saves a file, and waits until a process that serves it has noticed.
    fn save(&self, path: &str, text: &str) {
        let noticed = || {
            let log = self.bed.moondock_log();
            let events = [" live plugin=", " ready plugin=", "reload failed"];
            events
                .map(|event| log.matches(event).count())
                .iter()
                .sum::<usize>()
        };
        let is_served = self.serves.get() && path.ends_with(".lua") && !path.ends_with("_test.lua");
        let before = if is_served { noticed() } else { 0 };
        let target = Path::new(&*self.place.borrow()).join(path);
        let draft = target.with_extension("draft");
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&draft, text).unwrap();
        fs::rename(draft, target).unwrap();
        if is_served {
            wait_for("the saved file in the log", PATIENCE, || noticed() > before);
        }
    }

    /// Writes the engine's policies to its configuration.
    fn configure(&self, text: &str) {
        let config: Value = serde_json::from_str(text).unwrap();
        if let Some(policies) = config["authorization-plugins"].as_array() {
            let names: Vec<_> = policies.iter().map(|name| name.as_str().unwrap()).collect();
            self.bed.engine_configure(&names);
        }
    }

    fn run(&self, shown: &Shown) -> Result<(), String> {
        let command = shown.command.as_str();
        if command.starts_with("cargo install ") {
            copy_moondock(&self.bed.dir().join("home/.cargo/bin"));
            return Ok(());
        }
        if command.contains("moondock serve ") {
            return self.serve(shown);
        }
        let script = r#"cd "$0" || exit; eval "$1"; code=$?; pwd > "$BED/place"; exit $code"#;
        let place = self.place.borrow().clone();
        let words = [
            "timeout",
            COMMAND_SECONDS,
            "sh",
            "-c",
            script,
            place.as_str(),
            command,
        ];
        let mut shell = self.bed.namespaces().command(&words);
        let ended = Output::of(shell.envs(self.variables()).stdin(Stdio::null()));
        let now = fs::read_to_string(self.bed.dir().join("place")).unwrap();
        self.place.replace(now.trim_end().to_owned());
        shown.compare(&ended.stdout, &ended.stderr)
    }

    /// Serves as in another terminal, in which an earlier process is ended first.
    fn serve(&self, shown: &Shown) -> Result<(), String> {
        if self.serves.replace(true) {
            self.bed.moondock_term();
        }
        let variables = self
            .variables()
            .map(|(name, value)| format!("{name}={value}"));
        let place = self.place.borrow().clone();
        let script = format!("cd '{place}' && exec {}", shown.command);
        let words = [
            vec!["env".to_owned()],
            variables.to_vec(),
            ["sh", "-c", script.as_str()].map(str::to_owned).to_vec(),
        ];
        let earlier = fs::read(self.bed.dir().join("moondock.log")).unwrap_or_default();
        let begun = earlier.len();
        let daemon = Daemon::start(self.bed.namespaces(), "moondock", &words.concat());
        self.bed.moondock.put(daemon);
        let log = || self.bed.moondock_log()[begun..].to_owned();
        let is_as_shown = || match shown.output.is_empty() {
            true => log().contains(" INFO ready "),
            false => matches(&log(), &shown.output),
        };
        match holds_within(PATIENCE, is_as_shown) {
            true => Ok(()),
            false => Err(format!("`{}` prints\n{}", shown.command, log())),
        }
    }

    fn variables(&self) -> [(&'static str, String); 5] {
        let dir = self.bed.dir();
        [
            ("PATH", format!("/usr/local/bin:{PATH}")),
            ("HOME", dir.join("home").display().to_string()),
            ("BED", dir.display().to_string()),
            (
                "DOCKER_HOST",
                format!("unix://{}", self.bed.socket().display()),
            ),
            ("DOCKER_BUILDKIT", "0".to_owned()),
        ]
    }
}

fn copy_moondock(to: &Path) {
    fs::create_dir_all(to).unwrap();
    let copy: PathBuf = to.join("moondock");
    fs::copy(env!("CARGO_BIN_EXE_moondock"), copy).unwrap();
}
