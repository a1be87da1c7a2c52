//! Networks: containers, the host, and the world outside.

use std::thread;
use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::cli::Output;
use crate::harness::wait::wait_for;

const SERVE: &str = "mkdir /www; echo hello >/www/index.html; exec httpd -f -p 80 -h /www";
const ANSWER_ONE_PACKET: &str = r#"alarm 20; $s = IO::Socket::INET->new(LocalPort => 5000, Proto => "udp");
    $s->recv($packet, 99); $s->send("got $packet")"#;
const SOON: Duration = Duration::from_secs(5);

/// A GET by bash itself, as a static busybox cannot look up addresses outside a container.
pub fn fetch(address: &str, port: u16) -> String {
    format!(
        "exec 3<>/dev/tcp/{address}/{port} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && timeout 2 cat <&3"
    )
}

pub fn hello(output: &Output) -> bool {
    output.stdout.ends_with("hello\n")
}

impl Bed {
    /// A container that answers on port 80.
    pub fn run_server(&self, name: &str, args: &[&str]) {
        let head = ["run", "-d", "--name", name, "--stop-signal", "KILL"];
        self.docker(&[&head, args, &["busybox", "sh", "-c", SERVE]].concat())
            .ok();
    }

    /// Runs a command in a container's network namespace, with all rights there.
    pub fn in_sandbox(&self, container: &str, argv: &[&str]) -> Output {
        let pid = self.inspect(container, "{{.State.Pid}}");
        self.exec_in_ns(&[&["nsenter", "-t", &pid, "-n", "--"], argv].concat())
    }

    /// Whether that server answers the host at `address`.
    pub fn answers_host(&self, address: &str, port: u16) -> bool {
        hello(&self.exec_in_ns(&["bash", "-c", &fetch(address, port)]))
    }

    fn answers_outside(&self, address: &str, port: u16) -> bool {
        hello(&self.exec_outside(&["bash", "-c", &fetch(address, port)]))
    }
}

#[test]
fn containers_reach_each_other_the_host_and_the_world() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &["--subnet", "10.77.0.0/24"])
        .ok();
    bed.run_sleeper("one", &["--network", "net"]);
    bed.run_sleeper("two", &["--network", "net"]);
    let (one, two) = (bed.address("one", "net"), bed.address("two", "net"));
    assert!(
        one != two && one.starts_with("10.77.0.") && two.starts_with("10.77.0."),
        "{one} {two}"
    );
    assert!(bed.reaches("one", &two), "one does not reach two at {two}");
    assert!(
        bed.reaches("two", "one"),
        "two does not reach one by its name"
    );
    assert!(
        bed.reaches("one", "10.77.0.1"),
        "no answer from the gateway"
    );
    assert!(bed.reaches("one", "198.51.100.2"), "no way out");
    let mac = bed.endpoint_field("one", "net", "MacAddress");
    assert_eq!(bed.sh("one", "cat /sys/class/net/eth0/address").ok(), mac);
    assert_eq!(
        bed.sh("one", "ls /sys/class/net").ok(),
        "eth0\nlo",
        "one interface per network"
    );
}

#[test]
fn a_network_leaves_nothing_behind() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("warm-up", &[]).ok();
    bed.docker(&[
        "run",
        "--rm",
        "--network",
        "warm-up",
        "-p",
        "8080:80",
        "busybox",
        "true",
    ])
    .ok();
    bed.docker(&["network", "rm", "warm-up"]).ok();
    let before = bed.kernel_state();
    bed.network_create("net", &[]).ok();
    bed.run_sleeper("one", &["--network", "net", "-p", "8080:80"]);
    bed.docker(&["network", "rm", "net"])
        .fails_with(&["has active endpoints"]);
    assert_ne!(bed.kernel_state(), before);
    bed.docker(&["rm", "-f", "one"]).ok();
    bed.docker(&["network", "rm", "net"]).ok();
    assert_eq!(bed.kernel_state(), before);
    assert!(bed.networks().is_empty());
}

