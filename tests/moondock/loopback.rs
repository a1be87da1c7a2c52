//! Published ports on `[::1]`, which Moondock forwards itself.

use crate::harness::lua::Script;
use crate::harness::netns::Namespace;
use crate::harness::process::Setup;
use crate::harness::world::{World, answer, ask, ask_udp};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// `firewall.apply` of a network on the bridge `br1` or `br2`.
fn apply(n: u8, ports: &str) -> String {
    format!(
        r#"firewall.apply("net{n}", {{ bridge = "br{n}", subnets = {{ "10.{n}.0.0/24", "fd00:{n}::/64" }}, ports = {{ {ports} }} }})"#
    )
}

/// `firewall.publish` for the network on `br1`.
fn publish(ports: &str, withdrawn: &str) -> String {
    format!(r#"assert(firewall.publish("net1", {{ {ports} }}, {{ {withdrawn} }}))"#)
}

/// A TCP port in Lua, `8080>10.1.0.2:80` on an address of the host or on all (`""`).
fn tcp(host_ip: &str, host_port: u16, ip: &str, port: u16) -> String {
    format!(
        r#"{{ protocol = "tcp", host_ip = "{host_ip}", host_port = {host_port}, ip = "{ip}", port = {port} }},"#
    )
}

/// Listens on `[::1]` as a process of the host that is not Moondock.
fn occupy(host: &Namespace, port: u16) -> TcpListener {
    host.enter(|| TcpListener::bind(("::1", port)).unwrap())
}

/// Serves one connection to port 81 of a container.
fn serve_one(container: &Namespace, serve: impl FnOnce(TcpStream) + Send + 'static) {
    let listener = container.enter(|| TcpListener::bind("0.0.0.0:81").unwrap());
    thread::spawn(move || serve(listener.accept().unwrap().0));
}

fn connect(from: &Namespace, port: u16) -> TcpStream {
    from.enter(|| TcpStream::connect(("::1", port)).unwrap())
}

#[test]
fn ports_of_all_addresses_answer_on_ipv6_loopback() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let (_container, host) = (world.container(1, 2), &world.host);
    let ports = [
        tcp("", 8080, "10.1.0.2", 80),
        tcp("", 8081, "10.1.0.2", 80),
        tcp("", 8081, "fd00:1::2", 80),
        tcp("::1", 8082, "fd00:1::2", 80),
        tcp("127.0.0.1", 8083, "10.1.0.2", 80),
        tcp("192.0.2.1", 8084, "10.1.0.2", 80),
    ];
    let udp = r#"{ protocol = "udp", host_port = 8080, ip = "fd00:1::2", port = 80 }"#;
    host.block_on(async || {
        let script = Script::new("p").await;
        script.run::<()>(&apply(1, &(ports.concat() + udp))).await;
        assert_eq!(ask(host, "[::1]:8080"), answer("10.1.0.1"), "by IPv4");
        assert_eq!(ask(host, "[::1]:8081"), answer("fd00:1::1"), "by IPv6");
        assert_eq!(ask(host, "[::1]:8082"), answer("fd00:1::1"), "there only");
        assert_eq!(ask(host, "127.0.0.1:8080"), answer("10.1.0.1"));
        for elsewhere in [8083, 8084] {
            assert_eq!(ask(host, &format!("[::1]:{elsewhere}")), None);
        }
        assert_eq!(ask_udp(host, "[::1]:8080"), None, "TCP only");
        assert_eq!(ask(&world.outside, "[fd99::1]:8082"), None);

        let moved = publish(&tcp("", 8085, "10.1.0.2", 80), &ports[1..3].concat());
        script.run::<()>(&moved).await;
        let answers = [8080, 8081, 8082, 8085].map(|n| ask(host, &format!("[::1]:{n}")).is_some());
        assert_eq!(answers, [true, false, true, true]);
        script.run::<()>(r#"firewall.remove("net1")"#).await;
        assert_eq!(ask(host, "[::1]:8080"), None);
    });
}

#[test]
fn a_client_may_end_its_side_before_the_server_answers() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let container = world.container(1, 2);
    serve_one(&container, |mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        request.reverse();
        stream.write_all(&request).unwrap();
    });
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_ne_bytes).collect();
    world.host.block_on(async || {
        let script = Script::new("p").await;
        let ports = tcp("", 8080, "10.1.0.2", 81);
        script.run::<()>(&apply(1, &ports)).await;
        let mut stream = connect(&world.host, 8080);
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer.reverse();
        assert!(answer == sent, "{} of {} bytes", answer.len(), sent.len());
    });
}

#[test]
fn connections_end_when_the_port_is_withdrawn() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let container = world.container(1, 2);
    serve_one(&container, |mut stream| {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).unwrap();
        }
    });
    world.host.block_on(async || {
        let script = Script::new("p").await;
        let port = tcp("", 8080, "10.1.0.2", 81);
        script.run::<()>(&apply(1, &port)).await;
        let mut stream = connect(&world.host, 8080);
        let mut byte = [0];
        stream.write_all(b"a").unwrap();
        stream.read_exact(&mut byte).unwrap();
        script.run::<()>(&publish("", &port)).await;
        assert!(stream.read_exact(&mut byte).is_err(), "it is still open");
        assert_eq!(ask(&world.host, "[::1]:8080"), None);
    });
}

