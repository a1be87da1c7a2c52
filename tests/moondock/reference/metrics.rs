//! `docs/reference/metrics.md`: Moondock's own metrics.

use moondock::metrics::{METRICS, MetricKind};

const INTRO: &str = "# Metrics

What `GET /metrics` returns at the address of `moondock serve --metrics`, in the text format of Prometheus. The [guide](../guides/metrics.md) shows how to use it.

* Counters start at zero with the process.
* `plugin` is the plugin's name, `script` the file of an interface (`volume.lua`), `method` the name of the engine's call (`VolumeDriver.Mount`).
* A plugin appears once its scripts are loaded, with all methods of its interfaces, called or not. A method without a hook counts as answered.
* *Denied* is for policies only. A request is denied too if the policy fails, and counts as *failed*.
* A body above its limit counts as failed, and has no duration.

| metric | type | labels | |
|---|---|---|---|
";

/// The page.
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    for metric in METRICS {
        let histogram = if metric.kind == MetricKind::Histogram {
            " and `le`"
        } else {
            ""
        };
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind, help) = (metric.name, metric.kind.name(), metric.help);
        page += &format!(
            "| `{name}` | {kind} | {}{histogram} | {help} |\n",
            labels.join(", ")
        );
    }
    page
}
