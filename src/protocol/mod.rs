//! Docker's plugin methods as one table, and the shapes of their messages.

mod form;
mod frame;
mod interface;
mod method;
mod sample;
mod shape;
mod table;

// The rows are aligned by hand.
#[rustfmt::skip]
mod authz;
#[rustfmt::skip]
mod ipam;
#[rustfmt::skip]
mod log;
#[rustfmt::skip]
mod metrics;
#[rustfmt::skip]
mod network;
#[rustfmt::skip]
mod secret;
#[rustfmt::skip]
mod volume;

pub use form::{Form, is_rfc3339};
pub use frame::{Cut, FrameError, LogEntry, Measured, PartialMetadata, cut, frame, measure};
pub use interface::Interface;
pub use log::{
    CONFIG as READ_CONFIG, ENTRY as LOG_ENTRY, INFO as LOG_INFO, READ_LOG, STOP_LOG, WRITE_ENTRIES,
    WRITE_ENTRY,
};
pub use method::{Answer, Method, Missing, Tie};
pub use metrics::{COLLECT, SAMPLE};
pub use sample::sample;
pub use shape::{Field, Shape, Type};
pub use table::{ACTIVATE, Call, find, methods, methods_of, named};
