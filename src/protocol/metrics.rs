//! `MetricsCollector` (protocol 9), for managed plugins only.

use super::shape::{EMPTY, TEXT_MAP, optional, required};
use super::method::row_of;
use super::{Answer, Interface::Metrics, Method, Missing, Shape, Type};

/// A sample of the engine's metrics.
pub const SAMPLE: &Shape = &Shape::new("MetricSample", &[
    required("name",      Type::Text,   "The name of the series, such as `engine_daemon_network_actions_seconds_count`."),
    required("labels",    TEXT_MAP,     "The labels; empty if there are none."),
    required("value",     Type::Number, "The value, which may be infinite or not a number (`value ~= value`)."),
    required("type",      Type::Text,   "`counter`, `gauge`, `histogram`, `summary` or `untyped`. \
                                         The `_bucket`, `_sum` and `_count` of a histogram are separate samples."),
    optional("help",      Type::Text,   "The engine's description of the metric."),
    optional("timestamp", Type::Int,    "The time of the sample in ms since 1970, if the engine reports it."),
]);

const COLLECT_REQUEST: Shape = Shape::new("CollectRequest", &[
    required("samples", Type::List(&Type::Record(SAMPLE)), "The engine's metrics, in its order."),
]);

/// The row of the hook `collect`, which Moondock calls.
pub static COLLECT: &Method = row_of(METHODS, "collect");

const fn row(
    wire: &'static str,
    hook: &'static str,
    request: &'static Shape,
    doc: &'static str,
) -> Method {
    Method::new(Metrics, wire, hook, request, &EMPTY, doc)
}

pub(super) static METHODS: &[Method] = &[
    row("MetricsCollector.StartMetrics", "start", &EMPTY,
        "Prepares the collection of metrics, when the engine or the plugin has started. \
         From then on, Moondock calls `collect`, unless the hook raises.")
        .answer(Answer::StartMetrics)
        .greeting(2)
        .missing(Missing::Answered("{}")),
    row("metrics.collect", "collect", &COLLECT_REQUEST,
        "Processes the engine's metrics: right after `start`, and then every `metrics.interval_s` seconds (`plugin.toml`). \
         Calls never overlap: while one takes longer than the interval, the calls that are due meanwhile are skipped. \
         An error is logged, and the next call is made as usual.")
        .answer(Answer::Uncalled)
        .arguments(&[("samples", "{ MetricSample }")]),
    row("MetricsCollector.StopMetrics", "stop", &EMPTY,
        "Ends the collection of metrics, when the engine shuts down. Moondock no longer calls `collect`.")
        .answer(Answer::StopMetrics)
        .missing(Missing::Answered("{}")),
];
