//! From a method's name and body to its reply: the row, the script, the hook. It knows no HTTP.

mod answer;
mod collector;
mod core;
mod error;
mod inspect;
mod logging;
mod manifest;
mod policy;
mod reload;
mod request;
mod settings;
mod surroundings;

pub use self::core::{Plugin, PluginSpec};
pub use collector::MetricsSettings;
pub use error::{CallError, OpenError, Reply, ReplyStream};
pub use inspect::{Finding, Inspection, Severity, inspect};
pub use logging::{LogSettings, OnSlow};
pub use manifest::Manifest;
pub use request::{REQUEST_FIELDS, REQUEST_TYPES, RequestField};
pub use settings::{Variables, form_of, variable_of};
pub use surroundings::Surroundings;
