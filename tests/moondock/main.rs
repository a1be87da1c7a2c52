//! What Moondock promises, subject by subject.

mod command;
mod http;
mod lua;
mod netns;
mod process;
mod world;

mod authz_traffic;
mod call;
mod check;
mod command_line;
mod documents;
mod files;
mod firewall;
mod kits;
mod layers;
mod lifetime;
mod net;
mod reference;
mod reload;
mod requests;
mod sockets;
mod sources;
mod std_modules;
mod std_process;
mod store;
