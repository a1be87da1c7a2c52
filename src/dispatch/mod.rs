//! From a method's name and body to its reply: the row, the script, the hook. It knows no HTTP.

mod answer;
mod collector;
mod error;
mod inspect;
mod logging;
mod manifest;
mod plugin;
mod policy;
mod reload;
mod request;
mod settings;
mod surroundings;

pub use collector::MetricsSettings;
pub use error::{CallError, OpenError, Reply, ReplyStream};
pub use inspect::{Finding, Inspection, Severity, inspect};
pub use logging::{LogSettings, OnSlow};
pub use manifest::Manifest;
pub use plugin::{Plugin, PluginSpec};
pub use request::{REQUEST_FIELDS, REQUEST_TYPES, RequestField};
pub use settings::{Variables, form_of, variable_of};
pub use surroundings::Surroundings;
