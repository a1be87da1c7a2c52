//! The network: addresses, links and routes, kernel parameters, the firewall, HTTP requests.

mod conntrack;
pub mod firewall;
mod forward;
pub mod http;
pub mod ip;
mod netfilter;
pub mod netlink;
pub mod resolver;
pub mod sysctl;
