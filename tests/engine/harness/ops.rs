//! Beds whose engine has the shipped plugin `ops`, and what such a bed can be asked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::bed::Bed;
use crate::harness::cli::Output;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/ops");

impl Bed {
    /// An engine whose plugin `ops` answers authorization, volumes, networks and addresses.
    pub fn with_ops() -> Bed {
        let bed = Bed::new();
        let scripts = bed.install_ops();
        bed.moondock_start(&scripts, &[]);
        bed.engine_start(&["ops"]);
        bed
    }

    /// Copies the shipped scripts into the bed; the directory to serve.
    pub fn install_ops(&self) -> PathBuf {
        let ops = self.dir().join("scripts/ops");
        copy_tree(Path::new(SHIPPED), &ops);
        let text = fs::read_to_string(ops.join("plugin.toml")).unwrap_or_default();
        let mut table: toml::Table = text.parse().unwrap();
        let settings = table
            .entry("settings")
            .or_insert_with(|| toml::Table::new().into());
        let settings = settings.as_table_mut().expect("`settings` is a table");
        settings.insert("roots".into(), vec!["/srv/data"].into());
        settings.insert("volume_root".into(), self.volume_root().into());
        self.write_script("scripts/ops/plugin.toml", &table.to_string());
        self.dir().join("scripts")
    }

    /// Where the volumes are.
    pub fn volume_root(&self) -> String {
        self.dir().join("volumes").display().to_string()
    }

    /// One shipped script's text.
    pub fn ops_script(&self, name: &str) -> String {
        fs::read_to_string(self.dir().join("scripts/ops").join(name)).unwrap()
    }

    /// `docker network create` with both of the plugin's drivers.
    pub fn network_create(&self, name: &str, args: &[&str]) -> Output {
        let head = ["network", "create", "-d", "ops", "--ipam-driver", "ops"];
        self.docker(&[&head, args, &[name]].concat())
    }

    /// `docker volume create` with the plugin's driver.
    pub fn volume_create(&self, name: &str, args: &[&str]) -> Output {
        self.docker(&[&["volume", "create", "-d", "ops"], args, &[name]].concat())
    }

    /// A Go template on an object, as `docker inspect -f` prints it.
    #[track_caller]
    pub fn inspect(&self, object: &str, template: &str) -> String {
        self.docker(&["inspect", "-f", template, object]).ok()
    }

    /// An object as JSON, as `docker inspect` prints it.
    #[track_caller]
    pub fn inspect_json(&self, object: &str) -> Value {
        let mut all: Value = serde_json::from_str(&self.docker(&["inspect", object]).ok()).unwrap();
        all[0].take()
    }

    /// A container's address on a network.
    #[track_caller]
    pub fn address(&self, container: &str, network: &str) -> String {
        self.endpoint_field(container, network, "IPAddress")
    }

    /// A field of a container's endpoint on a network.
    #[track_caller]
    pub fn endpoint_field(&self, container: &str, network: &str, field: &str) -> String {
        let endpoint = &self.inspect_json(container)["NetworkSettings"]["Networks"][network];
        let value = endpoint[field]
            .as_str()
            .unwrap_or_else(|| panic!("no {field} in {endpoint}"));
        assert!(!value.is_empty(), "{field} is empty in {endpoint}");
        value.to_owned()
    }

    /// Runs a shell command in a running container.
    pub fn sh(&self, container: &str, command: &str) -> Output {
        self.docker(&["exec", container, "sh", "-c", command])
    }

    /// Whether a running container gets an answer from `address`.
    pub fn reaches(&self, container: &str, address: &str) -> bool {
        let ping = if address.contains(':') {
            "ping6"
        } else {
            "ping"
        };
        self.docker(&["exec", container, ping, "-c2", "-W2", address])
            .code
            == Some(0)
    }

    /// What the plugin's drivers keep in the kernel: links, firewall, volume mounts, loop devices.
    pub fn kernel_state(&self) -> String {
        let links = self.exec_in_ns(&["ip", "-o", "link"]).ok();
        let names = links.lines().filter_map(|line| line.split(": ").nth(1));
        let mut names: Vec<&str> = names.filter_map(|name| name.split('@').next()).collect();
        names.sort_unstable();
        let rules = self.exec_in_ns(&["nft", "list", "ruleset"]).ok();
        let rules: String = rules
            .lines()
            .filter(|line| !line.contains("counter packets"))
            .collect();
        format!(
            "links {names:?}\nmounts {:?}\nloops {:?}\nrules {rules}",
            self.volume_mounts(),
            self.loops()
        )
    }

    /// The mounts below the volume root.
    pub fn volume_mounts(&self) -> Vec<String> {
        let root = self.volume_root();
        let mounts = self.exec_in_ns(&["cat", "/proc/self/mounts"]).ok();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        points
            .filter(|point| point.starts_with(&root))
            .map(str::to_owned)
            .collect()
    }

    /// The files of this bed that a loop device holds. Their paths are those of the process that mounted them, so a part of the
    /// path is the bed's name.
    pub fn loops(&self) -> Vec<String> {
        let files = self
            .exec_in_ns(&["losetup", "--list", "--noheadings", "-O", "BACK-FILE"])
            .ok();
        let part = format!("/{}/", self.name());
        files
            .lines()
            .filter(|file| file.contains(&part))
            .map(str::to_owned)
            .collect()
    }

    /// The names of all volumes, sorted.
    #[track_caller]
    pub fn volumes(&self) -> Vec<String> {
        self.names(&["volume", "ls", "-q"])
    }

    /// The names of all networks that are not the engine's own, sorted.
    #[track_caller]
    pub fn networks(&self) -> Vec<String> {
        self.names(&[
            "network",
            "ls",
            "--filter",
            "type=custom",
            "--format",
            "{{.Name}}",
        ])
    }

    /// The names of all containers, sorted.
    #[track_caller]
    pub fn containers(&self) -> Vec<String> {
        self.names(&["ps", "-a", "--format", "{{.Names}}"])
    }

    #[track_caller]
    fn names(&self, args: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = self.docker(args).ok().lines().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let (source, target) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        if source.is_dir() {
            copy_tree(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}
