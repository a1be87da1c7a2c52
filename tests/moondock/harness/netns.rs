//! Network namespaces of a test's own, which vanish with it.

use crate::harness::lua::block_on;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};

/// A network namespace. It lives as long as this, or a link or socket in it.
pub struct Namespace(File);

/// Without the wait for duplicate addresses: for two seconds, a new link would have no IPv6 neighbours.
const SETUP: &str = "sysctl -qw net.ipv6.conf.default.accept_dad=0 && ip link set lo up";

impl Namespace {
    /// A new one, with its loopback up.
    pub fn new() -> Self {
        let mut child = Command::new("unshare")
            .args([
                "-n",
                "sh",
                "-c",
                &format!("{SETUP} && echo ready && read end"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child
            .stdout
            .take()
            .unwrap()
            .read_exact(&mut ready)
            .expect("needs root and iproute2");
        let namespace = File::open(format!("/proc/{}/ns/net", child.id())).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        Self(namespace)
    }

    /// Runs `work` on a thread inside of it. What that thread starts, is inside too.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap();
                work()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `make`'s future inside of it, as a plugin's thread would.
    pub fn block_on<F: Future<Output: Send>>(&self, make: impl FnOnce() -> F + Send) -> F::Output {
        self.enter(|| block_on(make()))
    }

    /// Runs a shell script inside of it, which must succeed, and returns what it prints.
    pub fn sh(&self, script: &str) -> String {
        self.enter(|| sh(script))
    }

    /// A path by which programs started by this test's process find it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Runs a shell script, which must succeed, and returns what it prints.
pub fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
