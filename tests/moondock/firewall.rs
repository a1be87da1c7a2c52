//! `@moondock/firewall`: packets tell what holds.

use crate::harness::lua::Script;
use crate::harness::netns::Namespace;
use crate::harness::world::{World, answer, ask, ask_udp, serve};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::time::Duration;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn rules(n: u8, more: &str) -> String {
    format!(
        r#"{{ bridge = "br{n}", subnets = {{ "10.{n}.0.0/24", "fd00:{n}::/64" }}, masquerade = true, {more} }}"#
    )
}

const PORTS: &str = r#"ports = {
    { protocol = "tcp", host_port = 8080, ip = "10.1.0.2", port = 80 },
    { protocol = "udp", host_port = 8080, ip = "10.1.0.2", port = 80 },
    { protocol = "tcp", host_port = 8080, ip = "fd00:1::2", port = 80 },
    { protocol = "tcp", host_ip = "127.0.0.1", host_port = 8081, ip = "10.1.0.2", port = 80 },
    { protocol = "tcp", host_ip = "192.0.2.1", host_port = 8082, ip = "10.1.0.2", port = 80 },
}"#;

/// What must hold of a network with [`PORTS`], whatever else the host filters.
fn published_ports_answer(world: &World, server: &Namespace, neighbour: &Namespace) {
    let (host, outside) = (&world.host, &world.outside);
    assert_eq!(
        ask(outside, "192.0.2.1:8080"),
        answer("192.0.2.9"),
        "from outside"
    );
    assert_eq!(
        ask(outside, "[fd99::1]:8080"),
        answer("fd99::9"),
        "from outside by IPv6"
    );
    assert_eq!(
        ask_udp(outside, "192.0.2.1:8080"),
        answer("192.0.2.9"),
        "from outside by UDP"
    );
    assert_eq!(
        ask(outside, "192.0.2.1:8082"),
        answer("192.0.2.9"),
        "on the one address"
    );
    assert_eq!(
        ask(outside, "192.0.2.1:8081"),
        None,
        "loopback is not for those outside"
    );
    assert_eq!(
        ask(host, "127.0.0.1:8080"),
        answer("10.1.0.1"),
        "from the host by 127.0.0.1"
    );
    assert_eq!(
        ask(host, "127.0.0.1:8081"),
        answer("10.1.0.1"),
        "published on 127.0.0.1 only"
    );
    assert_eq!(
        ask_udp(host, "127.0.0.1:8080"),
        answer("10.1.0.1"),
        "from the host by UDP"
    );
    assert_eq!(
        ask(host, "127.0.0.1:8082"),
        None,
        "published on another address only"
    );
    assert_eq!(
        ask(host, "192.0.2.1:8080"),
        answer("10.1.0.1"),
        "from the host by its other address"
    );
    assert!(
        ask(host, "[fd99::1]:8080").is_some(),
        "from the host by IPv6"
    );
    assert_eq!(
        ask(host, "[::1]:8080"),
        None,
        "the kernel translates no ::1, and Moondock does not run"
    );
    assert_eq!(
        ask(neighbour, "192.0.2.1:8080"),
        answer("10.1.0.1"),
        "from another container"
    );
    assert_eq!(
        ask(server, "192.0.2.1:8080"),
        answer("10.1.0.1"),
        "from itself"
    );
    assert_eq!(
        ask(neighbour, "[fd99::1]:8080"),
        answer("fd00:1::1"),
        "from another container by IPv6"
    );
    assert_eq!(
        ask(neighbour, "10.1.0.2:80"),
        answer("10.1.0.3"),
        "containers reach each other"
    );
    assert_eq!(
        ask(neighbour, "[fd00:1::2]:80"),
        answer("fd00:1::3"),
        "containers reach each other by IPv6"
    );
    assert_eq!(
        ask(outside, "10.1.0.2:80"),
        None,
        "the container's own address is not for those outside"
    );
    assert_eq!(ask(outside, "[fd00:1::2]:80"), None, "nor by IPv6");
    assert_eq!(
        ask(server, "192.0.2.9:80"),
        answer("192.0.2.1"),
        "outside sees the host"
    );
    assert_eq!(
        ask(server, "[fd99::9]:80"),
        answer("fd99::1"),
        "outside sees the host by IPv6"
    );
}

