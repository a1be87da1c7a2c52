//! What the engine is asked to do: the request that it will run, read by the engine's own rules
//! before a policy is asked.
//!
//! [`Request::read`] reads the engine's message, and [`Target::parse`] finds the route of the
//! request URI. [`Request::examine`] decides with [`Body::read`] what is known of the body, and
//! lists with [`host_paths`] the host paths in it, whose symbolic links [`resolve`] follows.
//! [`PeerCertificate::parse`] reads who asks. Whatever has more than one reading is a [`Refusal`],
//! which denies.

mod body;
mod drivers;
mod fields;
mod json;
mod mounts;
mod peer;
mod query;
mod refusal;
mod request;
mod routes;
mod uri;

pub use body::{Announced, Body, PassedBody};
pub use fields::{Object, body_of, query_of};
pub use json::{Document, Entries, Items, Kind, Node, NodeId};
pub use mounts::{HIDDEN, HostMount, ReadLink, host_paths, resolve};
pub use peer::PeerCertificate;
pub use query::{Pairs, Query};
pub use refusal::{JsonFault, Refusal};
pub use request::{Headers, Request};
pub use routes::{BodyKind, Effect, Route, routes};
pub use uri::Target;
