//! Tests against a real dockerd. Each test has an engine of its own in a `Bed`, with the shipped `ops`
//! plugin where the test is about Moondock. They need root and Debian's docker.io: run `tests/run`.

mod api;
mod bed;
mod cli;
mod daemon;
mod dockerd;
mod interposer;
mod moondock;
mod ops;
mod wait;

mod authz;
mod authz_bodies;
mod bed_test;
mod crash;
mod crash_anywhere;
mod ipam;
mod networks;
mod reload;
mod volumes;
