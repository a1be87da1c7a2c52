//! Invalid values in `plugin.toml`.

use crate::host::MANIFEST;
use crate::script::Diagnostic;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// An invalid value, found under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    pub key: String,
    pub message: String,
}

impl InvalidValue {
    /// Describes an invalid value.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }

    /// Locates the key in `text`, the file.
    pub fn locate(self, text: &str) -> Diagnostic {
        let line = text.find(&self.key).map(|offset| line_at(text, offset));
        Diagnostic::of_file(MANIFEST, self.message).at(line)
    }
}

/// Returns an error unless `value` is in `range`.
pub fn check_range<T: PartialOrd + Display>(
    key: &str,
    value: T,
    range: &RangeInclusive<T>,
) -> Result<(), InvalidValue> {
    if range.contains(&value) {
        return Ok(());
    }
    let (start, end) = (range.start(), range.end());
    let message = format!("`{key}` must be between {start} and {end}");
    Err(InvalidValue::new(key, message))
}

/// Returns the line at a byte offset, counted from 1.
pub fn line_at(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}
