//! `MetricsCollector` (protocol 9): for managed plugins only.

use super::method::row_of;
use super::shape::{EMPTY, TEXT_MAP, optional, required};
use super::{Answer, Interface::Metrics, Method, Missing, Shape, Type};

const SAMPLE: Shape = Shape {
    name: "MetricSample",
    fields: &[
        required(
            "name",
            Type::Text,
            "The series' name, such as `engine_daemon_network_actions_seconds_count`.",
        ),
        required("labels", TEXT_MAP, "Its labels; empty when it has none."),
        required(
            "value",
            Type::Number,
            "Its value; may be infinite, or not a number (`value ~= value`).",
        ),
        required(
            "type",
            Type::Text,
            "`counter`, `gauge`, `histogram`, `summary` or `untyped`. The `_bucket`, `_sum` and `_count` of a histogram are samples of their own.",
        ),
        optional("help", Type::Text, "What the engine says of it."),
        optional(
            "timestamp",
            Type::Int,
            "When it was taken, in ms since 1970, if the engine says so.",
        ),
    ],
};

const COLLECT_REQUEST: Shape = Shape {
    name: "CollectRequest",
    fields: &[required(
        "samples",
        Type::List(&Type::Record(&SAMPLE)),
        "What the engine has counted, in its order.",
    )],
};

/// The hook that takes the engine's metrics; called by Moondock.
pub static COLLECT: &Method = row_of(METHODS, "collect");

pub(super) static METHODS: &[Method] = &[
    Method::new(
        Metrics,
        "MetricsCollector.StartMetrics",
        "start",
        &EMPTY,
        &EMPTY,
        "Tells that metrics can be read, when the engine or the plugin has started: `collect` is called from now on. Raising prevents that.",
    )
    .answer(Answer::StartMetrics)
    .greeting(2)
    .missing(Missing::Answered("{}")),
    Method::new(
        Metrics,
        "metrics.collect",
        "collect",
        &COLLECT_REQUEST,
        &EMPTY,
        "Takes what the engine has counted: at once after `start`, and then every `metrics.interval_s` seconds (`plugin.toml`). Never twice at a time: one that \
         takes too long skips beats. An error is logged, and the next beat comes as always.",
    )
    .answer(Answer::Uncalled)
    .arguments(&[("samples", "{ MetricSample }")]),
    Method::new(
        Metrics,
        "MetricsCollector.StopMetrics",
        "stop",
        &EMPTY,
        &EMPTY,
        "Tells that the engine ends: `collect` is not called any more.",
    )
    .answer(Answer::StopMetrics)
    .missing(Missing::Answered("{}")),
];
