//! What the binary contains of `scripts/`: kits, types, templates and whole plugins.

use include_dir::{Dir, include_dir};
use std::path::Path;

/// The kits. `NAME/init.luau` is the kit `@moondock/NAME`; only kits can require the other files,
/// by their path: `@moondock/NAME/mounts`.
pub static KITS: Dir = include_dir!("$CARGO_MANIFEST_DIR/scripts/kits");

/// The types of std modules and kits, and of requests and replies.
pub static TYPES: Dir = include_dir!("$CARGO_MANIFEST_DIR/scripts/types");

/// What new plugins are made from: `kit/` and `raw/` have a script and a part of the manifest for
/// each interface, `tests/` a test, and `editor/` the settings of editors.
pub static TEMPLATES: Dir = include_dir!("$CARGO_MANIFEST_DIR/scripts/new");

/// The plugins that can be copied.
pub static PLUGINS: &[ShippedPlugin] = &[
    ShippedPlugin {
        name: "readonly",
        about: "a policy that allows only requests that read",
        dir: include_dir!("$CARGO_MANIFEST_DIR/scripts/readonly"),
    },
    ShippedPlugin {
        name: "jsonlog",
        about: "logs of containers in rotated files of JSON lines",
        dir: include_dir!("$CARGO_MANIFEST_DIR/scripts/jsonlog"),
    },
    ShippedPlugin {
        name: "ops",
        about: "a policy, volumes, networks and addresses for a host that many people share",
        dir: include_dir!("$CARGO_MANIFEST_DIR/scripts/ops"),
    },
];

/// A plugin of `scripts/`.
#[derive(Debug)]
pub struct ShippedPlugin {
    /// The name of its directory.
    pub name: &'static str,
    /// A line about it.
    pub about: &'static str,
    /// Its files.
    pub dir: Dir<'static>,
}

/// Returns all files below a directory, by their paths below the embedded one.
pub fn files_of(dir: &'static Dir<'static>) -> Vec<(&'static Path, &'static [u8])> {
    let own = dir.files().map(|file| (file.path(), file.contents()));
    own.chain(dir.dirs().flat_map(files_of)).collect()
}
