//! What a user of the `moondock` command sees, tested on the real binary.

mod http;
mod process;

mod command_line;
mod lifetime;
mod requests;
mod sockets;
