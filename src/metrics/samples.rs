//! A parser of Prometheus' text format (0.0.4).

use std::collections::HashMap;

/// A parsed page.
#[derive(Debug, Default, PartialEq)]
pub struct Samples {
    /// The metrics, in the page's order.
    pub families: Vec<Family>,
    /// The values, in the page's order.
    pub samples: Vec<Sample>,
    /// The number of malformed lines, which are left out.
    pub unread: usize,
    /// The number of the first malformed line, counted from 1.
    pub first_unread: Option<usize>,
}

/// A metric.
#[derive(Debug, PartialEq)]
pub struct Family {
    /// `counter`, `gauge`, `histogram`, `summary` or `untyped`.
    pub kind: &'static str,
    /// The description.
    pub help: Option<String>,
}

/// A value.
#[derive(Debug, Default, PartialEq)]
pub struct Sample {
    /// The name of the series.
    pub name: String,
    /// The labels, in the page's order.
    pub labels: Vec<(String, String)>,
    /// The value, which may be infinite or not a number.
    pub value: f64,
    /// The time at which it was taken, in ms since 1970.
    pub timestamp: Option<i64>,
    /// The index of its metric in [`Samples::families`].
    pub family: Option<usize>,
}

/// The kinds of metrics. The first is the default.
const KINDS: [&str; 5] = ["untyped", "counter", "gauge", "histogram", "summary"];

/// The suffixes of series, with the kinds of metrics that have them.
const PARTS: [(&str, &[&str]); 3] = [
    ("_bucket", &["histogram"]),
    ("_sum", &["histogram", "summary"]),
    ("_count", &["histogram", "summary"]),
];

impl Samples {
    /// Parses a page. Malformed lines are counted and left out.
    pub fn parse(page: &[u8]) -> Self {
        let page = String::from_utf8_lossy(page);
        let mut found = Self::default();
        let mut places = HashMap::new();
        for (index, line) in page.lines().enumerate() {
            let line = line.trim_matches(BLANK);
            let is_valid = match line.strip_prefix('#') {
                _ if line.is_empty() => true,
                Some(comment) => found.comment(comment, &mut places),
                None => found.sample(line, &places),
            };
            if !is_valid {
                found.unread += 1;
                found.first_unread.get_or_insert(index + 1);
            }
        }
        found
    }

    /// Returns the kind of a sample's metric.
    pub fn kind(&self, sample: &Sample) -> &'static str {
        sample
            .family
            .and_then(|at| self.families.get(at))
            .map_or(KINDS[0], |family| family.kind)
    }

    /// Returns the description of a sample's metric.
    pub fn help(&self, sample: &Sample) -> Option<&str> {
        sample
            .family
            .and_then(|at| self.families.get(at))
            .and_then(|family| family.help.as_deref())
    }

    fn comment<'a>(&mut self, comment: &'a str, places: &mut HashMap<&'a str, usize>) -> bool {
        let (word, rest) = split_word(comment);
        if !matches!(word, "HELP" | "TYPE") {
            return true;
        }
        let (name, text) = split_word(rest);
        if name.is_empty() {
            return false;
        }
        let place = *places.entry(name).or_insert(self.families.len());
        if place == self.families.len() {
            self.families.push(Family {
                kind: KINDS[0],
                help: None,
            });
        }
        let family = &mut self.families[place];
        match word {
            "HELP" => family.help = Some(unescape(text)),
            _ => match KINDS.into_iter().find(|kind| *kind == text) {
                Some(kind) => family.kind = kind,
                None => return false,
            },
        }
        true
    }

    fn sample(&mut self, line: &str, places: &HashMap<&str, usize>) -> bool {
        let Some(mut sample) = Line(line).sample() else {
            return false;
        };
        sample.family = self.family_of(&sample.name, places);
        self.samples.push(sample);
        true
    }

    fn family_of(&self, name: &str, places: &HashMap<&str, usize>) -> Option<usize> {
        let part = |(ending, kinds): &(&str, &[&str])| {
            let place = *places.get(name.strip_suffix(ending)?)?;
            kinds
                .contains(&self.families.get(place)?.kind)
                .then_some(place)
        };
        places
            .get(name)
            .copied()
            .or_else(|| PARTS.iter().find_map(part))
    }
}

const BLANK: [char; 3] = [' ', '\t', '\r'];

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(BLANK);
    let (word, rest) = text.split_at(text.find(BLANK).unwrap_or(text.len()));
    (word, rest.trim_start_matches(BLANK))
}

/// The unparsed rest of a sample's line.
struct Line<'a>(&'a str);

