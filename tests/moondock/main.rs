//! What Moondock promises, subject by subject.

mod http;
mod lua;
mod netns;
mod process;
mod scripted;
mod world;

mod authz_traffic;
mod command_line;
mod files;
mod firewall;
mod hostile;
mod kits;
mod lifetime;
mod net;
mod requests;
mod sockets;
mod sources;
mod std_modules;
mod std_process;
mod store;