#[test]
fn a_port_that_another_process_has_on_ipv6_loopback_is_published_elsewhere() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let (_container, host) = (world.container(1, 2), &world.host);
    let other = occupy(host, 8080);
    host.block_on(async || {
        let script = Script::new("p").await;
        let only_there = apply(1, &tcp("::1", 8080, "fd00:1::2", 80));
        let error = script.fail(&only_there).await;
        assert!(
            error.contains("port [::1]:8080/tcp is in use on the host"),
            "{error}"
        );
        assert_eq!(ask(host, "127.0.0.1:8080"), None, "nothing was changed");
        let everywhere = apply(1, &tcp("", 8080, "10.1.0.2", 80));
        script.run::<()>(&everywhere).await;
        assert_eq!(ask(host, "127.0.0.1:8080"), answer("10.1.0.1"));
        assert_eq!(ask(host, "[::1]:8080"), None, "the other process has it");
        drop(other);
        script.run::<()>(&everywhere).await;
        assert_eq!(ask(host, "[::1]:8080"), answer("10.1.0.1"));
    });
}

/// IPv4 and IPv6 addresses are published independently of each other, but `[::1]` is only one.
#[test]
fn a_port_that_the_plugin_forwards_itself_is_not_in_use() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    world.bridge(2);
    let (_one, _two, host) = (world.container(1, 2), world.container(2, 2), &world.host);
    for host_ip in ["::", "::1"] {
        host.block_on(async || {
            let script = Script::new("p").await;
            let first = apply(1, &tcp("0.0.0.0", 8080, "10.1.0.2", 80));
            let second = apply(2, &tcp(host_ip, 8080, "fd00:2::2", 80));
            script.run::<()>(&first).await;
            if host_ip == "::" {
                let other = host.enter(|| TcpListener::bind("[fd99::1]:8080").unwrap());
                let error = script.fail(&second).await;
                assert!(error.contains("8080/tcp is in use on the host"), "{error}");
                drop(other);
            }
            assert_eq!(ask(host, "[::1]:8080"), answer("10.1.0.1"));
            script.run::<()>(&second).await;
            assert_eq!(ask(host, "[::1]:8080"), answer("fd00:2::1"), "{host_ip}");
            script.run::<()>(r#"firewall.remove("net2")"#).await;
            assert_eq!(ask(host, "[::1]:8080"), answer("10.1.0.1"));
            script.run::<()>(r#"firewall.remove("net1")"#).await;
        });
    }
}

#[test]
fn without_ipv6_ports_are_published_by_ipv4() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let (_container, host) = (world.container(1, 2), &world.host);
    host.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1");
    host.block_on(async || {
        let script = Script::new("p").await;
        script
            .run::<()>(&apply(1, &tcp("", 8080, "10.1.0.2", 80)))
            .await;
        assert_eq!(ask(host, "127.0.0.1:8080"), answer("10.1.0.1"));
        assert_eq!(ask(host, "[::1]:8080"), None);
        let error = script
            .fail(&publish(&tcp("::1", 8081, "fd00:1::2", 80), ""))
            .await;
        assert!(
            error.contains("the host does not have that address"),
            "{error}"
        );
    });
}

const NETWORK: &str = r#"local firewall = require("@moondock/firewall")
local network = {}

local function port(n)
  return { protocol = "tcp", host_port = n, ip = "10.1.0.2", port = 80 }
end

function network.create_network(req)
  firewall.apply(req.NetworkID, {
    bridge = "br1", subnets = { "10.1.0.0/24" }, ports = { port(8080), port(8081) },
  })
end

function network.delete_network(req)
  firewall.remove(req.NetworkID)
end

for _, unused in { "create_endpoint", "delete_endpoint", "join", "leave" } do
  network[unused] = function() end
end

return network
"#;

#[test]
fn ports_answer_on_ipv6_loopback_again_after_a_crash() {
    needs!(root);
    let world = World::new();
    world.bridge(1);
    let (_container, host) = (world.container(1, 2), &world.host);
    let _other = occupy(host, 8081);
    let setup = Setup::new().plugin("p", "network.lua", NETWORK).plugin(
        "p",
        "plugin.toml",
        r#"grants = ["net"]"#,
    );
    let mut served = host.enter(|| setup.start());
    let network = r#"{"NetworkID":"net1","Options":{},"IPv4Data":[],"IPv6Data":[]}"#;
    let made = served.call("p", "NetworkDriver.CreateNetwork", network);
    assert_eq!(made.status, 200, "{made:?}\n{}", served.log());
    assert_eq!(ask(host, "[::1]:8080"), answer("10.1.0.1"));
    let taken = "WARN a published port does not answer on [::1]";
    served.wait_for_log(taken);
    assert_eq!(served.log().matches(taken).count(), 1, "{}", served.log());

    host.enter(|| served.crash("p"));
    served.wait_for("an answer", |_| {
        ask(host, "[::1]:8080") == answer("10.1.0.1")
    });
    served.wait_for("a warning", |served| {
        served.log().matches(taken).count() == 2
    });
    served.call(
        "p",
        "NetworkDriver.DeleteNetwork",
        r#"{"NetworkID":"net1"}"#,
    );
    assert_eq!(ask(host, "[::1]:8080"), None);
}
