//! A container that logs as fast as it can, and what else the plugin's thread has to do.

use super::fifo::{ContainerLog, Writer, entry, until};
use super::{plugin, start};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;
use tokio::time::sleep;

/// Takes all at once, but for the time in which the file `OUT.hold` is there.
const SCRIPT: &str = r#"
    local fs, time = require("@moondock/fs"), require("@moondock/time")
    local out = require("@moondock/plugin").settings().out
    return { write_batch = function()
      while fs.exists(out .. ".hold") do time.sleep(0.01) end
    end }"#;

fn flood(mut writer: Writer, end: Arc<AtomicBool>) -> JoinHandle<()> {
    spawn(move || {
        let entries = vec![entry(&"x".repeat(100)); 100];
        while !end.load(Relaxed) {
            writer.send(&entries);
        }
    })
}

/// Counted instead of timed, it does not depend on how fast the machine is.
#[test]
fn dropping_entries_does_not_starve_other_calls() {
    let log = ContainerLog::new("web");
    plugin(&log, SCRIPT, "[log]\non_slow = \"drop\"").open(async |plugin| {
        let (writer, end) = (log.writer(), Arc::new(AtomicBool::new(false)));
        start(&plugin, &log).await;
        log.hold(true);
        let flooding = flood(writer, end.clone());
        let counters = plugin.plugin().log_counters();
        let dropped = || counters.dropped_bytes.load(Relaxed);
        until("the flood", || dropped() > 0).await;
        let mut most = 0;
        for _ in 0..500 {
            let before = dropped();
            sleep(Duration::from_millis(1)).await;
            most = most.max(dropped() - before);
        }
        end.store(true, Relaxed);
        until("the end of the flood", || flooding.is_finished()).await;
        log.hold(false);
        assert!(
            most < 8 << 20,
            "{most} bytes were given up before anything else had its turn"
        );
    });
}
