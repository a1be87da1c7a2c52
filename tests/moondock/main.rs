//! What can be tested without an engine: one binary, a file per subject.

mod kits;
