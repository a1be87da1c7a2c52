//! What the daemon is really asked to do: the same request that the engine will run, read by the
//! engine's own rules, before a policy is asked.
//!
//! A request meets the parts in this order: [`Target::parse`] finds the route behind the request URI,
//! [`Body::read`] settles what is known of the body, [`host_paths`] lists the host paths that it reaches and
//! [`resolve`] follows their symbolic links, [`PeerCertificate::parse`] reads who asks. Whatever cannot be
//! read in one way only is a [`Refusal`], which denies.

mod body;
mod json;
mod mounts;
mod peer;
mod query;
mod refusal;
mod routes;
mod uri;

pub use body::{Announced, Body};
pub use json::{Document, Entries, Items, Kind, Node, NodeId};
pub use mounts::{HIDDEN, HostMount, ReadLink, host_paths, resolve};
pub use peer::PeerCertificate;
pub use query::{Pairs, Query};
pub use refusal::{JsonFault, Refusal};
pub use routes::{BodyKind, Effect, Route, routes};
pub use uri::Target;
