//! What Moondock promises, subject by subject.

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

mod activation;
mod any_body;
mod authz_traffic;
mod bundle;
mod call;
mod check;
mod citations;
mod client;
mod collector;
mod command_line;
mod control;
mod diagnostics;
mod directories;
mod documents;
mod files;
mod firewall;
mod fmt;
mod golden;
mod grants;
mod help;
mod hostile;
mod known_fields;
mod layers;
mod lifetime;
mod log_streams;
mod loopback;
mod managed;
mod metrics;
mod net;
mod new;
mod ops_policy;
mod policy;
mod ports;
mod reference;
mod reload;
mod repl;
mod reply_meaning;
mod requests;
mod served_kits;
mod sockets;
mod sources;
mod std_modules;
mod std_process;
mod store;
mod systemd;
mod testing;
mod threads;
mod tls;
mod types;
mod typing;
mod unwatched;
