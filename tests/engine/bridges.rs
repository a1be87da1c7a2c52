//! Networks beside what others do on the host, and the options of Docker's own bridge.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::wait::wait_for;
use crate::networks::{fetch, hello};

const SOON: Duration = Duration::from_secs(5);
/// Answers every packet to port 5000 with its name, until one says `end`.
const ANSWER_PACKETS: &str = r#"alarm 60; $s = IO::Socket::INET->new(LocalPort => 5000, Proto => "udp");
    while ($s->recv($packet, 99), $packet ne "end\n") { $s->send("from $ARGV[0]\n") }"#;
/// Sends a packet from port 6000, always the same, and prints the answer.
const ASK_FROM_ONE_PORT: &str = r#"alarm 1; $s = IO::Socket::INET->new(LocalPort => 6000, Proto => "udp",
    PeerAddr => "198.51.100.1", PeerPort => 5001); $s->send("hi"); $s->recv($answer, 99); print $answer"#;

const BRIDGE: &str = "com.docker.network.bridge.";

impl Bed {
    fn sysctl(&self, setting: &str) {
        self.exec_in_ns(&["sysctl", "-qw", setting]).ok();
    }

    /// Whether a server answers a container at an address of the host.
    fn answers_container(&self, container: &str, address: &str, port: u16) -> bool {
        hello(&self.in_sandbox(container, &["bash", "-c", &fetch(address, port)]))
    }

    /// What the client outside that always sends from one port is answered.
    fn asked_from_one_port(&self) -> String {
        self.exec_outside(&["perl", "-MIO::Socket::INET", "-e", ASK_FROM_ONE_PORT])
            .stdout
    }

    /// Publishes the UDP port of a new container, and calls `f` while it answers.
    fn with_udp_server(&self, name: &str, f: impl FnOnce()) {
        self.run_sleeper(name, &["--network", "net", "-p", "5001:5000/udp"]);
        let pid = self.inspect(name, "{{.State.Pid}}");
        let serve = [
            "nsenter",
            "-t",
            &pid,
            "-n",
            "--",
            "perl",
            "-MIO::Socket::INET",
            "-e",
            ANSWER_PACKETS,
            name,
        ];
        thread::scope(|scope| {
            scope.spawn(|| self.exec_in_ns(&serve));
            f();
            let end = format!("echo end >/dev/udp/{}/5000", self.address(name, "net"));
            self.exec_in_ns(&["bash", "-c", &end]).ok();
        });
        self.docker(&["rm", "-f", name]).ok();
    }
}

#[test]
fn a_container_reaches_its_own_published_port_whatever_others_set() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &[]).ok();
    bed.run_server("web", &["--network", "net", "-p", "8080:80"]);
    bed.run_sleeper("client", &["--network", "net"]);
    for value in ["1", "0"] {
        for family in ["iptables", "ip6tables"] {
            bed.sysctl(&format!("net.bridge.bridge-nf-call-{family}={value}"));
        }
        for container in ["web", "client"] {
            wait_for("answered", SOON, || {
                bed.answers_container(container, "198.51.100.1", 8080)
            });
        }
        assert!(
            bed.answers_host("127.0.0.1", 8080),
            "bridge-nf-call-iptables={value}"
        );
    }
}

#[test]
fn a_udp_client_that_keeps_sending_is_answered_by_each_container() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &[]).ok();
    assert_eq!(bed.asked_from_one_port(), "");
    for name in ["first", "second"] {
        bed.with_udp_server(name, || {
            let answer = format!("from {name}\n");
            wait_for("answered over udp", SOON, || {
                bed.asked_from_one_port() == answer
            });
        });
        assert_eq!(bed.asked_from_one_port(), "");
    }
}

#[test]
fn a_subnet_that_the_host_has_is_refused() {
    needs!(engine);
    let bed = Bed::new();
    bed.moondock_start(&bed.install_ops(), &[]);
    // Without the policy, which has a say in subnets, too.
    bed.engine_start(&[]);
    let before = bed.kernel_state();
    let docker0 = bed.inspect("bridge", "{{(index .IPAM.Config 0).Subnet}}");
    for (subnet, interface) in [
        ("198.51.100.0/24", "interface"),
        (docker0.as_str(), "docker0"),
    ] {
        bed.network_create("net", &["--subnet", subnet])
            .fails_with(&[subnet, "is in use on the host", interface]);
    }
    assert_eq!(bed.kernel_state(), before);
    assert!(bed.networks().is_empty());
}

