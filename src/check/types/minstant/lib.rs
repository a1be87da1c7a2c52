//! The clock of the standard library, under the name that luau-common asks for.
//!
//! The crate of that name measures the processor's clock before `main`, which takes every start of
//! Moondock some 10 ms of CPU. Moondock never asks luau-common for the time.

pub use std::time::Instant;