#[test]
fn a_published_port_answers_from_the_host_and_from_outside() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &[]).ok();
    bed.run_server(
        "web",
        &[
            "--network",
            "net",
            "-p",
            "8080:80",
            "-p",
            "127.0.0.1:8081:80",
        ],
    );
    wait_for("answered on the host's address", SOON, || {
        bed.answers_host("198.51.100.1", 8080)
    });
    assert!(
        bed.answers_host("127.0.0.1", 8080),
        "no answer on localhost"
    );
    assert!(
        bed.answers_host("127.0.0.1", 8081),
        "no answer on localhost where only that is published"
    );
    assert!(
        bed.answers_outside("198.51.100.1", 8080),
        "no answer to the world"
    );
    assert!(
        !bed.answers_outside("198.51.100.1", 8081),
        "a local port answers the world"
    );
    let again = [
        "run",
        "-d",
        "--name",
        "second",
        "--network",
        "net",
        "-p",
        "8080:80",
        "busybox",
        "sleep",
        "9",
    ];
    bed.docker(&again).fails_with(&["8080"]);
    assert!(
        bed.answers_host("127.0.0.1", 8080),
        "the first lost its port to a refused second"
    );
    bed.docker(&["rm", "-f", "web", "second"]).ok();
    assert!(
        !bed.answers_host("127.0.0.1", 8080),
        "a port outlives its container"
    );
    bed.run_server("third", &["--network", "net", "-p", "8080:80"]);
    wait_for("answered by the next container", SOON, || {
        bed.answers_host("127.0.0.1", 8080)
    });
}

#[test]
fn a_published_port_answers_on_every_localhost() {
    needs!(engine);
    let bed = Bed::new();
    let scripts = bed.install_ops();
    bed.moondock_start(&scripts, &[]);
    bed.engine_start(&["ops"]);
    bed.network_create("net", &[]).ok();
    let published = [
        "--network",
        "net",
        "-p",
        "8080:80",
        "-p",
        "127.0.0.1:8081:80",
    ];
    bed.run_server("web", &published);
    let localhosts = ["127.0.0.1", "::1", "localhost"];
    let answers = || localhosts.map(|name| bed.answers_host(name, 8080));
    wait_for("answered on every localhost", SOON, || {
        answers() == [true; 3]
    });
    assert!(!bed.answers_host("::1", 8081), "it is on 127.0.0.1 only");

    bed.moondock_kill9();
    assert_eq!(answers(), [true, false, true], "the kernel keeps the rest");
    bed.moondock_start(&scripts, &[]);
    wait_for("answered after the crash", SOON, || answers() == [true; 3]);

    bed.docker(&["rm", "-f", "web"]).ok();
    assert_eq!(answers(), [false; 3], "a port outlives its container");
    bed.run_server("next", &["--network", "net", "-p", "8080:80"]);
    wait_for("answered by the next", SOON, || answers() == [true; 3]);
}

#[test]
fn a_published_udp_port_answers() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &[]).ok();
    bed.run_sleeper("server", &["--network", "net", "-p", "5001:5000/udp"]);
    let ask = "exec 3<>/dev/udp/198.51.100.1/5001 && echo hi >&3 && timeout 1 head -n1 <&3";
    thread::scope(|scope| {
        scope.spawn(|| {
            bed.in_sandbox(
                "server",
                &["perl", "-MIO::Socket::INET", "-e", ANSWER_ONE_PACKET],
            )
        });
        wait_for("answered over udp", SOON, || {
            bed.exec_outside(&["bash", "-c", ask]).stdout == "got hi\n"
        });
    });
}

#[test]
fn internal_networks_are_isolated() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("inner", &["--internal"]).ok();
    bed.network_create("other", &[]).ok();
    bed.run_sleeper("one", &["--network", "inner"]);
    bed.run_sleeper("two", &["--network", "inner"]);
    bed.run_sleeper("stranger", &["--network", "other"]);
    assert!(
        bed.reaches("one", &bed.address("two", "inner")),
        "one does not reach two"
    );
    assert!(
        !bed.reaches("one", "198.51.100.2"),
        "an internal network reaches the world"
    );
    assert!(
        !bed.reaches("one", &bed.address("stranger", "other")),
        "an internal network reaches another"
    );
    assert!(
        !bed.reaches("stranger", &bed.address("one", "inner")),
        "another network reaches an internal one"
    );
    assert_eq!(bed.sh("one", "ip route | grep default | wc -l").ok(), "0");
    assert_eq!(
        bed.sh("one", "ls /sys/class/net").ok(),
        "eth0\nlo",
        "one interface per network"
    );
    let gateway = bed.inspect("inner", "{{(index .IPAM.Config 0).Gateway}}");
    bed.in_sandbox(
        "one",
        &[
            "ip",
            "route",
            "add",
            "default",
            "via",
            gateway.split('/').next().unwrap(),
        ],
    )
    .ok();
    assert!(
        !bed.reaches("one", "198.51.100.2"),
        "only the missing route keeps an internal network in"
    );
    assert!(
        !bed.reaches("one", &bed.address("stranger", "other")),
        "only the missing route keeps networks apart"
    );
}

