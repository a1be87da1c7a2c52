//! The machine: files, mounts, processes, sockets, netlink, the store. No Lua here, and no JSON.

pub mod files;
pub mod locks;
pub mod mounts;
pub mod paths;
pub mod remove;
pub mod sources;
pub mod store;
pub mod watch;
