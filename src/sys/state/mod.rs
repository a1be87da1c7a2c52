//! What a plugin keeps on disk: its store, and the journal and the spill of its log streams.

pub mod journal;
pub mod spill;
pub mod store;
