//! The methods of Docker's plugin interfaces, as one table, and the shapes of their messages.

mod authz;
mod form;
mod ipam;
mod log;
mod method;
mod metrics;
mod network;
mod secret;
mod shape;
mod volume;

pub use form::Form;
pub use method::{Interface, Method, Missing, Origin, Tie, find, methods, methods_of};
pub use shape::{Field, Shape, Type};
