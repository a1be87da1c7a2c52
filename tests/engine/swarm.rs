//! Networks, addresses and volumes of a plugin on a swarm of one engine.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::wait::wait_for;
use crate::managed::{GRANTS, NAME, ops, volume_root};

const TIMEOUT: Duration = Duration::from_secs(90);

impl Bed {
    /// Makes the engine a swarm of its own.
    pub fn swarm_init(&self) {
        self.docker(&["swarm", "init", "--advertise-addr", "198.51.100.1"])
            .ok();
    }

    /// The running containers of a service.
    fn tasks(&self, service: &str) -> Vec<String> {
        let filter = format!("label=com.docker.swarm.service.name={service}");
        let ids = self.docker(&["ps", "-q", "--filter", &filter]).ok();
        ids.lines().map(str::to_owned).collect()
    }

    /// An engine that manages a swarm, of which it is the only node.
    fn managing() -> Bed {
        let bed = Bed::new();
        bed.without_resolver();
        bed.engine_start(&[]);
        bed.swarm_init();
        bed
    }

    /// The shipped `ops`, whose networks are those of all nodes: what the kit's `scope` does.
    fn global_ops(&self) -> PathBuf {
        let scripts = self.ops_with_grants(GRANTS);
        let shipped = self.ops_script("network.lua");
        let global = shipped.replacen("  has_pool =", "  scope = \"global\",\n  has_pool =", 1);
        assert_ne!(shipped, global);
        fs::write(scripts.join("network.lua"), global).unwrap();
        scripts
    }

    /// `docker network create`, with addresses of the driver `ipam`.
    fn network_of(&self, driver: &str, ipam: &str) -> Output {
        let head = ["network", "create", "-d", driver, "--ipam-driver", ipam];
        self.docker(&[&head[..], &["--subnet", "10.77.0.0/24", "net"]].concat())
    }

    /// `docker service create` with two tasks that print their addresses.
    fn service_on(&self, network: &str, args: &[&str]) -> Output {
        let head = ["service", "create", "--detach", "--no-resolve-image"];
        let own = ["--name", "web", "--network", network, "--replicas", "2"];
        let prints = "ip -4 -o addr show eth0 | grep -o '10.77.0.[0-9]*/24'; echo end; sleep 600";
        let task = ["--endpoint-mode", "dnsrr", "busybox", "sh", "-c", prints];
        self.docker(&[&head[..], &own, args, &task].concat())
    }
}

#[test]
fn a_service_uses_a_volume_of_a_managed_plugin() {
    needs!(engine);
    let bed = Bed::managing();
    let plugin = ops(&bed);
    plugin.enable();
    let head = ["service", "create", "--detach", "--no-resolve-image"];
    let own = ["--name", "web", "--replicas", "2", "--mount"];
    let mount = format!("type=volume,source=data,target=/data,volume-driver={NAME}");
    let command = "hostname >>/data/names; sleep 600";
    let task = [mount.as_str(), "busybox", "sh", "-c", command];
    bed.docker(&[&head[..], &own, &task].concat()).ok();
    wait_for("two tasks", TIMEOUT, || bed.tasks("web").len() == 2);

    let first = bed.tasks("web");
    let names = |task: &str| bed.sh(task, "wc -l </data/names").stdout;
    wait_for("the names of both", TIMEOUT, || names(&first[0]) == "2\n");
    bed.docker(&["kill", &first[0]]).ok();
    wait_for("another task", TIMEOUT, || {
        let now = bed.tasks("web");
        now.len() == 2 && !now.contains(&first[0])
    });
    wait_for("its name", TIMEOUT, || names(&first[1]) == "3\n");

    bed.docker(&["service", "rm", "web"]).ok();
    wait_for("the end of the tasks", TIMEOUT, || {
        bed.tasks("web").is_empty()
    });
    wait_for("the end of the volume", TIMEOUT, || {
        bed.docker(&["volume", "rm", "data"]).code == Some(0)
    });
    let log = plugin.log();
    assert!(!log.contains(" WARN ") && !log.contains(" ERROR "), "{log}");
    plugin.run("disable", &[]).ok();
}

#[test]
fn tasks_of_a_service_have_the_networks_and_volumes_of_a_managed_plugin() {
    needs!(engine);
    let bed = Bed::managing();
    let plugin = bed.managed(&bed.global_ops(), NAME).create();
    plugin.run("set", &[&volume_root(&bed)]).ok();
    plugin.enable();
    bed.network_of(NAME, NAME).ok();
    let mount = format!("type=volume,src=data,dst=/data,volume-driver={NAME}");
    bed.service_on("net", &["--mount", &mount]).ok();
    let mut printed = bed.printed("web", 2);
    printed.sort();
    printed.dedup();
    assert_eq!(printed.len(), 2, "two tasks share an address: {printed:?}");
    bed.docker(&["service", "rm", "web"]).ok();
    wait_for("the end of the tasks", TIMEOUT, || {
        bed.docker(&["ps", "-aq"]).ok().is_empty()
    });
    bed.docker(&["network", "rm", "net"]).ok();
    bed.docker(&["volume", "rm", "data"]).ok();
}

/// The engine looks for the drivers of a swarm among the managed plugins only.
#[test]
fn a_swarm_refuses_the_networks_of_a_plugin_that_is_not_managed() {
    needs!(engine);
    let bed = Bed::managing();
    bed.moondock_start(bed.global_ops().parent().unwrap(), &[]);
    bed.network_of("ops", "ops")
        .fails_with(&["legacy plugin ops of type NetworkDriver is not supported in swarm mode"]);
}

#[test]
fn a_network_of_one_node_is_not_for_services() {
    needs!(engine);
    let bed = Bed::managing();
    ops(&bed).enable();
    bed.network_of(NAME, NAME).ok();
    bed.service_on("net", &[]).fails_with(&["network", "net"]);
    bed.docker(&["network", "rm", "net"]).ok();
}

/// Elsewhere `:latest` may be left out.
#[test]
fn the_networks_of_a_managed_plugin_need_its_name_with_the_tag() {
    needs!(engine);
    let bed = Bed::managing();
    let plugin = bed
        .managed(&bed.ops_with_grants(GRANTS), "acme/ops:latest")
        .create();
    plugin.run("set", &[&volume_root(&bed)]).ok();
    plugin.enable();
    bed.network_of("acme/ops", "acme/ops:latest")
        .fails_with(&["acme/ops"]);
    bed.network_of("acme/ops:latest", "acme/ops")
        .fails_with(&["invalid ipam driver", "acme/ops"]);
    bed.network_of("acme/ops:latest", "acme/ops:latest").ok();
    bed.docker(&["network", "rm", "net"]).ok();
}
