//! What Moondock promises, subject by subject.

mod lua;
mod net;
mod netns;
mod process;
