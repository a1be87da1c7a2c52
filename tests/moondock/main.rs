//! What Moondock promises, subject by subject.

mod store;
