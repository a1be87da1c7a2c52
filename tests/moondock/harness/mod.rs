//! What the tests have in common.
//!
//! | to test | use |
//! |---|---|
//! | a command that ends, on files of the test | [`command::Workplace`] |
//! | a process that serves, over its sockets | [`process::Setup`], then [`process::Served`] |
//! | single requests, byte for byte | [`http::Connection`], with TLS [`tls_client::Spec`] |
//! | a plugin in this process, without a socket | [`scripted::Scripts`], then [`scripted::Scripted`] |
//! | host functions without a plugin | [`lua::Script`] |
//! | the calls that engines really made | [`recorded`] |
//! | replies as the engines decode them | [`go`] |
//! | interfaces, routes and firewalls | [`netns::Namespace`], several of them [`world::World`] |

pub mod command;
pub mod go;
pub mod http;
pub mod lua;
pub mod netns;
pub mod process;
pub mod recorded;
pub mod scripted;
pub mod tls_client;
pub mod world;