#[test]
fn options_of_dockers_bridge_are_carried_out() {
    needs!(engine);
    let bed = Bed::with_ops();
    let icc = format!("{BRIDGE}enable_icc=false");
    let prefix = "com.docker.network.container_iface_prefix=web";
    bed.network_create("apart", &["-o", &icc, "-o", prefix])
        .ok();
    bed.run_sleeper("one", &["--network", "apart"]);
    bed.run_sleeper("two", &["--network", "apart"]);
    assert_eq!(bed.sh("one", "ls /sys/class/net").ok(), "lo\nweb0");
    assert!(!bed.reaches("one", &bed.address("two", "apart")));
    assert!(bed.reaches("one", "198.51.100.2"));

    let host = format!("{BRIDGE}host_binding_ipv4=127.0.0.1");
    bed.network_create("local", &["-o", &host]).ok();
    bed.run_server("web", &["--network", "local", "-p", "8080:80"]);
    wait_for("answered", SOON, || bed.answers_host("127.0.0.1", 8080));
    assert!(!bed.answers_host("198.51.100.1", 8080));

    let routed = format!("{BRIDGE}gateway_mode_ipv4=routed");
    bed.network_create("routed", &["-o", &routed])
        .fails_with(&["gateway_mode_ipv4", "nat"]);
}

#[test]
fn options_of_endpoints_that_nobody_carries_out_are_refused() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &[]).ok();
    bed.run_sleeper("one", &["--network", "none"]);
    bed.docker(&["network", "disconnect", "none", "one"]).ok();
    let ifname = "com.docker.network.endpoint.ifname=web0";
    bed.docker(&["network", "connect", "--driver-opt", ifname, "net", "one"])
        .fails_with(&[ifname.split('=').next().unwrap(), "not available"]);
    bed.docker(&["network", "connect", "net", "one"]).ok();
}

/// As with Docker's own bridge: the engine asks for no port there.
#[test]
fn an_internal_network_starts_containers_with_ports() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("inner", &["--internal"]).ok();
    bed.run_server("web", &["--network", "inner", "-p", "8080:80"]);
    assert!(!bed.answers_host("198.51.100.1", 8080));
}

#[test]
fn what_a_lost_state_left_is_reported_and_removed_on_request() {
    needs!(engine);
    let bed = Bed::with_ops();
    let scripts = bed.dir().join("scripts");
    let nothing = bed.kernel_state();
    bed.network_create("net", &["--subnet", "10.88.0.0/24"])
        .ok();
    bed.moondock_term();
    bed.engine_stop();
    fs::remove_dir_all(bed.dir().join("state")).unwrap();
    fs::remove_dir_all(bed.dir().join("data/network")).unwrap();
    bed.moondock_start(&scripts, &[]);
    bed.engine_start(&["ops"]);
    bed.network_create("other", &["--subnet", "10.88.0.0/24"])
        .fails_with(&["10.88.0.0/24 is in use on the host"]);
    let log = bed.moondock_log();
    assert!(
        log.contains("the kernel has a network that is not in the state"),
        "{log}"
    );

    let manifest = bed.ops_script("plugin.toml");
    bed.write_script(
        "scripts/ops/plugin.toml",
        &manifest.replace("remove_leftovers = false", "remove_leftovers = true"),
    );
    bed.moondock_term();
    bed.moondock_start(&scripts, &[]);
    bed.network_create("other", &["--subnet", "10.88.0.0/24"])
        .ok();
    assert!(
        bed.run_once("other", &[])
            .ok()
            .contains("inet 10.88.0.2/24")
    );
    bed.docker(&["network", "rm", "other"]).ok();
    // The engine orders its chains anew at each start.
    let after = bed.kernel_state();
    assert_eq!(after.lines().next(), nothing.lines().next());
    assert!(!after.contains("moondock"), "{after}");
}
