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
pub use log::{INFO as LOG_INFO, READ_LOG, STOP_LOG, WRITE_ENTRIES, WRITE_ENTRY};
pub use method::{
    ACTIVATE, Answer, Call, Interface, Method, Missing, Tie, find, methods, methods_of,
};
pub use metrics::COLLECT;
pub use shape::{Field, Shape, Type};
