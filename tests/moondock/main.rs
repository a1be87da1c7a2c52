//! Everything that needs more than one file of the crate, one module a subject.

mod authz_traffic;
