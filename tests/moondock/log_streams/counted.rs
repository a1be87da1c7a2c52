//! What the page of metrics says of log scripts.

use super::fifo::{ContainerLog, entry, until};
use super::{plugin, read_all, start};
use crate::harness::scripted::Scripted;
use moondock::metrics::{Process, page};
use serde_json::json;
use std::slice::from_ref;
use std::time::SystemTime;

const SCRIPT: &str = r#"return {
  write_batch = function(entries) if entries[1].line == "bad" then error("oh") end end,
  read = function(info, config, emit)
    if config.Tail == 0 then error("no") end
    emit({ time = "1", line = "x" })
  end,
}"#;

async fn wait_for_count(plugin: &Scripted, method: &str, outcome: &str, count: u64) {
    let line = format!(
        r#"moondock_calls_total{{plugin="p",method="{method}",outcome="{outcome}"}} {count}"#
    );
    let process = Process {
        started: SystemTime::now(),
        version: "1",
    };
    let shown = || page(&process, from_ref(plugin.plugin().meters()));
    until(&line, || shown().lines().any(|found| found == line)).await;
}

#[test]
fn batches_and_reads_are_counted_as_calls() {
    let log = ContainerLog::new("web");
    plugin(&log, SCRIPT, "[log]\non_slow = \"drop\"").open(async |plugin| {
        let mut writer = log.writer();
        start(&plugin, &log).await;
        writer.send(&[entry("good")]);
        wait_for_count(&plugin, "log.write_batch", "ok", 1).await;
        writer.send(&[entry("bad")]);
        wait_for_count(&plugin, "log.write_batch", "failed", 1).await;
        let request = |tail: i64| json!({ "Info": log.info(), "Config": { "Tail": tail } });
        read_all(plugin.stream("LogDriver.ReadLogs", request(-1)).await).await;
        wait_for_count(&plugin, "LogDriver.ReadLogs", "ok", 1).await;
        plugin.error("LogDriver.ReadLogs", request(0)).await;
        wait_for_count(&plugin, "LogDriver.ReadLogs", "failed", 1).await;
        assert_eq!(plugin.raw("LogDriver.ReadLogs", b"{").await.0, 400);
        wait_for_count(&plugin, "LogDriver.ReadLogs", "failed", 2).await;
    });
}
