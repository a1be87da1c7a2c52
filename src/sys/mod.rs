//! The machine: processes, netlink, the firewall. Nothing here knows Lua, and nothing blocks the caller's thread.

pub mod firewall;
pub mod ip;
pub mod netlink;
pub mod process;
pub mod sysctl;
