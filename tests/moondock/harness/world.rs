//! A small internet of network namespaces: a host, its containers, and a neighbour outside.

use crate::harness::lua::Script;
use crate::harness::netns::Namespace;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// A host with a neighbour outside (192.0.2.9, fd99::9), who routes packets for any container to it.
pub struct World {
    pub host: Namespace,
    pub outside: Namespace,
}

/// A server's answer: the address that it saw its client come from.
pub type Answer = Option<String>;

const TIMEOUT: Duration = Duration::from_millis(400);

impl World {
    pub fn new() -> Self {
        let world = Self {
            host: Namespace::new(),
            outside: Namespace::new(),
        };
        world.host.sh(&format!(
            "ip link add wan type veth peer name lan netns {}
             ip addr add 192.0.2.1/24 dev wan; ip addr add fd99::1/64 dev wan nodad; ip link set wan up
             sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
            world.outside.path()
        ));
        world
            .outside
            .sh("ip addr add 192.0.2.9/24 dev lan; ip addr add fd99::9/64 dev lan nodad; ip link set lan up
             ip route add 10.0.0.0/8 via 192.0.2.1; ip route add fd00::/16 via fd99::1");
        world
    }

    /// A bridge `brN` with the networks 10.N.0.0/24 and fd00:N::/64.
    pub fn bridge(&self, n: u8) {
        self.host.sh(&format!(
            "ip link add br{n} type bridge; ip addr add 10.{n}.0.1/24 dev br{n}
             ip addr add fd00:{n}::1/64 dev br{n} nodad; ip link set br{n} up"
        ));
    }

    /// A container on that bridge, at 10.N.0.M and fd00:N::M, that answers on port 80 of TCP and UDP.
    pub fn container(&self, n: u8, m: u8) -> Namespace {
        let container = Namespace::new();
        self.host.sh(&format!(
            "ip link add h{n}-{m} type veth peer name eth0 netns {}
             ip link set h{n}-{m} master br{n}; ip link set h{n}-{m} type bridge_slave hairpin on; ip link set h{n}-{m} up",
            container.path()
        ));
        container.sh(&format!(
            "ip addr add 10.{n}.0.{m}/24 dev eth0; ip addr add fd00:{n}::{m}/64 dev eth0 nodad; ip link set eth0 up
             ip route add default via 10.{n}.0.1; ip route add default via fd00:{n}::1"
        ));
        container.enter(serve);
        container
    }

    pub fn lua(&self, plugin: &str, source: &str) {
        self.host
            .block_on(async || Script::new(plugin).await.run::<()>(source).await);
    }

    pub fn fail(&self, plugin: &str, source: &str) -> String {
        self.host
            .block_on(async || Script::new(plugin).await.fail(source).await)
    }

    pub fn ruleset(&self) -> String {
        self.host.sh("nft list ruleset")
    }
}

/// Answers on port 80 with the client's address, for as long as the test runs.
pub fn serve() {
    let tcp = TcpListener::bind("[::]:80").unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = tcp.accept() {
            let _ = stream.write_all(plain(peer).as_bytes());
        }
    });
    let udp = UdpSocket::bind("[::]:80").unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((_, peer)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(plain(peer).as_bytes(), peer);
        }
    });
}

fn plain(peer: SocketAddr) -> String {
    peer.ip().to_canonical().to_string()
}

pub fn ask(from: &Namespace, to: &str) -> Answer {
    from.enter(|| {
        let mut stream = TcpStream::connect_timeout(&to.parse().unwrap(), TIMEOUT).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    })
}

pub fn ask_udp(from: &Namespace, to: &str) -> Answer {
    from.enter(|| {
        let to: SocketAddr = to.parse().unwrap();
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        socket.connect(to).and_then(|()| socket.send(b"?")).ok()?;
        let mut answer = [0; 64];
        let length = socket.recv(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    })
}

pub fn answer(text: &str) -> Answer {
    Some(text.to_owned())
}
