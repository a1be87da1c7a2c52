//! The machine: files, mounts, processes, sockets, netlink, the store. No Lua here, and no JSON.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "here the machine is touched, and elsewhere it is not"
)]

pub mod fifo;
pub mod files;
pub mod firewall;
pub mod holders;
pub mod http;
pub mod ip;
pub mod journal;
pub mod life;
pub mod locks;
pub mod mount_rules;
pub mod mounts;
pub mod netlink;
pub mod paths;
pub mod places;
pub mod process;
pub mod programs;
pub mod remove;
pub mod rootfs;
pub mod sources;
pub mod store;
pub mod sysctl;
pub mod territory;
pub mod watch;
