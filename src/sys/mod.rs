//! The machine: files, mounts, processes, sockets, netlink, the store. No Lua here, and no JSON.

pub mod fifo;
pub mod files;
pub mod firewall;
pub mod ip;
pub mod journal;
pub mod locks;
pub mod mounts;
pub mod netlink;
pub mod paths;
pub mod process;
pub mod remove;
pub mod sources;
pub mod store;
pub mod sysctl;
pub mod watch;