#[test]
fn a_requested_address_is_leased_once_and_keeps_its_mac() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &["--subnet", "10.77.1.0/24"])
        .ok();
    let fixed = ["--network", "net", "--ip", "10.77.1.50"];
    bed.run_sleeper("one", &fixed);
    assert_eq!(bed.address("one", "net"), "10.77.1.50");
    assert!(
        bed.sh("one", "ip -4 -o addr show eth0")
            .ok()
            .contains("inet 10.77.1.50/24")
    );
    let mac = bed.endpoint_field("one", "net", "MacAddress");
    let second = [&["run", "--rm"][..], &fixed, &["busybox", "true"]].concat();
    bed.docker(&second).fails_with(&["10.77.1.50"]);
    bed.docker(&["rm", "-f", "one"]).ok();
    bed.run_sleeper("again", &fixed);
    assert_eq!(
        bed.endpoint_field("again", "net", "MacAddress"),
        mac,
        "a new MAC makes neighbours' ARP stale"
    );
    let own = ["--network", "net", "--mac-address", "02:42:aa:bb:cc:dd"];
    bed.run_sleeper("own-mac", &own);
    assert_eq!(
        bed.sh("own-mac", "cat /sys/class/net/eth0/address").ok(),
        "02:42:aa:bb:cc:dd"
    );
    assert!(bed.reaches("own-mac", "10.77.1.50"));
}

#[test]
fn ipv6_works_like_ipv4() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create(
        "net",
        &[
            "--ipv6",
            "--subnet",
            "10.77.2.0/24",
            "--subnet",
            "fd00:77:2::/64",
        ],
    )
    .ok();
    bed.run_server(
        "one",
        &[
            "--network",
            "net",
            "--ip6",
            "fd00:77:2::50",
            "-p",
            "8080:80",
        ],
    );
    bed.run_sleeper("two", &["--network", "net"]);
    assert_eq!(
        bed.endpoint_field("one", "net", "GlobalIPv6Address"),
        "fd00:77:2::50"
    );
    let two = bed.endpoint_field("two", "net", "GlobalIPv6Address");
    assert!(two.starts_with("fd00:77:2::"), "{two}");
    wait_for("answered over IPv6", SOON, || {
        bed.reaches("one", &two) && bed.reaches("two", "fd00:77:2::50")
    });
    assert!(
        bed.reaches("two", &bed.address("one", "net")),
        "IPv4 beside IPv6"
    );
    assert!(bed.reaches("one", "fd00:198::2"), "no way out over IPv6");
    wait_for("published over IPv6", SOON, || {
        bed.answers_outside("fd00:198::1", 8080)
    });
}

#[test]
fn a_running_container_is_connected_and_disconnected() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("first", &[]).ok();
    bed.network_create("second", &["--subnet", "10.77.3.0/24"])
        .ok();
    bed.run_server("one", &["--network", "first", "-p", "8080:80"]);
    bed.run_sleeper("two", &["--network", "second"]);
    let apart = bed.kernel_state();
    for address in ["10.77.3.70", "10.77.3.71"] {
        bed.docker(&["network", "connect", "--ip", address, "second", "one"])
            .ok();
        assert_eq!(bed.sh("one", "ls /sys/class/net | wc -l").ok(), "3");
        assert!(bed.reaches("two", address), "two does not reach {address}");
        bed.docker(&["network", "disconnect", "second", "one"]).ok();
        assert_eq!(bed.sh("one", "ls /sys/class/net").ok(), "eth0\nlo");
        assert!(
            !bed.reaches("two", address),
            "a disconnected container answers at {address}"
        );
        assert_eq!(bed.kernel_state(), apart);
    }
    assert!(
        bed.reaches("one", "198.51.100.2"),
        "the first network was hurt"
    );
    assert!(
        bed.answers_host("127.0.0.1", 8080),
        "the published port was hurt"
    );
}

#[test]
fn networks_work_after_restarts_of_container_and_engine() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &["--subnet", "10.77.4.0/24"])
        .ok();
    bed.run_server(
        "web",
        &["--network", "net", "-p", "8080:80", "--restart", "always"],
    );
    bed.run_sleeper("client", &["--network", "net", "--ip", "10.77.4.9"]);
    bed.docker(&["restart", "client"]).ok();
    assert_eq!(bed.address("client", "net"), "10.77.4.9");
    let before = bed.kernel_state();
    bed.engine_restart();
    assert_eq!(bed.networks(), ["net"]);
    wait_for("answered after the restart", SOON * 2, || {
        bed.answers_host("127.0.0.1", 8080)
    });
    bed.docker(&["start", "client"]).ok();
    assert_eq!(bed.address("client", "net"), "10.77.4.9");
    assert!(bed.reaches("client", &bed.address("web", "net")));
    assert_eq!(bed.kernel_state().lines().nth(1), before.lines().nth(1));
    bed.docker(&["rm", "-f", "web", "client"]).ok();
    bed.docker(&["network", "rm", "net"]).ok();
}
