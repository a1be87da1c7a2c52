//! Tests against a real dockerd. Each test has an engine of its own in a `Bed`, with the shipped `ops`
//! plugin where the test is about Moondock. They need root and Debian's docker.io: run `tests/run`.
//!
//! `MOONDOCK_TEST_ENGINE=DIR` takes dockerd and containerd from `DIR/usr/sbin` and `DIR/usr/bin`, such as a tree that
//! `mmdebstrap --variant=extract` made of a newer Debian; delete its runc where its libraries are too new.
//! `MOONDOCK_TEST_CRASHES=0/1` makes the tests of `crash_anywhere` crash at every call instead of a few.

#![allow(
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test touches the machine itself, and fails by a panic"
)]

#[macro_use]
#[path = "../needs.rs"]
mod needs;

#[path = "../document.rs"]
mod document;

mod harness;

mod asking;
mod authors;
mod authz;
mod authz_bodies;
mod bed_test;
mod bridges;
mod collector;
mod crash;
mod crash_anywhere;
mod followed;
mod hanging;
mod ipam;
mod jsonlog;
mod logs;
mod logs_stuck;
mod managed;
mod managed_all;
mod managed_life;
mod managed_registry;
mod managed_scripts;
mod networks;
mod new;
mod podman;
mod reload;
mod secrets;
mod swarm;
mod transports;
mod volumes;
