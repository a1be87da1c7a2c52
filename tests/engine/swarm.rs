//! Services of a swarm on the volumes of a managed plugin.

use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::wait::wait_for;
use crate::managed::{NAME, ops};

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
}

#[test]
fn a_service_uses_a_volume_of_a_managed_plugin() {
    needs!(engine);
    let bed = Bed::new();
    bed.without_resolver();
    bed.engine_start(&[]);
    let plugin = ops(&bed);
    plugin.enable();
    bed.swarm_init();
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
