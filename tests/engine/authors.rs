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

const SHELF: &str = r#"
local volume = require("@moondock/volume")
return volume.driver({
  names = "[%w_.-]+@?[%w_.-]*",
  mount = function(v) return "/srv" end,
})
"#;

/// `-v a:/d` would mount something else.
#[test]
fn a_volume_that_docker_could_not_mount_is_refused() {
    needs!(engine);
    let bed = Bed::new();
    bed.serve(
        &[("kit", "volume.lua", KIT), ("shelf", "volume.lua", SHELF)],
        &[],
    );
    bed.engine_start(&[]);
    for driver in ["kit", "shelf"] {
        let created = bed.docker(&["volume", "create", "-d", driver, "a"]);
        created.fails_with(&["invalid volume name \"a\": use 2 to 255"]);
    }
    let created = bed.docker(&["volume", "create", "-d", "shelf", "data@store"]);
    assert_eq!(created.ok(), "data@store");
    bed.docker(&["run", "--rm", "-v", "data@store:/d", "busybox", "ls", "/d"])
        .ok();
    assert_eq!(
        bed.docker(&["volume", "rm", "data@store"]).ok(),
        "data@store"
    );
}

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