#[test]
fn published_ports_answer_from_everywhere() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.outside.enter(serve);
    let (server, neighbour) = (world.container(1, 2), world.container(1, 3));
    let before = world.ruleset();
    let apply = format!(r#"firewall.apply("{ID}", {})"#, rules(1, PORTS));
    world.lua("web.x-y", &apply);
    published_ports_answer(&world, &server, &neighbour);

    let once = world.ruleset();
    world.lua("web.x-y", &apply);
    assert_eq!(world.ruleset(), once, "applying again changes nothing");
    published_ports_answer(&world, &server, &neighbour);

    world.lua(
        "web.x-y",
        &format!(r#"local l = firewall.list() assert(#l == 1 and l[1] == "{ID}")"#),
    );
    world.lua("web.x-y", &format!(r#"assert(firewall.remove("{ID}")) assert(not firewall.remove("{ID}")) assert(#firewall.list() == 0)"#));
    assert_eq!(world.ruleset(), before, "removal leaves nothing");
    assert_eq!(
        world
            .host
            .sh("cat /proc/sys/net/ipv4/conf/br1/route_localnet")
            .trim(),
        "0"
    );
    assert_eq!(ask(&world.outside, "192.0.2.1:8080"), None);
}

/// With `br_netfilter`, frames within a bridge pass the rules for routed packets.
#[test]
fn published_ports_answer_whatever_others_set() {
    needs!(root);
    let settings = [
        "net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
        "net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0",
        "net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
        "net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1",
        "net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.default.rp_filter=2",
        "net.ipv4.conf.all.route_localnet=1",
        "net.netfilter.nf_conntrack_tcp_be_liberal=1",
    ];
    for setting in settings {
        let world = World::new();
        if setting.contains("bridge") && !Path::new("/proc/sys/net/bridge").exists() {
            continue; // the module is not loaded, which is the second of its two values
        }
        world.host.sh(&format!("sysctl -qw {setting}"));
        world.bridge(1);
        world.outside.enter(serve);
        let (server, neighbour) = (world.container(1, 2), world.container(1, 3));
        let apply = format!(r#"firewall.apply("{ID}", {})"#, rules(1, PORTS));
        world.lua("p", &apply);
        eprintln!("with {setting}");
        published_ports_answer(&world, &server, &neighbour);
    }
}

#[test]
fn without_icc_containers_reach_each_other_by_published_ports_only() {
    needs!(root);
    let world = World::new();
    // With br_netfilter, the bridge keeps published ports from its containers, too.
    world
        .host
        .sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0 || true");
    world.bridge(1);
    world.outside.enter(serve);
    let (server, neighbour) = (world.container(1, 2), world.container(1, 3));
    world.lua(
        "p",
        r#"for _, port in { "h1-2", "h1-3" } do net.set_isolated(port, true) end"#,
    );
    let apply = format!(
        r#"firewall.apply("{ID}", {})"#,
        rules(1, &format!("icc = false, {PORTS}"))
    );
    world.lua("p", &apply);
    assert_eq!(ask(&neighbour, "10.1.0.2:80"), None);
    assert_eq!(ask(&neighbour, "[fd00:1::2]:80"), None);
    // Not by way of the gateway either.
    neighbour.sh("ip route add 10.1.0.2 via 10.1.0.1");
    assert_eq!(ask(&neighbour, "10.1.0.2:80"), None);
    assert_eq!(ask(&neighbour, "192.0.2.1:8080"), answer("10.1.0.1"));
    assert_eq!(ask(&server, "192.0.2.9:80"), answer("192.0.2.1"));
    assert_eq!(ask(&world.outside, "192.0.2.1:8080"), answer("192.0.2.9"));
    assert_eq!(ask(&world.host, "10.1.0.2:80"), answer("10.1.0.1"));
}

/// The kernel keeps to what it decided about a flow's first packet, while packets come.
#[test]
fn a_udp_client_that_keeps_sending_is_answered_once_the_port_is_published() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let (one, two) = (world.container(1, 2), world.container(1, 3));
    for (host, outside) in [
        ("192.0.2.1:8080", "0.0.0.0:5000"),
        ("[fd99::1]:8080", "[::]:5000"),
    ] {
        let client = world.outside.enter(|| UdpSocket::bind(outside).unwrap());
        client
            .set_read_timeout(Some(Duration::from_millis(400)))
            .unwrap();
        let asked = |text: &str| {
            // An error is the answer of the host that nobody listens.
            let _ = client.send_to(text.as_bytes(), host);
            let mut buffer = [0; 64];
            client.recv(&mut buffer).ok()
        };
        let ip = |n: u8| {
            if host.starts_with('[') {
                format!("fd00:1::{n}")
            } else {
                format!("10.1.0.{n}")
            }
        };
        let port = |n: u8| {
            let ip = ip(n);
            rules(
                1,
                &format!(
                    r#"ports = {{ {{ protocol = "udp", host_port = 8080, ip = "{ip}", port = 80 }} }}"#
                ),
            )
        };
        assert_eq!(asked("before"), None);
        world.lua("p", &format!(r#"firewall.apply("a", {})"#, port(2)));
        assert!(asked("published").is_some(), "{host}");
        one.sh("ip link set eth0 down");
        assert_eq!(asked("gone"), None, "{host}");
        world.lua("p", &format!(r#"firewall.apply("a", {})"#, port(3)));
        assert!(asked("moved").is_some(), "{host}");
        world.lua("p", &format!(r#"firewall.apply("a", {})"#, rules(1, "")));
        assert_eq!(asked("removed"), None, "{host}");
        one.sh("ip link set eth0 up; ip -6 addr add fd00:1::2/64 dev eth0 nodad; ip route replace default via 10.1.0.1; ip -6 route replace default via fd00:1::1");
        world.lua("p", &format!(r#"firewall.apply("a", {})"#, port(2)));
        assert!(asked("again").is_some(), "{host}");
        world.lua("p", r#"firewall.remove("a")"#);
        assert_eq!(asked("after the end"), None, "{host}");
    }
    drop(two);
}

#[test]
fn flows_of_others_are_kept() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.outside.enter(serve);
    let (server, neighbour) = (world.container(1, 2), world.container(1, 3));
    let publish = |port: u16| {
        let one =
            format!(r#"{{ protocol = "udp", host_port = {port}, ip = "10.1.0.2", port = 80 }}"#);
        let apply = rules(1, &format!("ports = {{ {one} }}"));
        world.lua("p", &format!(r#"firewall.apply("a", {apply})"#));
    };
    publish(9999);
    // The server of the container's flow has the port that is published next.
    let client = neighbour.enter(|| UdpSocket::bind("0.0.0.0:5000").unwrap());
    client
        .set_read_timeout(Some(Duration::from_millis(400)))
        .unwrap();
    client.send_to(b"?", "192.0.2.9:80").unwrap();
    client.recv(&mut [0; 64]).unwrap();
    let flows = || {
        world
            .host
            .sh("grep -c dport=80 /proc/net/nf_conntrack || true")
    };
    let before = flows();
    publish(80);
    if Path::new("/proc/net/nf_conntrack").exists() {
        assert_eq!(flows(), before);
    }
    drop(server);
}

#[test]
fn published_ports_pass_the_filter_of_the_host() {
    needs!(root);
    for docker in ["", "iptables-nft -N DOCKER-USER; iptables-nft -I FORWARD -j DOCKER-USER; iptables-nft -A DOCKER-USER -j RETURN
                        ip6tables-nft -N DOCKER-USER; ip6tables-nft -I FORWARD -j DOCKER-USER"] {
        let world = World::new();
        world.bridge(1);
        world.outside.enter(serve);
        let (server, neighbour) = (world.container(1, 2), world.container(1, 3));
        world.host.sh(&format!("iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP\n{docker}"));
        let before = world.ruleset();
        assert_eq!(ask(&server, "192.0.2.9:80"), None, "the filter drops");
        let apply = format!(r#"firewall.apply("{ID}", {})"#, rules(1, PORTS));
        world.lua("p", &apply);
        published_ports_answer(&world, &server, &neighbour);
        let once = world.ruleset();
        world.lua("p", &apply);
        assert_eq!(world.ruleset(), once, "applying again changes nothing");
        let saved = world.host.sh("iptables-nft-save");
        assert!(saved.contains("--comment \"moondock p "), "iptables understands the rules: {saved}");

        if !docker.is_empty() {
            world.host.sh("iptables-nft -F DOCKER-USER; iptables-nft -A DOCKER-USER -j RETURN");
            assert_eq!(ask(&server, "192.0.2.9:80"), None, "flushed");
            world.lua("p", &apply);
            published_ports_answer(&world, &server, &neighbour);
            world.host.sh("iptables-nft -I DOCKER-USER -s 192.0.2.9 -j DROP");
            world.lua("p", &apply);
            assert_eq!(ask(&world.outside, "192.0.2.1:8080"), None, "what the administrator refuses stays refused");
            world.host.sh("iptables-nft -D DOCKER-USER -s 192.0.2.9 -j DROP");
        }
        world.lua("p", &format!(r#"assert(firewall.remove("{ID}"))"#));
        let counters = without_counts(&world.ruleset());
        assert_eq!(counters, without_counts(&before), "removal leaves nothing");
    }
}

/// A ruleset without the numbers of its counters.
fn without_counts(ruleset: &str) -> String {
    let mut words: Vec<&str> = ruleset.split(' ').collect();
    for i in 1..words.len() {
        if matches!(words[i - 1], "packets" | "bytes") {
            words[i] = "N";
        }
    }
    words.join(" ")
}

#[test]
fn accepted_traffic_does_not_open_the_bridges_of_docker() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.bridge(2);
    world.host.sh("ip link set br2 down; ip link set br2 name br-0123456789ab; ip link set br-0123456789ab up; ip -6 addr add fd00:2::1/64 dev br-0123456789ab nodad");
    let moons = world.container(1, 2);
    let dockers = Namespace::new();
    world.host.sh(&format!("ip link add hd type veth peer name eth0 netns {}; ip link set hd master br-0123456789ab; ip link set hd up", dockers.path()));
    dockers.sh(
        "ip addr add 10.2.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.2.0.1",
    );
    dockers.enter(serve);
    world.host.sh("iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; iptables-nft -I FORWARD -j DOCKER-USER; iptables-nft -A DOCKER-USER -j RETURN");
    world.lua("p", &format!(r#"firewall.apply("a", {})"#, rules(1, "")));
    assert_eq!(ask(&moons, "10.2.0.2:80"), None, "Docker's policy decides");
    assert_eq!(ask(&dockers, "10.1.0.2:80"), None);

    world.lua(
        "p",
        r#"firewall.apply("b", { bridge = "br-0123456789ab", subnets = { "10.2.0.0/24" } })"#,
    );
    assert_eq!(
        ask(&moons, "10.2.0.2:80"),
        answer("10.2.0.1"),
        "unless the bridge is Moondock's"
    );
    assert!(ask(&dockers, "10.1.0.2:80").is_some());
}

#[test]
fn internal_networks_are_isolated() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.bridge(2);
    world.outside.enter(serve);
    world.host.enter(serve);
    let (inner, neighbour, other) = (
        world.container(1, 2),
        world.container(1, 3),
        world.container(2, 2),
    );
    let publish =
        r#"ports = { { protocol = "tcp", host_port = 8080, ip = "10.2.0.2", port = 80 } }"#;
    world.lua(
        "p",
        &format!(r#"firewall.apply("open", {})"#, rules(2, publish)),
    );
    assert!(
        ask(&inner, "192.0.2.9:80").is_some() && ask(&inner, "192.0.2.1:8080").is_some(),
        "not yet"
    );
    world.lua(
        "p",
        &format!(
            r#"firewall.apply("inner", {})"#,
            rules(1, "internal = true")
        ),
    );
    assert_eq!(ask(&inner, "10.1.0.3:80"), answer("10.1.0.2"));
    assert_eq!(ask(&inner, "[fd00:1::3]:80"), answer("fd00:1::2"));
    assert_eq!(
        ask(&inner, "10.1.0.1:80"),
        answer("10.1.0.2"),
        "the bridge's own address"
    );
    assert_eq!(ask(&inner, "[fd00:1::1]:80"), answer("fd00:1::2"));
    assert_eq!(
        ask(&world.host, "10.1.0.2:80"),
        answer("10.1.0.1"),
        "the host itself"
    );
    for target in [
        "192.0.2.9:80",
        "[fd99::9]:80",
        "192.0.2.1:80",
        "[fd99::1]:80",
        "192.0.2.1:8080",
        "10.2.0.2:80",
        "10.2.0.1:80",
    ] {
        assert_eq!(ask(&inner, target), None, "{target}");
    }
    assert_eq!(ask(&world.outside, "10.1.0.2:80"), None);
    assert_eq!(ask(&other, "10.1.0.2:80"), None);
    assert_eq!(
        ask(&other, "192.0.2.9:80"),
        answer("192.0.2.1"),
        "others are unharmed"
    );

    world.lua(
        "p",
        &format!(r#"firewall.apply("inner", {})"#, rules(1, "")),
    );
    assert_eq!(
        ask(&neighbour, "192.0.2.9:80"),
        answer("192.0.2.1"),
        "no longer internal"
    );
    world.lua(
        "p",
        r#"assert(table.concat(firewall.list(), " ") == "inner open")"#,
    );
    world.lua("p", r#"firewall.remove("inner")"#);
    assert_eq!(
        ask(&other, "192.0.2.9:80"),
        answer("192.0.2.1"),
        "others stay"
    );
}

#[test]
fn isolation_keeps_networks_apart() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.bridge(2);
    world.bridge(3);
    let (one, two, three) = (
        world.container(1, 2),
        world.container(2, 2),
        world.container(3, 2),
    );
    let publish = r#"isolate = true, ports = { { protocol = "tcp", host_port = 8080, ip = "10.2.0.2", port = 80 } }"#;
    world.lua(
        "p",
        &format!(
            r#"firewall.apply("one", {}) firewall.apply("two", {})"#,
            rules(1, ""),
            rules(2, publish)
        ),
    );
    world.lua(
        "p",
        &format!(r#"firewall.apply("three", {})"#, rules(3, "")),
    );
    assert!(
        ask(&one, "10.3.0.2:80").is_some() && ask(&three, "10.1.0.2:80").is_some(),
        "open ones"
    );
    assert!(ask(&one, "[fd00:3::2]:80").is_some());
    assert_eq!(ask(&one, "10.2.0.2:80"), None);
    assert_eq!(ask(&two, "10.1.0.2:80"), None);
    assert_eq!(ask(&three, "[fd00:2::2]:80"), None);
    assert!(
        ask(&one, "192.0.2.1:8080").is_some(),
        "published ports answer all the same"
    );

    world.lua(
        "q",
        &format!(r#"firewall.apply("one", {})"#, rules(1, "isolate = true")),
    );
    assert_eq!(
        ask(&three, "10.1.0.2:80"),
        None,
        "another plugin has its say"
    );
    world.lua("q", r#"firewall.remove("one")"#);
    assert!(ask(&three, "10.1.0.2:80").is_some());
}

#[test]
fn ports_published_on_loopback_are_unreachable_from_outside() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let container = world.container(1, 2);
    world.host.enter(|| {
        let listener = TcpListener::bind("127.0.0.1:99").unwrap();
        std::thread::spawn(move || {
            while let Ok((mut s, _)) = listener.accept() {
                let _ = s.write_all(b"secret");
            }
        });
    });
    world.lua("p", &format!(r#"firewall.apply("a", {})"#, rules(1, PORTS)));
    assert_eq!(ask(&world.host, "127.0.0.1:99"), answer("secret"));
    container.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via 10.1.0.1 src 10.1.0.2");
    assert_eq!(ask(&container, "127.0.0.1:99"), None);
}

#[test]
fn ports_in_use_are_refused() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.bridge(2);
    let port = |ip: &str, more: &str| {
        let n = if ip.contains("10.1") { 1 } else { 2 };
        rules(
            n,
            &format!(
                r#"ports = {{ {{ protocol = "tcp", host_port = 8080, ip = "{ip}", port = 80, {more} }} }}"#
            ),
        )
    };
    world.lua(
        "p",
        &format!(r#"firewall.apply("one", {})"#, port("10.1.0.2", "")),
    );
    for plugin in ["p", "q"] {
        let error = world.fail(
            plugin,
            &format!(r#"firewall.apply("two", {})"#, port("10.2.0.2", "")),
        );
        assert!(
            error.contains("firewall.apply: port 8080/tcp is already published by `one`"),
            "{error}"
        );
        let error = world.fail(
            plugin,
            &format!(
                r#"firewall.apply("two", {})"#,
                port("10.2.0.2", r#"host_ip = "192.0.2.1""#)
            ),
        );
        assert!(
            error.contains("port 192.0.2.1:8080/tcp is already published by `one`"),
            "{error}"
        );
    }
    world.lua("p", r#"firewall.remove("one")"#);
    let listener = world
        .host
        .enter(|| TcpListener::bind("127.0.0.1:8080").unwrap());
    let error = world.fail(
        "p",
        &format!(r#"firewall.apply("two", {})"#, port("10.2.0.2", "")),
    );
    assert!(
        error.contains("port 8080/tcp is in use on the host"),
        "{error}"
    );
    let error = world.fail(
        "p",
        &format!(
            r#"firewall.apply("two", {})"#,
            port("10.2.0.2", r#"host_ip = "198.51.100.1""#)
        ),
    );
    assert!(
        error.contains("the host does not have that address"),
        "{error}"
    );
    assert!(!world.ruleset().contains("moondock"), "nothing was changed");
    world.lua(
        "p",
        &format!(
            r#"firewall.apply("two", {})"#,
            port("10.2.0.2", r#"host_ip = "192.0.2.1""#)
        ),
    );
    drop(listener);
    world.lua(
        "p",
        r#"
        for _, protocol in { "tcp", "udp" } do
            local port = firewall.free_port(protocol)
            assert(port > 1023 and port ~= 8080)
        end
        assert(firewall.free_port("tcp", "192.0.2.1") > 1023 and firewall.free_port("tcp", "fd99::1") > 1023)
        assert(not pcall(firewall.free_port, "tcp", "198.51.100.1") and not pcall(firewall.free_port, "icmp"))
    "#,
    );
}

#[test]
fn concurrent_changes_of_the_firewall_lose_no_rule() {
    needs!(root);
    let world = World::new();
    for n in 1..=4 {
        world.bridge(n);
    }
    world.host.sh(
        "iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; iptables-nft -A DOCKER-USER -j RETURN",
    );
    let plugins: Vec<(String, u8)> = (1..=4)
        .flat_map(|n| [("p".to_owned(), n), ("q".to_owned(), n)])
        .collect();
    world.host.block_on(async || {
        let (p, q) = (Script::new("p").await, Script::new("q").await);
        let calls = plugins.iter().map(|(plugin, n)| {
            let script = if plugin == "p" { &p } else { &q };
            async move {
                script
                    .run::<()>(&format!(r#"firewall.apply("net{n}", {})"#, rules(*n, "")))
                    .await
            }
        });
        futures_util::future::join_all(calls).await;
        for script in [&p, &q] {
            script
                .run::<()>(r#"assert(table.concat(firewall.list(), " ") == "net1 net2 net3 net4")"#)
                .await;
        }
        let calls = (1..=4).map(|n| {
            let p = &p;
            async move {
                p.run::<()>(&format!(r#"assert(firewall.remove("net{n}"))"#))
                    .await
            }
        });
        futures_util::future::join_all(calls).await;
    });
    let ruleset = world.ruleset();
    assert!(
        !ruleset.contains("moondock_p") && !ruleset.contains("moondock p"),
        "{ruleset}"
    );
    assert_eq!(
        ruleset.matches("moondock q net").count(),
        2 * 4 + 2 * 4,
        "{ruleset}"
    );
}

#[test]
fn a_port_is_published_beside_others_and_withdrawn() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let containers = (world.container(1, 2), world.container(1, 3));
    let port =
        |n: u16| format!(r#"{{ protocol = "tcp", host_port = {n}, ip = "10.1.0.2", port = 80 }}"#);
    let publish = |ports: &str, withdrawn: &str| {
        format!(r#"firewall.publish("a", {{ {ports} }}, {{ {withdrawn} }})"#)
    };
    world.lua("p", &format!("assert(not {})", publish(&port(1), "")));
    assert_eq!(world.ruleset(), "");
    let rules = rules(1, &format!("ports = {{ {} }}", port(8080)));
    world.lua("p", &format!(r#"firewall.apply("a", {rules})"#));
    let applied = world.ruleset();
    let answers =
        || [8080, 8081, 8082].map(|n| ask(&world.outside, &format!("192.0.2.1:{n}")).is_some());
    world.lua("p", &format!("assert({})", publish(&port(8081), "")));
    assert_eq!(answers(), [true, true, false]);
    world.lua(
        "p",
        &format!("assert({})", publish(&port(8082), &port(8081))),
    );
    assert_eq!(answers(), [true, false, true]);
    let moved = port(8080).replace("0.2", "0.3");
    let error = world.fail("p", &publish(&moved, ""));
    assert!(
        error.contains("port 8080/tcp is published twice"),
        "{error}"
    );
    let _listener = world
        .host
        .enter(|| TcpListener::bind("0.0.0.0:99").unwrap());
    let error = world.fail("p", &publish(&port(99), &port(8082)));
    assert!(
        error.contains("port 99/tcp is in use on the host"),
        "{error}"
    );
    assert_eq!(answers(), [true, false, true], "all of it, or nothing");
    world.lua(
        "p",
        &publish("", &port(8082)).replacen("fire", "return fire", 1),
    );
    assert_eq!(world.ruleset(), applied);
    drop(containers);
}

#[test]
fn applying_again_restores_what_was_flushed() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.host.sh("iptables-nft -P FORWARD DROP");
    let apply = format!(r#"firewall.apply("{ID}", {})"#, rules(1, PORTS));
    world.lua("p", &apply);
    let whole = without_counts(&world.ruleset());
    for table in ["ip moondock_p", "ip6 moondock_p"] {
        for flush in [
            format!("flush table {table}"),
            format!("flush chain {table} forward"),
            format!("flush set {table} open"),
            format!("flush set {table} subnets"),
            format!("flush map {table} any_ip"),
            "delete table ip moondock_p; delete table ip6 moondock_p".to_owned(),
            "flush chain ip filter FORWARD".to_owned(),
        ] {
            world.host.sh(&format!("nft '{flush}'"));
            world.lua("p", &apply);
            assert_eq!(without_counts(&world.ruleset()), whole, "{flush}");
        }
    }
}

#[test]
fn bridges_of_one_beginning_share_the_rules_of_the_host() {
    needs!(root);
    let world = World::new();
    for n in 1..=2 {
        world.bridge(n);
        world.host.sh(&format!("ip link set br{n} down; ip link set br{n} name md-{n}; ip link set md-{n} up; ip -6 addr add fd00:{n}::1/64 dev md-{n} nodad"));
    }
    world.host.sh("iptables-nft -P FORWARD DROP");
    let before = world.ruleset();
    let apply = |n: u8| {
        let rules = rules(n, "").replace("\"br", "\"md-");
        world.lua("p", &format!(r#"firewall.apply("n{n}", {rules})"#));
        world
            .host
            .sh("nft list chain ip filter FORWARD")
            .lines()
            .count()
    };
    assert_eq!(apply(1), apply(2));
    world.lua("p", r#"assert(firewall.remove("n1"))"#);
    assert!(world.ruleset().contains("moondock p * in"));
    world.lua("p", r#"assert(firewall.remove("n2"))"#);
    assert_eq!(without_counts(&world.ruleset()), without_counts(&before));
}

#[test]
fn a_bridge_and_a_subnet_have_one_network() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.bridge(2);
    let publish =
        r#"ports = { { protocol = "tcp", host_port = 8080, ip = "10.1.0.2", port = 80 } }"#;
    world.lua(
        "p",
        &format!(r#"firewall.apply("lost", {})"#, rules(1, publish)),
    );
    let error = world.fail(
        "p",
        r#"firewall.apply("b", { bridge = "br2", subnets = { "10.0.0.0/8" } })"#,
    );
    assert!(
        error.contains("subnet 10.0.0.0/8 overlaps that of `lost`"),
        "{error}"
    );
    world.lua(
        "p",
        &format!(r#"firewall.apply("new", {})"#, rules(1, publish)),
    );
    world.lua(
        "p",
        r#"assert(table.concat(firewall.list(), " ") == "new")"#,
    );
    world.lua(
        "p",
        r#"assert(not firewall.remove("lost") and firewall.remove("new"))"#,
    );
    assert_eq!(world.ruleset(), "");
}

#[test]
fn invalid_firewall_rules_are_refused() {
    needs!(root);
    let cases = [
        (r#"firewall.apply("a b", RULES)"#, "`a b` cannot be an id"),
        (
            r#"firewall.apply("a", { bridge = "br9", subnets = {} })"#,
            "link `br9`: no such device",
        ),
        (
            r#"firewall.apply("a", { bridge = "br1" })"#,
            "field `subnets` is missing",
        ),
        (
            r#"firewall.apply("a", { bridge = "br1", subnets = {}, masquerade = 1 })"#,
            "`masquerade` must be a boolean",
        ),
        (
            r#"firewall.apply("a", { bridge = "br1", subnets = {}, internal = true, ports = PORTS })"#,
            "an internal network cannot publish ports",
        ),
        (
            r#"firewall.apply("a", { bridge = "br1", subnets = { "10.7.0.0/24" }, ports = PORTS })"#,
            "in none of the network's subnets",
        ),
        (
            r#"firewall.apply("a", { bridge = "br1", subnets = {}, ports = { { protocol = "icmp", host_port = 1, ip = "10.1.0.2", port = 1 } } })"#,
            "unknown protocol `icmp`",
        ),
        (
            r#"firewall.apply("a", { bridge = "br1", subnets = {}, ports = { { protocol = "tcp", host_port = 65536, ip = "10.1.0.2", port = 1 } } })"#,
            "`host_port` must be a whole number from 0 to 65535",
        ),
        (
            r#"firewall.apply("a", { bridge = "br1", subnets = {}, ports = { { protocol = "tcp", host_ip = "::", host_port = 1, ip = "10.1.0.2", port = 1 } } })"#,
            "of the other address family",
        ),
        (
            r#"firewall.apply("a", { bridge = "br1", subnets = { "10.1.0.0/24" }, ports = { PORTS[1], { protocol = "tcp", host_port = 8080, ip = "10.1.0.3", port = 1 } } })"#,
            "port 8080/tcp is published twice",
        ),
    ];
    let world = World::new();
    world.bridge(1);
    for (call, wanted) in cases {
        let source = format!(
            r#"local PORTS = {{ {{ protocol = "tcp", host_port = 8080, ip = "10.1.0.2", port = 80 }} }}
               local RULES = {{ bridge = "br1", subnets = {{ "10.1.0.0/24" }} }}
               {call}"#
        );
        let error = world.fail("p", &source);
        assert!(error.contains(wanted), "{call}: {error}");
    }
    let error = world.fail("p q", r#"firewall.list()"#);
    assert!(
        error.contains("a plugin named `p q` cannot have a firewall"),
        "{error}"
    );
    assert_eq!(world.ruleset(), "");
}
