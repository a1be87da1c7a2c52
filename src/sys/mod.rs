//! The machine: files, mounts, the network, processes, state and the scripts' directories. No Lua
//! here, and no JSON but nftables' own.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the machine is touched here, and nowhere else"
)]

pub mod files;
pub mod locks;
pub mod memory;
pub mod mounts;
pub mod network;
pub mod processes;
pub mod scripts;
pub mod state;

use std::io;
use tokio::task::spawn_blocking;

/// Runs `work`, which may wait for a disk or a server, on the pool of blocking threads.
///
/// # Errors
/// The errors of `work`, and its panic.
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<io::Error> + Send + 'static,
{
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => Err(io::Error::other(panic).into()),
    }
}
