//! The pretty format: `TIME LEVEL message field=value …`, one line for each event.
//!
//! Each call writes such a line on the thread that answers the engine, so the line is assembled
//! here: the layer of `tracing-subscriber` takes twice as long.

use super::sink::Sink;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};
use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The initial capacity of a line, which suffices for most.
const USUAL_LENGTH: usize = 256;

/// Writes events as lines of text.
pub struct Lines {
    /// The sink of the lines.
    pub sink: Sink,
    /// Whether levels are coloured for a terminal.
    pub colours: bool,
}

/// A line, and the further lines of its message. The fields are on the first line.
struct Line {
    text: String,
    rest: String,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::new();
        line.time(OffsetDateTime::now_utc());
        let mut line = line.of(event, self.colours);
        line.push('\n');
        self.sink.push(line.as_bytes());
    }
}

/// Keeps the lines of events, without their times.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<String>>>);

impl Kept {
    /// Returns the lines so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }
}

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::new().of(event, false).trim_start().to_owned();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
    }
}

fn level(level: Level, coloured: bool) -> &'static str {
    match (level, coloured) {
        (Level::ERROR, false) => " ERROR",
        (Level::ERROR, true) => " \x1b[31mERROR\x1b[0m",
        (Level::WARN, false) => "  WARN",
        (Level::WARN, true) => "  \x1b[33mWARN\x1b[0m",
        (Level::INFO, false) => "  INFO",
        (Level::INFO, true) => "  \x1b[32mINFO\x1b[0m",
        (Level::DEBUG, _) => " DEBUG",
        (Level::TRACE, _) => " TRACE",
    }
}

impl Line {
    fn new() -> Self {
        Self {
            text: String::with_capacity(USUAL_LENGTH),
            rest: String::new(),
        }
    }

    /// Appends the level, the message and the fields of an event.
    fn of(mut self, event: &Event<'_>, coloured: bool) -> String {
        self.text
            .push_str(level(*event.metadata().level(), coloured));
        event.record(&mut self);
        self.text.push_str(&self.rest);
        self.text
    }

    /// Writes a time in UTC, as `2026-11-23T15:35:12.849208Z`. The formatter of `time` takes
    /// longer.
    fn time(&mut self, now: OffsetDateTime) {
        let (year, month, day) = now.to_calendar_date();
        let (hour, minute, second, micros) = now.to_hms_micro();
        for (value, width, after) in [
            (year.unsigned_abs().into(), 4, '-'),
            (u8::from(month).into(), 2, '-'),
            (day.into(), 2, 'T'),
            (hour.into(), 2, ':'),
            (minute.into(), 2, ':'),
            (second.into(), 2, '.'),
            (micros.into(), 6, 'Z'),
        ] {
            self.digits(value, width);
            self.text.push(after);
        }
    }

    /// Writes the last `width` digits. Dividing by a constant takes a fraction of the time of dividing by a power.
    fn digits(&mut self, mut value: u64, width: usize) {
        let mut digits = [b'0'; 20];
        for digit in digits[..width].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
        let digits = digits[..width].iter();
        self.text.extend(digits.map(|digit| char::from(*digit)));
    }

    fn number(&mut self, value: u64) {
        self.digits(
            value,
            value.checked_ilog10().map_or(1, |log| log as usize + 1),
        );
    }

    fn name(&mut self, field: &Field) {
        self.text.push(' ');
        if field.name() != "message" {
            self.text.push_str(field.name());
            self.text.push('=');
        }
    }

    fn write(&mut self, field: &Field, value: std::fmt::Arguments<'_>) {
        self.name(field);
        // Writing to a string cannot fail; a value whose formatting fails is left out.
        let _ = self.text.write_fmt(value);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let start = self.text.len();
        self.write(field, format_args!("{value:?}"));
        if field.name() == "message"
            && let Some(end) = self.text[start..].find('\n')
        {
            self.rest = self.text.split_off(start + end);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        self.number(value);
    }

    /// Quotes values that could be mistaken for another field or line. The fields of a script's line
    /// are rendered and quoted already.
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "fields" {
            self.text.push(' ');
            return self.text.push_str(value);
        }
        let plain = |c: u8| c > b' ' && c != b'"' && c != b'=' && c != 0x7f;
        if value.is_empty() || !value.bytes().all(plain) {
            return self.write(field, format_args!("{value:?}"));
        }
        self.name(field);
        self.text.push_str(value);
    }

    /// Writes two decimal places by way of an integer, because formatting a float takes longer than
    /// the rest of the line.
    fn record_f64(&mut self, field: &Field, value: f64) {
        let hundredths = (value * 100.0).round();
        if !(0.0..1e15).contains(&hundredths) {
            return self.write(field, format_args!("{value}"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1e15, as checked above"
        )]
        let hundredths = hundredths as u64;
        self.name(field);
        self.number(hundredths / 100);
        self.text.push('.');
        self.digits(hundredths % 100, 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn time_is_written_in_utc() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399_000_001, "2000-02-28T23:59:59.000001Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (1_795_448_112_849_208, "2026-11-23T15:35:12.849208Z"),
        ] {
            let mut line = Line::new();
            line.time(OffsetDateTime::UNIX_EPOCH + Duration::from_micros(micros));
            assert_eq!(line.text, text);
        }
    }
}
