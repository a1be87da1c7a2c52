//! A managed plugin that goes through a registry, and its next version, with everything in use.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::daemon::Daemon;
use crate::harness::managed_plugin::Installed;
use crate::harness::wait::wait_for;
use crate::managed::{GRANTS, NAME, volume_root};

const SOON: Duration = Duration::from_secs(30);
const REGISTRY: &str = "127.0.0.1:5000";
const FIRST: &str = "127.0.0.1:5000/acme/ops:1.0";
const SECOND: &str = "127.0.0.1:5000/acme/ops:2.0";
/// What the second version does that the first does not: it tells a setting, which is new in it.
const MARK: (&str, &str) = (
    "create = function(v)\n",
    "create = function(v)\n    require(\"@moondock/log\").info(\"greeting: \" .. plugin.settings().greeting)\n",
);

impl Bed {
    /// Debian's registry on the bed's loopback.
    fn start_registry(&self) -> Daemon {
        let storage = self.dir().join("registry");
        let config = format!(
            "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: {REGISTRY} }}\n",
            storage.display()
        );
        self.write_script("registry.yml", &config);
        let file = self.dir().join("registry.yml").display().to_string();
        let argv = ["/usr/bin/docker-registry", "serve", &file].map(str::to_owned);
        let daemon = Daemon::start(self.namespaces(), "registry", &argv);
        let answers = || {
            self.exec_in_ns(&["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/5000"])
                .code
                == Some(0)
        };
        wait_for(&format!("a registry: {}", daemon.log()), SOON, answers);
        daemon
    }

    /// Bundles the scripts, pushes them under `name`, and takes them from the engine again.
    fn publish(&self, scripts: &Path, name: &str) {
        let plugin = self.managed(scripts, name).create();
        plugin.run("push", &[]).ok();
        plugin.run("rm", &[]).ok();
    }

    /// A command that asks the user, who says `answer`.
    fn docker_asked(&self, args: &[&str], answer: &str) -> Output {
        let mut command = self.docker_command(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{answer}").unwrap();
        let done = child.wait_with_output().unwrap();
        Output::from_done(&format!("{command:?}"), &done)
    }
}

/// What the engine asks for, as `docker plugin install` prints it.
const PRIVILEGES: &[&str] = &[
    " - network: [host]",
    " - mount: [/srv/data]",
    " - mount: [/proc/sys/net]",
    " - mount: [/dev]",
    " - allow-all-devices: [true]",
    " - capabilities: [CAP_NET_ADMIN CAP_SYS_ADMIN]",
];

fn asks_for_what_is_granted(seen: &str) {
    let mut listed: Vec<&str> = seen
        .lines()
        .filter(|line| line.starts_with(" - "))
        .collect();
    let mut wanted = PRIVILEGES.to_vec();
    listed.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(listed, wanted, "{seen}");
}

fn upgrade(bed: &Bed, plugin: &Installed) {
    let refused = [
        "plugin",
        "upgrade",
        "--grant-all-permissions",
        "--skip-remote-check",
        NAME,
        SECOND,
    ];
    bed.docker(&refused)
        .fails_with(&["the plugin must be disabled before upgrading"]);
    plugin.run("disable", &[]).fails_with(&["is in use"]);
    plugin.run("disable", &["-f"]).ok();
    bed.docker(&refused).ok();
    plugin.enable();
}

#[test]
fn a_plugin_keeps_its_data_through_push_install_and_upgrade() {
    needs!(engine);
    let bed = Bed::start();
    let registry = bed.start_registry();
    let scripts = bed.ops_with_grants(GRANTS);
    bed.publish(&scripts, FIRST);
    let volume = bed.ops_script("volume.lua");
    assert!(volume.contains(MARK.0), "the script is another");
    bed.write_script("scripts/ops/volume.lua", &volume.replace(MARK.0, MARK.1));
    let manifest = std::fs::read_to_string(scripts.join("plugin.toml")).unwrap();
    bed.write_script(
        "scripts/ops/plugin.toml",
        &(manifest + "\ngreeting = \"as shipped\"\n"),
    );
    bed.publish(&scripts, SECOND);

    let install = ["plugin", "install", "--alias", NAME, FIRST];
    asks_for_what_is_granted(&bed.docker_asked(&install, "n").text());
    let listed = bed.docker(&["plugin", "ls", "-q"]).ok();
    assert!(
        listed.is_empty(),
        "a refused plugin was installed: {listed}"
    );
    let settings = [&volume_root(&bed)[..], "MOONDOCK_LOG_LEVEL=debug"];
    let install = [
        &[
            "plugin",
            "install",
            "--grant-all-permissions",
            "--alias",
            NAME,
            FIRST,
        ],
        &settings[..],
    ];
    bed.docker(&install.concat()).ok();
    let plugin = bed.installed(NAME);
    assert_eq!(plugin.inspect()["Enabled"], true);

    bed.managed_resources();
    bed.run_writer(&[]);
    bed.writer_writes_on();
    let (id, before) = (plugin.id(), plugin.inspect()["Settings"]["Env"].clone());
    upgrade(&bed, &plugin);
    assert_eq!(
        (plugin.id(), &plugin.inspect()["Settings"]["Env"]),
        (id, &before)
    );
    assert!(before.to_string().contains(settings[0]), "{before}");
    bed.writer_writes_on();
    bed.copy_to_and_from_the_writer("upgraded");
    let taken = [
        "run",
        "--rm",
        "--network",
        "net",
        "--ip",
        "10.77.0.20",
        "busybox",
        "true",
    ];
    bed.docker(&taken).fails_with(&["already in use"]);
    bed.managed_volume("new", &[]);
    plugin.wait_for_log("greeting: as shipped");
    plugin.run("disable", &["-f"]).ok();
    plugin.run("set", &["GREETING=as set"]).ok();
    plugin.enable();
    bed.managed_volume("newer", &[]);
    plugin.wait_for_log("greeting: as set");
    bed.docker(&["volume", "rm", "new", "newer"]).ok();
    bed.writer_writes_on();
    bed.docker(&["restart", "writer"]).ok();
    bed.writer_writes_on();
    bed.remove_managed_resources(&plugin);
    plugin.run("disable", &[]).ok();
    plugin.run("rm", &[]).ok();
    registry.end_with("TERM");
}
