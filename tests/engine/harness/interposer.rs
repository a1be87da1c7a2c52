//! A relay between engine and moondock that can make moondock die at any call.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use crate::harness::bed::Bed;

/// What happens at one call.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    /// The call goes through.
    None,
    /// Moondock is killed and started again before it sees the call.
    KillBefore,
    /// Moondock is killed while it works on the call, and started again.
    KillDuring,
    /// Moondock answers, and is killed before the answer reaches the engine.
    LoseReply,
    /// The engine is killed while moondock works on the call, and started again.
    EngineDies,
}

type Plan = dyn Fn(&str, usize) -> Fault + Send + Sync;

/// Every call that the engine makes passes here, one at a time.
pub struct Interposer {
    bed: Weak<Bed>,
    scripts: PathBuf,
    plan: Box<Plan>,
    calls: Mutex<Vec<String>>,
}

impl Interposer {
    /// Starts moondock behind a relay that listens where the engine looks for `ops`. `plan` is asked with
    /// each call's method and how often that method was called before.
    pub fn start(
        bed: &Arc<Bed>,
        plan: impl Fn(&str, usize) -> Fault + Send + Sync + 'static,
    ) -> Arc<Interposer> {
        let scripts = bed.install_ops();
        std::fs::create_dir_all(bed.dir().join("sockets")).unwrap();
        let bed = Arc::downgrade(bed);
        let interposer = Interposer {
            bed,
            scripts,
            plan: Box::new(plan),
            calls: Mutex::default(),
        };
        interposer.moondock_boot();
        let relay = Arc::new(interposer);
        let listener = UnixListener::bind(
            relay
                .bed()
                .namespaces()
                .path("/run/docker/plugins/ops.sock"),
        )
        .unwrap();
        let shared = Arc::clone(&relay);
        thread::spawn(move || shared.accept(&listener));
        relay
    }

    /// The methods called so far, in order.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn bed(&self) -> Arc<Bed> {
        self.bed.upgrade().expect("the bed outlives its calls")
    }

    fn sockets(&self) -> PathBuf {
        self.bed().dir().join("sockets")
    }

    fn moondock_boot(&self) {
        self.bed()
            .moondock_start_at(self.sockets().to_str().unwrap(), &self.scripts, &[]);
    }

    fn moondock_reboot(&self) {
        self.bed().moondock_kill9();
        self.moondock_boot();
    }

    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        for connection in listener.incoming().map_while(Result::ok) {
            let shared = Arc::clone(self);
            thread::spawn(move || while shared.relay(&connection).is_ok() {});
        }
    }

    /// Relays one call; an error ends the connection.
    fn relay(&self, mut engine: &UnixStream) -> io::Result<()> {
        let request = read_message(engine)?;
        let method = method_of(&request);
        let mut calls = self.calls.lock().unwrap();
        let fault = (self.plan)(
            &method,
            calls.iter().filter(|&seen| *seen == method).count(),
        );
        calls.push(method);
        if fault == Fault::KillBefore {
            self.moondock_reboot();
        }
        let mut moondock = UnixStream::connect(self.sockets().join("ops.sock"))?;
        moondock.write_all(&request)?;
        if fault == Fault::KillDuring {
            self.moondock_reboot();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if fault == Fault::EngineDies {
            drop(calls); // the new engine makes calls too
            self.bed().engine_kill9();
            self.bed().engine_boot();
        }
        let reply = read_message(&moondock)?;
        if fault == Fault::LoseReply {
            self.moondock_reboot();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        engine.write_all(&reply)
    }
}

/// Reads a head and as much body as its `Content-Length` says.
fn read_message(mut stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    let mut buffer = [0; 65536];
    while expected_length(&message).is_none_or(|length| message.len() < length) {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        message.extend(&buffer[..count]);
    }
    Ok(message)
}

fn expected_length(message: &[u8]) -> Option<usize> {
    let end = message
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?
        + 4;
    let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    Some(end + length.map_or(0, |length| length.trim().parse().unwrap()))
}

fn method_of(request: &[u8]) -> String {
    let head = String::from_utf8_lossy(request);
    head.split_whitespace()
        .nth(1)
        .unwrap_or("")
        .trim_start_matches('/')
        .to_owned()
}
