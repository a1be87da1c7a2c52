//! Moondock: Docker Engine plugins written in Lua.
//!
//! The parts, in the order in which a request passes them:
//!
//! * [`cli`] parses the command line, and [`config`] turns it into one validated value.
//! * [`server`] owns sockets and HTTP, and passes requests to
//! * [`plugin`], which finds the row of [`protocol`]'s method table and runs the hook
//! * in [`script`], a sandboxed Luau state with a budget, whose `require("@moondock/…")`
//! * is [`host`], the host functions, and those reach the machine only through
//! * [`sys`]. [`authz`] interprets Engine API requests, [`grants`] decides what a script may touch,
//!   [`metrics`] counts, and [`trace`] shows calls to those who watch.
//! * [`check`] finds errors of a plugin without an engine.
//! * [`testing`] runs the tests of a plugin.
//! * [`format`](mod@format) gives Lua files Moondock's style.
//! * [`client`] makes the requests that Docker's client would send for a command line.
//! * [`bundle`] makes a managed plugin from a directory.
//! * [`scaffold`] makes the directory of a new plugin from what is [`shipped`] in the binary.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::float_cmp,
        clippy::too_many_lines,
        reason = "unit tests write the files that they read, compare exact numbers, and hold long tables"
    )
)]

pub mod authz;
pub mod bundle;
pub mod check;
pub mod cli;
pub mod client;
pub mod config;
pub mod format;
pub mod grants;
pub mod host;
pub mod metrics;
pub mod plugin;
pub mod protocol;
pub mod scaffold;
pub mod script;
pub mod server;
pub mod shipped;
pub mod sys;
pub mod telemetry;
pub mod testing;
pub mod trace;
