//! What the tests have in common: engines in namespaces of their own.
//!
//! | | |
//! |---|---|
//! | [`bed`] | a private place to run an engine in: [`bed::Bed`] |
//! | [`dockerd`] | the bed's engine: start, stop, crash, `docker`, its API |
//! | [`moondock`] | the bed's Moondock, or another plugin in its place |
//! | [`ops`] | beds with the shipped plugin `ops` |
//! | [`reader`] | whoever follows a document word by word |
//! | [`managed_plugin`] | managed plugins: bundle, create, set, enable |
//! | [`interposer`] | a relay in which Moondock dies at a chosen call |
//! | [`api`] | HTTP over a Unix socket, byte for byte |
//! | [`cli`] | the output of a command, and expectations about it |
//! | [`daemon`] | a long-lived process in a bed's namespaces |
//! | [`wait`] | waiting for a condition |

pub mod api;
pub mod bed;
pub mod cli;
pub mod daemon;
pub mod dockerd;
pub mod interposer;
pub mod managed_plugin;
pub mod moondock;
pub mod ops;
pub mod reader;
pub mod wait;
