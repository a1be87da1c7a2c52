//! What Moondock promises, subject by subject.

mod files;
mod firewall;
mod lua;
mod net;
mod netns;
mod process;
mod sources;
mod store;
