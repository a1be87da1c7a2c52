//! Moondock: Docker Engine plugins written in Lua.
#![warn(missing_docs)]

pub mod authz;
