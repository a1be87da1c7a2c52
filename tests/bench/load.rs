//! Calls over kept connections, made so cheaply that the server is what is measured.

use crate::process::Server;
use crate::workload::request;
use std::io::{Read, Write};
use std::ops::AddAssign;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The calls that are made before anything is measured, so that caches and buffers have their size.
const WARM_UP: u64 = 2000;

/// A request, sent again and again.
pub struct Load {
    pub socket: PathBuf,
    pub request: Vec<u8>,
    pub connections: usize,
}

/// What one run took, or several runs together.
#[derive(Default)]
pub struct Measured {
    latencies: Vec<u32>,
    time: Duration,
    cpu: Duration,
}

struct Client {
    stream: UnixStream,
    sent: Instant,
}

impl Load {
    pub fn activation(socket: PathBuf) -> Load {
        Load {
            socket,
            request: request("Plugin.Activate", ""),
            connections: 1,
        }
    }

    /// Makes one call, which must succeed, and returns the body of the answer.
    pub fn answer(&self) -> String {
        let text = String::from_utf8(self.exchange(&mut self.connect().stream)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        assert!(!body.contains("\"Allow\":false"), "{text}");
        body.into()
    }

    /// Calls for `time`, or until there were `calls`, on each connection as soon as it has its
    /// answer.
    pub fn run(&self, time: Duration, calls: u64, server: &Server) -> Measured {
        let length = self.exchange(&mut self.connect().stream).len();
        let mut clients: Vec<Client> = (0..self.connections).map(|_| self.connect()).collect();
        self.drive(&mut clients, length, time / 4, WARM_UP.min(calls));
        let (begun, cpu) = (Instant::now(), server.cpu());
        let latencies = self.drive(&mut clients, length, time, calls);
        Measured {
            latencies,
            time: begun.elapsed(),
            cpu: server.cpu() - cpu,
        }
    }

    /// Makes a call each `pause` for `time`. A call that is sent late, since the one before took
    /// long, counts from the time at which it was due.
    pub fn run_paced(&self, time: Duration, pause: Duration) -> Measured {
        let length = self.exchange(&mut self.connect().stream).len();
        let (mut client, mut answer) = (self.connect(), vec![0; length]);
        let mut latencies = Vec::new();
        let begun = Instant::now();
        let mut due = begun;
        while due - begun < time {
            let ahead = due.saturating_duration_since(Instant::now());
            std::thread::sleep(ahead);
            client.send(&self.request);
            if ahead.is_zero() {
                client.sent = due;
            }
            latencies.push(client.receive(&mut answer));
            due += pause;
        }
        Measured {
            latencies,
            time: begun.elapsed(),
            cpu: Duration::ZERO,
        }
    }

    /// Keeps a call under way on every client until `time` is over.
    fn drive(&self, clients: &mut [Client], length: usize, time: Duration, calls: u64) -> Vec<u32> {
        let mut answer = vec![0; length];
        let mut latencies = Vec::with_capacity(1 << 20);
        let begun = Instant::now();
        clients
            .iter_mut()
            .for_each(|client| client.send(&self.request));
        loop {
            for client in &mut *clients {
                latencies.push(client.receive(&mut answer));
                client.send(&self.request);
            }
            if begun.elapsed() >= time || latencies.len() as u64 >= calls {
                break;
            }
        }
        clients.iter_mut().for_each(|client| {
            client.receive(&mut answer);
        });
        latencies
    }

    fn connect(&self) -> Client {
        let begun = Instant::now();
        loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => {
                    return Client {
                        stream,
                        sent: Instant::now(),
                    };
                }
                Err(error) if begun.elapsed().as_secs() > 10 => {
                    panic!("{}: {error}", self.socket.display())
                }
                Err(_) => std::thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    /// Makes one call and returns the whole answer as it came.
    fn exchange(&self, stream: &mut UnixStream) -> Vec<u8> {
        stream.write_all(&self.request).unwrap();
        let (mut answer, mut part) = (Vec::new(), [0; 1 << 16]);
        let mut length = None;
        while length.is_none_or(|length| answer.len() < length) {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "no answer");
            answer.extend_from_slice(&part[..read]);
            length = length.or_else(|| length_of(&answer));
        }
        answer
    }
}

/// The length of an answer, once its head is there.
fn length_of(answer: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let (head, _) = text.split_once("\r\n\r\n")?;
    let body = head.split("content-length: ").nth(1);
    let body = body.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    Some(head.len() + 4 + body)
}

impl Client {
    fn send(&mut self, request: &[u8]) {
        self.sent = Instant::now();
        self.stream.write_all(request).unwrap();
    }

    /// Reads an answer, which must be a success of the known length, and returns the nanoseconds
    /// since the request.
    fn receive(&mut self, answer: &mut [u8]) -> u32 {
        self.stream.read_exact(answer).unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(answer)
        );
        self.sent
            .elapsed()
            .as_nanos()
            .try_into()
            .unwrap_or(u32::MAX)
    }
}

impl AddAssign for Measured {
    fn add_assign(&mut self, other: Measured) {
        self.latencies.extend(other.latencies);
        self.time += other.time;
        self.cpu += other.cpu;
    }
}

impl Measured {
    pub fn calls(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Calls per second.
    pub fn rate(&self) -> f64 {
        self.calls() as f64 / self.time.as_secs_f64()
    }

    /// The microseconds that the share `part` of the calls did not exceed; not a number without
    /// calls.
    pub fn percentile(&self, part: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted
            .get((last as f64 * part) as usize)
            .map_or(f64::NAN, |nanos| f64::from(*nanos) / 1000.0)
    }

    /// The microseconds of the server's CPU time for each call.
    pub fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls() as f64
    }
}
