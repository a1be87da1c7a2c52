//! Documents that a reader follows from top to bottom, with a real engine.

use crate::harness::reader::Reader;

/// From a clean clone to a policy, a driver and a managed plugin.
#[test]
fn the_readme_can_be_followed() {
    needs!(engine);
    needs!(program, "git");
    Reader::in_clone().follow("README.md");
}

#[test]
fn the_tutorial_can_be_followed() {
    needs!(engine);
    Reader::new().has_moondock().follow("docs/tutorial.md");
}
