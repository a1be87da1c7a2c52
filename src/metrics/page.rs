//! The page for Prometheus: one table of metrics, and its text format.

use super::meters::{BUCKETS, Meters, Tally, Verdict};
use crate::protocol::Interface;
use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

/// The content type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric on the page and in the reference.
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: MetricKind,
    /// The labels of its values.
    pub labels: &'static [&'static str],
    /// The description, in one sentence.
    pub help: &'static str,
    values: Values,
}

/// The kind of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Values that only grow, from zero at the start of the process.
    Counter,
    /// Values that rise and fall.
    Gauge,
    /// Counts by upper bound, their sum and their number.
    Histogram,
}

/// The process on the page.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// The time at which it began to serve.
    pub started: SystemTime,
    /// The version of Moondock.
    pub version: &'static str,
}

enum Values {
    Process(fn(&Process, &mut Lines)),
    Plugin(fn(&Meters, &mut Lines)),
}

/// All metrics, in the order of the page.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "moondock_build_info",
        kind: MetricKind::Gauge,
        labels: &["version"],
        help: "Always 1; the label is Moondock's version.",
        values: Values::Process(|process, lines| lines.add(&[("version", process.version)], 1)),
    },
    Metric {
        name: "process_start_time_seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Time at which the process began to serve, in seconds since 1970.",
        values: Values::Process(|process, lines| {
            let since = process
                .started
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            lines.add(&[], since.as_secs_f64());
        }),
    },
    Metric {
        name: "moondock_calls_total",
        kind: MetricKind::Counter,
        labels: &["plugin", "method", "outcome"],
        help: "Calls that were answered (ok), denied by a policy (denied), or failed (failed).",
        values: Values::Plugin(calls),
    },
    Metric {
        name: "moondock_call_duration_seconds",
        kind: MetricKind::Histogram,
        labels: &["plugin", "method"],
        help: "Duration of calls, from the last byte of the request to the first byte of the reply, or to the last byte for `LogDriver.ReadLogs`.",
        values: Values::Plugin(durations),
    },
    Metric {
        name: "moondock_reloads_total",
        kind: MetricKind::Counter,
        labels: &["plugin", "result"],
        help: "Reloads that replaced a script (taken_over), or were rejected so that the last good one stays (refused).",
        values: Values::Plugin(|meters, lines| {
            lines.tally(meters, &[("result", "taken_over")], Tally::TakenOver);
            lines.tally(meters, &[("result", "refused")], Tally::Refused);
        }),
    },
    Metric {
        name: "moondock_script_restarts_total",
        kind: MetricKind::Counter,
        labels: &["plugin"],
        help: "Scripts that ran out of memory and were restarted.",
        values: Values::Plugin(|meters, lines| lines.tally(meters, &[], Tally::Restarted)),
    },
    Metric {
        name: "moondock_script_generation",
        kind: MetricKind::Gauge,
        labels: &["plugin", "script"],
        help: "Generation of the script that answers new calls; 0 if it cannot be loaded.",
        values: Values::Plugin(|meters, lines| {
            meters
                .scripts()
                .for_each(|(interface, generation, _)| lines.script(meters, interface, generation));
        }),
    },
    Metric {
        name: "moondock_script_memory_bytes",
        kind: MetricKind::Gauge,
        labels: &["plugin", "script"],
        help: "Memory of a script at the end of its last call, including garbage.",
        values: Values::Plugin(|meters, lines| {
            meters
                .scripts()
                .for_each(|(interface, _, bytes)| lines.script(meters, interface, bytes));
        }),
    },
    Metric {
        name: "moondock_collect_skipped_total",
        kind: MetricKind::Counter,
        labels: &["plugin"],
        help: "Intervals of a metrics collector that were skipped because `collect` was still running.",
        values: Values::Plugin(|meters, lines| lines.tally(meters, &[], Tally::Skipped)),
    },
    Metric {
        name: "moondock_collect_unread_total",
        kind: MetricKind::Counter,
        labels: &["plugin"],
        help: "Intervals of a metrics collector in which the engine's metrics could not be read.",
        values: Values::Plugin(|meters, lines| lines.tally(meters, &[], Tally::Unread)),
    },
    Metric {
        name: "moondock_log_streams",
        kind: MetricKind::Gauge,
        labels: &["plugin"],
        help: "Open log streams of containers.",
        values: Values::Plugin(|meters, lines| {
            lines.of(meters, &[], meters.logs().streams.load(Relaxed));
        }),
    },
    Metric {
        name: "moondock_log_batches_total",
        kind: MetricKind::Counter,
        labels: &["plugin", "result"],
        help: "Batches of log entries that the script accepted (taken), and failed attempts to deliver one (failed).",
        values: Values::Plugin(|meters, lines| {
            let logs = meters.logs();
            lines.of(meters, &[("result", "taken")], logs.batches.load(Relaxed));
            lines.of(meters, &[("result", "failed")], logs.failures.load(Relaxed));
        }),
    },
    Metric {
        name: "moondock_log_entries_total",
        kind: MetricKind::Counter,
        labels: &["plugin", "result"],
        help: "Log entries that the script accepted (taken), and dropped ones (dropped).",
        values: Values::Plugin(|meters, lines| {
            let logs = meters.logs();
            lines.of(meters, &[("result", "taken")], logs.entries.load(Relaxed));
            lines.of(
                meters,
                &[("result", "dropped")],
                logs.dropped_entries.load(Relaxed),
            );
        }),
    },
    Metric {
        name: "moondock_log_bytes_total",
        kind: MetricKind::Counter,
        labels: &["plugin", "result"],
        help: "Bytes of these entries as the engine framed them, and of corrupt streams (dropped).",
        values: Values::Plugin(|meters, lines| {
            let logs = meters.logs();
            lines.of(meters, &[("result", "taken")], logs.bytes.load(Relaxed));
            lines.of(
                meters,
                &[("result", "dropped")],
                logs.dropped_bytes.load(Relaxed),
            );
        }),
    },
    Metric {
        name: "moondock_log_spilled_bytes",
        kind: MetricKind::Gauge,
        labels: &["plugin"],
        help: "Bytes of log entries that are on disk until the script takes them.",
        values: Values::Plugin(|meters, lines| {
            lines.of(meters, &[], meters.logs().spilled_bytes.load(Relaxed));
        }),
    },
    Metric {
        name: "moondock_open_connections",
        kind: MetricKind::Gauge,
        labels: &["plugin"],
        help: "Open connections of the engine.",
        values: Values::Plugin(|meters, lines| lines.of(meters, &[], meters.connections())),
    },
];

