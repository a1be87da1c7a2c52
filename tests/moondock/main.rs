//! What Moondock promises, subject by subject.

mod sources;
mod store;
