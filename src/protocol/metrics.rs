//! MetricsCollector (`protocol.md` 9): for managed plugins only.

use super::shape::EMPTY;
use super::{Interface::Metrics, Method};

pub(super) const METHODS: &[Method] = &[
    Method::new(
        Metrics,
        "MetricsCollector.StartMetrics",
        "start",
        &EMPTY,
        &EMPTY,
        "Tells that metrics can be read.",
    ),
    Method::new(
        Metrics,
        "MetricsCollector.StopMetrics",
        "stop",
        &EMPTY,
        &EMPTY,
        "Tells that the engine ends.",
    ),
];