fn calls(meters: &Meters, lines: &mut Lines) {
    for (method, meter) in meters.methods() {
        let can_deny = method.interface == Interface::Authz;
        for verdict in Verdict::ALL
            .into_iter()
            .filter(|v| can_deny || *v != Verdict::Denied)
        {
            let labels = [("method", method.wire), ("outcome", verdict.name())];
            lines.of(meters, &labels, meter.count(verdict));
        }
    }
}

fn durations(meters: &Meters, lines: &mut Lines) {
    let bounds = BUCKETS.map(|bound| bound.as_secs_f64().to_string());
    let bounds = || bounds.iter().map(String::as_str).chain(["+Inf"]);
    for (method, meter) in meters.methods() {
        let [plugin, method] = [("plugin", meters.plugin()), ("method", method.wire)];
        let cumulative = meter.cumulative();
        for (bound, count) in bounds().zip(cumulative) {
            lines.add_part("_bucket", &[plugin, method, ("le", bound)], count);
        }
        lines.add_part("_sum", &[plugin, method], meter.sum().as_secs_f64());
        lines.add_part("_count", &[plugin, method], cumulative[BUCKETS.len()]);
    }
}

/// Writes the page of a process with these plugins.
pub fn page(process: &Process, plugins: &[Arc<Meters>]) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let Metric {
            name, kind, help, ..
        } = metric;
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {}\n",
            kind.name()
        );
        let mut lines = Lines {
            text: &mut text,
            name,
        };
        match metric.values {
            Values::Process(values) => values(process, &mut lines),
            Values::Plugin(values) => plugins.iter().for_each(|meters| values(meters, &mut lines)),
        }
    }
    text
}

impl MetricKind {
    /// Returns the name in the text format.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// The lines of one metric.
struct Lines<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Lines<'_> {
    fn add(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.add_part("", labels, value);
    }

    fn add_part(&mut self, ending: &str, labels: &[(&str, &str)], value: impl Display) {
        *self.text += self.name;
        *self.text += ending;
        for (index, (name, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let text = text
                .replace('\\', r"\\")
                .replace('"', r#"\""#)
                .replace('\n', r"\n");
            let _ = write!(self.text, "{before}{name}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }

    fn of(&mut self, meters: &Meters, labels: &[(&str, &str)], value: u64) {
        let labels = [&[("plugin", meters.plugin())], labels].concat();
        self.add(&labels, value);
    }

    fn tally(&mut self, meters: &Meters, labels: &[(&str, &str)], tally: Tally) {
        self.of(meters, labels, meters.tally(tally));
    }

    fn script(&mut self, meters: &Meters, interface: Interface, value: u64) {
        self.of(meters, &[("script", &interface.file())], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::find;
    use std::time::Duration;

    #[test]
    fn the_page_shows_every_counter() {
        let meters = Arc::new(Meters::new("p"));
        let create = find("VolumeDriver.Create").unwrap();
        meters.generation(Interface::Volume, 3);
        meters.call(create, Verdict::Ok, Duration::from_micros(300));
        meters.call(create, Verdict::Ok, Duration::from_micros(500));
        meters.call(create, Verdict::Failed, Duration::from_secs(90));
        meters.memory(Interface::Volume, 3, 4096);
        meters.memory(Interface::Volume, 2, 1);
        let _open = meters.connected();
        drop(meters.connected());
        let process = Process {
            started: UNIX_EPOCH + Duration::from_millis(1500),
            version: "1\"\\\n",
        };
        let text = page(&process, std::slice::from_ref(&meters));
        let create = r#"plugin="p",method="VolumeDriver.Create""#;
        for line in [
            r#"moondock_build_info{version="1\"\\\n"} 1"#.to_owned(),
            "process_start_time_seconds 1.5".to_owned(),
            format!(r#"moondock_calls_total{{{create},outcome="ok"}} 2"#),
            format!(r#"moondock_calls_total{{{create},outcome="failed"}} 1"#),
            format!(r#"moondock_call_duration_seconds_bucket{{{create},le="0.00025"}} 0"#),
            format!(r#"moondock_call_duration_seconds_bucket{{{create},le="0.0005"}} 2"#),
            format!(r#"moondock_call_duration_seconds_bucket{{{create},le="60"}} 2"#),
            format!(r#"moondock_call_duration_seconds_bucket{{{create},le="+Inf"}} 3"#),
            format!(r"moondock_call_duration_seconds_sum{{{create}}} 90.0008"),
            format!(r"moondock_call_duration_seconds_count{{{create}}} 3"),
            r#"moondock_script_generation{plugin="p",script="volume.lua"} 3"#.to_owned(),
            r#"moondock_script_memory_bytes{plugin="p",script="volume.lua"} 4096"#.to_owned(),
            r#"moondock_open_connections{plugin="p"} 1"#.to_owned(),
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(
            !text.contains("NetworkDriver"),
            "an interface without a script is shown"
        );
    }
}
