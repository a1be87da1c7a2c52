//! What Moondock promises, subject by subject.

mod files;
mod sources;
mod std_modules;
mod store;
