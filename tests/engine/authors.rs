//! What Docker's user sees of an author's mistakes.

use crate::harness::bed::Bed;

const RAW: &str = r#"
local volume = {}
function volume.create() return nil, "no room" end
function volume.remove() end
function volume.mount() return { Mountpoint = "/srv" } end
function volume.unmount() end
function volume.get() end
function volume.list() return { Volumes = {} } end
return volume
"#;

const KIT: &str = r#"
local volume = require("@moondock/volume")
return volume.driver({
  create = function(v) return nil, "no room" end,
  mount = function(v) return "/srv" end,
})
"#;

/// A script that reports a failure in Lua's way must not make Docker believe in the volume.
#[test]
fn a_volume_whose_creation_returned_a_reason_does_not_exist() {
    needs!(engine);
    let bed = Bed::new();
    bed.serve(
        &[("raw", "volume.lua", RAW), ("kit", "volume.lua", KIT)],
        &[],
    );
    bed.engine_start(&[]);
    for driver in ["raw", "kit"] {
        let created = bed.docker(&["volume", "create", "-d", driver, "data"]);
        created.fails_with(&["`create` returned a second value", "no room"]);
        assert_eq!(bed.docker(&["volume", "ls", "-q"]).ok(), "", "{driver}");
    }
}
