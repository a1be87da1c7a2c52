//! What Moondock promises, subject by subject.

mod firewall;
mod lua;
mod net;
mod netns;
mod process;
mod world;
