//! What of a plugin its tests reach.

use crate::plugin::Plugin;
use crate::protocol::{Method, methods_of};
use crate::script::LineHits;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The lines that ran, and the hooks that were called.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    lines: LineHits,
    hooks: BTreeMap<String, bool>,
}

impl Coverage {
    /// Adds what ran of a plugin that is about to stop.
    pub fn add(&mut self, plugin: &Plugin, is_called: impl Fn(&Method) -> bool) {
        for script in plugin.scripts_here() {
            self.add_lines(script.line_hits());
            let hooks = methods_of(script.interface);
            for method in hooks.iter().filter(|method| script.has(method)) {
                *self.hooks.entry(method.key()).or_default() |= is_called(method);
            }
        }
    }

    /// Adds what other cases reached.
    pub fn merge(&mut self, other: Self) {
        self.add_lines(other.lines);
        for (hook, called) in other.hooks {
            *self.hooks.entry(hook).or_default() |= called;
        }
    }

    fn add_lines(&mut self, hits: LineHits) {
        for (file, lines) in hits {
            let all = self.lines.entry(file).or_default();
            for (line, hits) in lines {
                *all.entry(line).or_default() += hits;
            }
        }
    }

    /// Returns the share of the lines that ran, in percent; 100 if there is none.
    pub fn percent(&self) -> f64 {
        percent(self.lines.values().flat_map(BTreeMap::values))
    }

    /// Describes each file, and the hooks that were never called.
    pub fn describe(&self, plugin: &str) -> String {
        let mut text = String::new();
        for (file, lines) in &self.lines {
            let missed: Vec<_> = lines.iter().filter(|(_, hits)| **hits == 0).collect();
            let missed = ranges(missed.into_iter().map(|(line, _)| *line));
            text += &row(plugin, file, percent(lines.values()), &missed);
        }
        let never: Vec<_> = self.hooks.iter().filter(|(_, called)| !**called).collect();
        if !never.is_empty() {
            let names: Vec<_> = never.into_iter().map(|(hook, _)| hook.as_str()).collect();
            let names = names.join(", ");
            let _ = writeln!(text, "        {plugin}: never called: {names}");
        }
        text
    }
}

fn row(plugin: &str, file: &Path, percent: f64, missed: &str) -> String {
    let rest = match missed {
        "" => String::new(),
        missed => format!("; never ran: {missed}"),
    };
    format!("{percent:>5.1} %  {plugin}/{}{rest}\n", file.display())
}

fn percent<'a>(lines: impl Iterator<Item = &'a u64>) -> f64 {
    let (mut all, mut ran) = (0_u32, 0_u32);
    for hits in lines {
        all += 1;
        ran += u32::from(*hits > 0);
    }
    if all == 0 {
        return 100.0;
    }
    f64::from(ran) / f64::from(all) * 100.0
}

/// Writes lines as `3, 7-9`.
fn ranges(lines: impl Iterator<Item = usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == line => *last = line,
            _ => ranges.push((line, line)),
        }
    }
    let show = |(first, last): &(usize, usize)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    ranges.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_ranges() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10].into_iter()), "1-3, 7, 9-10");
        assert_eq!(ranges(std::iter::empty()), "");
    }
}
