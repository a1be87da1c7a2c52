//! Metrics: the counters of Moondock, and the text format of Prometheus.

mod logs;
mod meters;
mod page;
mod samples;

pub use logs::LogCounters;
pub use meters::{BUCKETS, Meters, Tally, Verdict};
pub use page::{CONTENT_TYPE, METRICS, Metric, MetricKind, Process, page};
pub use samples::{Family, Sample, Samples};
