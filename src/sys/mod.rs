//! The machine: files, mounts, processes, sockets, netlink, the store. No Lua here, and no JSON.

pub mod locks;
pub mod paths;
pub mod sources;
pub mod store;