impl Line<'_> {
    fn sample(mut self) -> Option<Sample> {
        let name = self.word(|c| is_name(c) || c == ':')?;
        let mut sample = Sample {
            name,
            ..Sample::default()
        };
        if self.takes('{') {
            while !self.takes('}') {
                sample.labels.push(self.label()?);
                if !self.takes(',') && !self.0.starts_with('}') {
                    return None;
                }
            }
        }
        let (value, rest) = split_word(self.0);
        sample.value = value.parse().ok()?;
        if !rest.is_empty() {
            sample.timestamp = Some(rest.parse().ok()?);
        }
        Some(sample)
    }

    fn label(&mut self) -> Option<(String, String)> {
        let name = self.word(is_name)?;
        if !self.takes('=') || !self.takes('"') {
            return None;
        }
        let end = closing_quote(self.0)?;
        let value = unescape(&self.0[..end]);
        self.0 = self.0[end + 1..].trim_start_matches(BLANK);
        Some((name, value))
    }

    /// Takes a name, and the blanks after it.
    fn word(&mut self, belongs: impl Fn(char) -> bool) -> Option<String> {
        let (word, rest) = self
            .0
            .split_at(self.0.find(|c| !belongs(c)).unwrap_or(self.0.len()));
        let is_name = word.starts_with(|c: char| !c.is_ascii_digit());
        self.0 = rest.trim_start_matches(BLANK);
        is_name.then(|| word.to_owned())
    }

    /// Takes `sign`, and the blanks after it unless it opens a quoted text.
    fn takes(&mut self, sign: char) -> bool {
        let Some(rest) = self.0.strip_prefix(sign) else {
            return false;
        };
        self.0 = if sign == '"' {
            rest
        } else {
            rest.trim_start_matches(BLANK)
        };
        true
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Returns the position of the closing quote.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => plain.push('\n'),
            Some(c @ ('\\' | '"')) => plain.push(c),
            // Like Prometheus, keeps a backslash that escapes nothing.
            Some(c) => plain.extend(['\\', c]),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &[u8] = include_bytes!("../../tests/golden/engine-metrics.txt");

    fn one(line: &str) -> Option<Sample> {
        let mut found = Samples::parse(line.as_bytes());
        assert_eq!(found.samples.len() + found.unread, 1, "{line}");
        found.samples.pop()
    }

    #[test]
    fn a_page_of_an_engine_is_read_whole() {
        let found = Samples::parse(RECORDED);
        let lines = RECORDED
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty() && line[0] != b'#');
        assert_eq!((found.samples.len(), found.unread), (lines.count(), 0));
        let of = |name: &str| {
            found
                .samples
                .iter()
                .find(|sample| sample.name == name)
                .expect(name)
        };
        let bucket = of("engine_daemon_container_actions_seconds_bucket");
        assert_eq!(found.kind(bucket), "histogram");
        assert_eq!(
            bucket.labels[0],
            ("action".to_owned(), "changes".to_owned())
        );
        assert_eq!(
            found.help(bucket),
            Some("The number of seconds it takes to process each container action")
        );
        assert_eq!(found.kind(of("go_gc_duration_seconds_count")), "summary");
        assert_eq!(found.kind(of("go_gc_duration_seconds")), "summary");
        assert_eq!(found.kind(of("engine_daemon_events_total")), "counter");
        assert_eq!(
            of("engine_daemon_engine_memory_bytes").value,
            25_276_502_016.0
        );
    }

    #[test]
    fn escapes_blanks_and_odd_values_are_read() {
        let sample =
            one("a:b\t{ x = \"1\\\\2\\\"3\\n4\" ,y=\"}, \\t=\" , }  -Inf 1700000000000 ").unwrap();
        assert_eq!(sample.name, "a:b");
        let expected =
            [("x", "1\\2\"3\n4"), ("y", "}, \\t=")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(sample.labels, expected);
        assert_eq!(
            (sample.value, sample.timestamp),
            (f64::NEG_INFINITY, Some(1_700_000_000_000))
        );
        assert!(one("a NaN").unwrap().value.is_nan());
        assert_eq!(one("a{} +Inf\r").unwrap().value, f64::INFINITY);
        assert_eq!(one("a 1e-3 -5").unwrap().timestamp, Some(-5));
        assert_eq!(one("a{l=\"\u{fc}\"} 1").unwrap().labels[0].1, "\u{fc}");
        let found = Samples::parse(b"a{l=\"\xff\"} 1");
        assert_eq!(found.samples[0].labels[0].1, "\u{fffd}");
    }

    #[test]
    fn lines_without_sense_are_counted_and_left_out() {
        for line in [
            "a",
            "a ",
            "1a 1",
            "a{ 1",
            "a{x} 1",
            "a{x=1} 1",
            "a{x=\"1} 1",
            "a{x=\"1\" y=\"2\"} 1",
            "a{=\"1\"} 1",
            "a x",
            "a 1 x",
            "a 1 2 3",
            "a{,} 1",
            "{x=\"1\"} 1",
            "a{x=\"1\"}",
            "# TYPE a what",
            "# HELP",
            "\u{fc} 1",
        ] {
            assert_eq!(one(line), None, "{line}");
        }
        let found = Samples::parse(b"a 1\n\n  \n# x\n#\nwrong\nb 2\nwrong");
        assert_eq!(
            (found.samples.len(), found.unread, found.first_unread),
            (2, 2, Some(6))
        );
    }

    #[test]
    fn what_is_said_of_a_metric_belongs_to_its_parts_only() {
        let page = "#TYPE h histogram\n# HELP h a\\\\b\\nc\nh_bucket{le=\"1\"} 1\nh_count 1\nh_max 1\n# TYPE s summary\ns_sum 1\ns_bucket 1\n# TYPE c counter\nc_count 1\nc 1\n";
        let found = Samples::parse(page.as_bytes());
        let kinds: Vec<_> = found
            .samples
            .iter()
            .map(|s| (s.name.as_str(), found.kind(s)))
            .collect();
        let expected = [
            ("h_bucket", "histogram"),
            ("h_count", "histogram"),
            ("h_max", "untyped"),
            ("s_sum", "summary"),
            ("s_bucket", "untyped"),
            ("c_count", "untyped"),
            ("c", "counter"),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(found.help(&found.samples[0]), Some("a\\b\nc"));
        assert_eq!(found.help(&found.samples[2]), None);
    }

    #[test]
    fn a_huge_page_is_read() {
        let page = "name{label=\"value\"} 12345\n".repeat(300_000);
        assert_eq!(Samples::parse(page.as_bytes()).samples.len(), 300_000);
    }
}
