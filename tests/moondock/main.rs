//! What Moondock promises, subject by subject.

mod command;
mod go;
mod http;
mod lua;
mod netns;
mod process;
mod recorded;
mod scripted;
mod world;

mod any_body;
mod authz_traffic;
mod call;
mod check;
mod command_line;
mod diagnostics;
mod documents;
mod files;
mod firewall;
mod golden;
mod hostile;
mod kits;
mod layers;
mod lifetime;
mod log_streams;
mod net;
mod policy;
mod reference;
mod reload;
mod requests;
mod sockets;
mod sources;
mod std_modules;
mod std_process;
mod store;
mod unwatched;
