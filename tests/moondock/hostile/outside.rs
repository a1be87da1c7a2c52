//! What a script makes grow outside of its state: each has a bound, and says so.

use super::{OTHER_HOOKS, script};
use crate::harness::scripted::{Scripted, Scripts};
use serde_json::json;
use std::fs;

/// Creates a volume with a script whose hook does this, and returns the status and the error.
async fn create(plugin: &Scripted, name: &str) -> (u16, String) {
    let (status, reply) = plugin
        .call("VolumeDriver.Create", json!({ "Name": name }))
        .await;
    (status, reply["Err"].as_str().unwrap_or_default().to_owned())
}

fn scripts(limits: &str, deed: &str) -> Scripts {
    let create = format!("function volume.create(req)\n  local name = req.Name\n  {deed}\nend\n");
    let manifest = format!(
        "grants = ['fs.write:/', 'exec:sh']\n[limits]\ncpu_ms = 5000\nmemory_mib = 4\n{limits}"
    );
    Scripts::new([
        ("plugin.toml", manifest.as_str()),
        ("volume.lua", &script("volume", "", &(create + OTHER_HOOKS))),
    ])
}

#[test]
fn the_store_has_a_limit_of_bytes() {
    let deed = "for n = 1, 100 do store.set(`{name}{n}`, string.rep('x', 100000)) end";
    scripts("store_mib = 1\n", deed).open(async |plugin| {
        let (status, error) = create(&plugin, "a").await;
        assert_eq!(status, 500, "{error}");
        assert!(
            error.contains("store.set: the store would hold more than 1 MiB")
                && error.contains("raise `store_mib` in plugin.toml"),
            "{error}"
        );
    });
}

#[test]
fn the_store_has_a_limit_of_keys_also_in_a_transaction() {
    let deed = "store.transaction(function(tx)
    for n = 1, 11 do tx:set('k' .. n, n) end
  end)";
    scripts("store_keys = 10\n", deed).open(async |plugin| {
        let (_, error) = create(&plugin, "a").await;
        assert!(
            error.contains("tx:set: the store holds 10 keys, and no more"),
            "{error}"
        );
    });
}

#[test]
fn a_full_store_can_be_emptied_and_its_values_replaced() {
    let deed = "if name == 'fill' then
    for n = 1, 10 do store.set('k' .. n, 'long text') end
  elseif name == 'replace' then
    store.set('k1', 'x')
  elseif name == 'move' then
    store.transaction(function(tx) tx:delete('k1') tx:set('other', 1) end)
  else
    store.set('more', 1)
  end";
    scripts("store_keys = 10\n", deed).open(async |plugin| {
        for (name, expected) in [
            ("fill", 200),
            ("replace", 200),
            ("move", 200),
            ("more", 500),
        ] {
            let (status, error) = create(&plugin, name).await;
            assert_eq!(status, expected, "{name}: {error}");
        }
    });
}

#[test]
fn what_calls_hold_outside_of_lua_counts_against_their_memory() {
    let deeds = [
        (
            "process.run({ argv = { 'sh', '-c', 'head -c 6000000 /dev/zero' }, max_output = 60000000 })",
            "process.run: `sh` was killed",
        ),
        ("fs.read('/SCRATCH/large')", "fs.read: "),
    ];
    for (deed, place) in deeds {
        let scripts = scripts("", "");
        let large = scripts.path().with_file_name("large");
        fs::File::create(&large).unwrap().set_len(6 << 20).unwrap();
        let deed = deed.replace("/SCRATCH/large", large.to_str().unwrap());
        let hook = format!("function volume.create()\n  {deed}\nend\n");
        scripts.write("volume.lua", &script("volume", "", &(hook + OTHER_HOOKS)));
        scripts.open(async |plugin| {
            let (status, error) = create(&plugin, "a").await;
            assert_eq!(status, 500, "{deed}: {error}");
            assert!(
                error.contains(place)
                    && error.contains("hold more than 4 MiB outside of Lua")
                    && error.contains("raise `memory_mib`"),
                "{deed}: {error}"
            );
        });
    }
}

#[test]
fn the_body_of_a_call_counts_against_the_memory_of_its_script() {
    scripts("", "").open(async |plugin| {
        let body = json!({ "Name": "a", "Opts": { "x": "y".repeat(5 << 20) } });
        let (status, reply) = plugin.call("VolumeDriver.Create", body).await;
        let error = reply["Err"].as_str().unwrap_or_default();
        assert_eq!(status, 500, "{error}");
        assert!(
            error.contains("hold more than 4 MiB outside of Lua"),
            "{error}"
        );
        assert_eq!(create(&plugin, "small").await.0, 200);
    });
}

#[test]
fn a_script_that_prints_in_a_loop_does_not_fill_the_log() {
    let scripts = scripts(
        "log_lines_per_s = 50\n",
        "for n = 1, 20000 do print('line ' .. n) end",
    );
    scripts.open(async |plugin| {
        assert_eq!(create(&plugin, "a").await.0, 200);
        let log = plugin.log();
        let lines = log.lines().filter(|line| line.contains("line ")).count();
        assert!((1..20_000).contains(&lines), "{lines} lines were written");
        let left_out: usize = log
            .lines()
            .filter_map(|line| line.split_once(" log lines left out"))
            .filter_map(|(before, _)| before.rsplit(' ').next()?.parse::<usize>().ok())
            .sum();
        assert!(left_out > 10_000, "{left_out} lines were left out: {log}");
    });
}
