//! What became of tests, for people and for machines.

use super::Tested;
use std::fmt::Write;
use std::time::Duration;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines of text, with everything that led to a failure
    Pretty,
    /// TAP version 14
    Tap,
    /// `JUnit` XML
    Junit,
}

/// The results of all tests.
#[derive(Debug, Default)]
pub struct Summary {
    results: Vec<Tested>,
}

impl Summary {
    /// Adds a result. Returns what is to be printed at once.
    pub fn add(&mut self, tested: Tested, format: Format) -> String {
        let number = self.results.len() + 1;
        let text = match format {
            Format::Pretty => pretty(&tested),
            Format::Tap => tap(number, &tested),
            Format::Junit => String::new(),
        };
        self.results.push(tested);
        text
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.results
            .iter()
            .filter(|tested| tested.failure.is_some())
            .count()
    }

    /// Whether nothing was run.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// Returns what is to be printed first.
    pub fn begin(format: Format) -> &'static str {
        match format {
            Format::Tap => "TAP version 14\n",
            Format::Pretty | Format::Junit => "",
        }
    }

    /// Returns what is to be printed last.
    pub fn end(&self, format: Format, seed: u64, took: Duration) -> String {
        let (all, failed) = (self.results.len(), self.failed());
        match format {
            Format::Pretty => format!(
                "\n{} passed, {failed} failed\n(in {:.2} s, --seed {seed})\n",
                all - failed,
                took.as_secs_f64()
            ),
            Format::Tap => format!("1..{all}\n"),
            Format::Junit => self.junit(took),
        }
    }

    fn junit(&self, took: Duration) -> String {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{}\" time=\"{:.3}\">\n",
            self.results.len(),
            self.failed(),
            took.as_secs_f64()
        );
        let mut suites: Vec<_> = self.results.iter().map(suite).collect();
        suites.sort();
        suites.dedup();
        for name in suites {
            let _ = writeln!(text, "  <testsuite name=\"{}\">", escaped(&name));
            for tested in self.results.iter().filter(|tested| suite(tested) == name) {
                text += &testcase(tested);
            }
            text += "  </testsuite>\n";
        }
        text + "</testsuites>\n"
    }
}

fn suite(tested: &Tested) -> String {
    format!("{}/{}", tested.plugin, tested.file)
}

fn name(tested: &Tested) -> &str {
    tested
        .case
        .as_deref()
        .unwrap_or("the file cannot be loaded")
}

pub(super) fn pretty(tested: &Tested) -> String {
    let head = |word| format!("{word:<4}  {}: {}", suite(tested), name(tested));
    match &tested.failure {
        None => format!("{} ({} ms)\n", head("ok"), tested.took.as_millis()),
        Some(_) => format!("{}\n{}", head("FAIL"), indented(&details(tested), "      ")),
    }
}

/// Describes a failure, and what led to it.
fn details(tested: &Tested) -> String {
    let Some(failure) = &tested.failure else {
        return String::new();
    };
    let mut text = format!("{}\n", failure.message);
    for (what, lines) in [("calls", &failure.calls), ("log", &failure.log)] {
        if !lines.is_empty() {
            let _ = writeln!(
                text,
                "{what}:\n{}",
                indented(&lines.join("\n"), "  ").trim_end()
            );
        }
    }
    text
}

fn tap(number: usize, tested: &Tested) -> String {
    let line = |word| {
        format!(
            "{word} {number} - {}: {}\n",
            suite(tested),
            name(tested).replace('#', "\\#")
        )
    };
    if tested.failure.is_none() {
        return line("ok");
    }
    let details = indented(&details(tested), "    ");
    format!("{}  ---\n  message: |\n{details}  ...\n", line("not ok"))
}

fn testcase(tested: &Tested) -> String {
    let (case, class) = (escaped(name(tested)), escaped(&suite(tested)));
    let time = tested.took.as_secs_f64();
    let head = format!("    <testcase name=\"{case}\" classname=\"{class}\" time=\"{time:.3}\"");
    match &tested.failure {
        None => format!("{head}/>\n"),
        Some(failure) => format!(
            "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
            escaped(failure.message.lines().next().unwrap_or_default()),
            escaped(&details(tested))
        ),
    }
}

fn indented(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}\n")).collect()
}

/// Escapes a text for XML, which cannot hold most control characters at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' => out += "\n",
            _ if letter.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(letter),
        }
    }
    out
}
