//! The pretty format: `TIME LEVEL message field=value …`, one line for each event.
//!
//! Every call writes such a line, on the thread that answers the engine, so it is put together by hand:
//! the layer of `tracing-subscriber` for it takes twice as long.

use super::sink::Sink;
use std::fmt::{Debug, Write};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Longer than most lines.
const USUAL_LENGTH: usize = 256;

/// Writes events as lines of text.
pub struct Lines {
    /// Where they go.
    pub sink: Sink,
    /// Whether levels are coloured, for a terminal.
    pub colours: bool,
}

/// A line, and what follows it where the message has more lines: the fields stand on the first.
struct Line {
    text: String,
    rest: String,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line {
            text: String::with_capacity(USUAL_LENGTH),
            rest: String::new(),
        };
        line.time(SystemTime::now());
        line.text
            .push_str(level(*event.metadata().level(), self.colours));
        event.record(&mut line);
        line.text.push_str(&line.rest);
        line.text.push('\n');
        self.sink.push(line.text.as_bytes());
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
    /// `2026-11-23T15:35:12.849208Z`, in UTC.
    fn time(&mut self, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
        let (year, month, day) = date(days);
        for (value, width, after) in [
            (year, 4, '-'),
            (month, 2, '-'),
            (day, 2, 'T'),
            (second / 3600, 2, ':'),
            (second / 60 % 60, 2, ':'),
            (second % 60, 2, '.'),
            (now.subsec_micros().into(), 6, 'Z'),
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
        // Writing to a string cannot fail; a value that fails to describe itself stays away.
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

    /// What could be taken for the next field, or for another line, is quoted.
    fn record_str(&mut self, field: &Field, value: &str) {
        let plain = |c: u8| c > b' ' && c != b'"' && c != b'=' && c != 0x7f;
        if value.is_empty() || !value.bytes().all(plain) {
            return self.write(field, format_args!("{value:?}"));
        }
        self.name(field);
        self.text.push_str(value);
    }

    /// Two places after the point, by way of an integer: `{:.2}` of a float takes longer than the
    /// rest of the line.
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

/// The year, month and day of a day since 1970, by the calendar's cycle of 400 years, which is
/// counted from the first of March, so that the leap day comes last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (cycle * 400 + year + later, month, day)
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
            let mut line = Line {
                text: String::new(),
                rest: String::new(),
            };
            line.time(UNIX_EPOCH + Duration::from_micros(micros));
            assert_eq!(line.text, text);
        }
    }
}
