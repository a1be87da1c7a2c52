//! What Moondock promises, subject by subject.

mod lua;
mod process;
