//! Hooks that hang while a container ends: how long its user waits.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::bed::Bed;

/// The deadline of each hook in these tests.
const DEADLINE: Duration = Duration::from_secs(2);
/// What a busy machine may add.
const EXTRA: Duration = Duration::from_secs(10);

/// Has a hook hang while the file `hang` is there.
const HEAD: &str = r#"local fs, time = require("@moondock/fs"), require("@moondock/time")
local dir = require("@moondock/plugin").settings().dir
local function hang() while fs.exists(dir .. "/hang") do time.sleep(0.05) end end
"#;
const VOLUME: &str = r#"local names = {}
return {
  create = function(req) names[req.Name] = true end,
  remove = function(req) names[req.Name] = nil end,
  mount = function() return { Mountpoint = dir } end,
  unmount = hang,
  get = function(req) if names[req.Name] then return { Volume = { Name = req.Name } } end end,
  list = function() return { Volumes = {} } end,
}"#;
const NETWORK: &str = r#"local function nothing() end
return {
  create_network = nothing, delete_network = nothing,
  create_endpoint = function() return { Interface = {} } end,
  join = function() return { DisableGatewayService = true } end,
  leave = hang, delete_endpoint = hang,
}"#;
const IPAM: &str = r#"local last = 1
return {
  request_pool = function() return { PoolID = "p", Pool = "10.99.0.0/24" } end,
  release_pool = function() end,
  request_address = function() last += 1; return { Address = `10.99.0.{last}/24` } end,
  release_address = hang,
}"#;
const LOG: &str = "return { write_batch = hang, stop = hang }";
/// The hooks for whose answer the engine waits, one after the other, when a container ends.
const AWAITED: [&str; 4] = [
    "volume.unmount",
    "network.leave",
    "network.delete_endpoint",
    "ipam.release_address",
];

fn bed() -> Bed {
    let bed = Bed::new();
    for (file, text) in [
        ("volume", VOLUME),
        ("network", NETWORK),
        ("ipam", IPAM),
        ("log", LOG),
    ] {
        bed.write_script(&format!("scripts/ops/{file}.lua"), &format!("{HEAD}{text}"));
    }
    let dir = bed.dir().display();
    let deadlines = AWAITED.map(|key| format!("{key:?} = {}\n", DEADLINE.as_millis()));
    let manifest = format!(
        "grants = [\"fs.read:{dir}\"]\n[settings]\ndir = \"{dir}\"\n[limits.deadline_ms]\n{}",
        deadlines.concat()
    );
    bed.write_script("scripts/ops/plugin.toml", &manifest);
    bed.moondock_start(&bed.dir().join("scripts"), &[]);
    bed.engine_start(&[]);
    bed
}

#[test]
fn the_end_of_a_container_takes_no_longer_than_the_deadlines_of_its_hooks() {
    needs!(engine);
    let bed = bed();
    let network = [
        "network",
        "create",
        "-d",
        "ops",
        "--ipam-driver",
        "ops",
        "net",
    ];
    bed.docker(&network).ok();
    let run = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "net",
        "--log-driver",
        "ops",
    ];
    let volume = [
        "-v",
        "data:/data",
        "--volume-driver",
        "ops",
        "busybox",
        "sleep",
        "600",
    ];
    bed.docker(&[&run[..], &volume].concat()).ok();
    fs::write(bed.dir().join("hang"), "").unwrap();
    let took = |args: &[&str]| {
        let begun = Instant::now();
        bed.docker(args).ok();
        begun.elapsed()
    };
    std::thread::scope(|scope| {
        let killed = scope.spawn(|| took(&["kill", "web"]));
        assert!(
            took(&["ps"]) < EXTRA,
            "`docker ps` takes no container's lock"
        );
        let inspected = took(&["inspect", "web"]);
        let killed = killed.join().unwrap();
        println!("kill: {killed:.1?}, inspect meanwhile: {inspected:.1?}");
        let most = DEADLINE * u32::try_from(AWAITED.len()).unwrap() + EXTRA;
        assert!(
            killed < most && inspected < most,
            "kill: {killed:?}, inspect: {inspected:?}"
        );
    });
    assert_eq!(
        bed.docker(&["inspect", "-f", "{{.State.Running}}", "web"])
            .ok(),
        "false"
    );
    let late = bed
        .moondock_log()
        .matches("did not answer within 2000 ms")
        .count();
    assert!(
        late >= AWAITED.len(),
        "{late} hooks hung: {}",
        bed.moondock_log()
    );
}
