//! What a plugin keeps on disk: its store, and the journal of its log streams.

pub mod journal;
pub mod store;
