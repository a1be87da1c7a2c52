//! The methods of Docker's plugin interfaces, as one table, and the shapes of their messages.

mod authz;
mod form;
mod frame;
mod ipam;
mod log;
mod method;
mod metrics;
mod network;
mod secret;
mod shape;
mod volume;

pub use form::{Form, is_rfc3339};
pub use frame::{BadFrame, Cut, LogEntry, PartialMetadata, cut, frame};
pub use log::INFO as LOG_INFO;
pub use method::{Interface, Method, Missing, Origin, Tie, find, methods, methods_of};
pub use shape::{Field, Shape, Type};
