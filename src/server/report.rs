//! What a reload did, for the administrator.

use crate::plugin::News;
use serde::{Deserialize, Serialize};
use std::mem::take;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// How long plugins may take to load their scripts, whose top level may run for 5 s. A directory
/// that hangs must not hold up the report on the others.
const ROUND_TIMEOUT: Duration = Duration::from_secs(30);

/// What a reload did.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// A line, or several, for each plugin and script: `ops/volume.lua: live (generation 3)`.
    pub lines: Vec<String>,
    /// Whether everything that is on disk was taken over.
    #[serde(rename = "complete")]
    pub is_complete: bool,
}

/// Changes that plugins are carrying out, each on its own thread.
#[derive(Default)]
pub struct Round {
    lines: Vec<String>,
    problems: usize,
    has_ended: bool,
    waiting: Vec<(String, oneshot::Receiver<Vec<News>>)>,
}

impl Round {
    /// Whether no plugin is carrying out a change.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Notes a change of a plugin.
    pub fn note(&mut self, plugin: &str, change: &str) {
        self.lines.push(format!("{plugin}: {change}"));
    }

    /// Notes what could not be taken over.
    pub fn note_problem(&mut self, problem: String) {
        self.lines.push(problem);
        self.problems += 1;
    }

    /// Notes what was probably meant otherwise.
    pub fn note_warning(&mut self, warning: String) {
        self.lines.push(warning);
    }

    /// Whether the plugin is carrying out a change.
    pub fn awaits(&self, plugin: &str) -> bool {
        self.waiting.iter().any(|(name, _)| name == plugin)
    }

    /// Returns where the plugin sends what became of its scripts.
    pub fn expect(&mut self, plugin: &str) -> oneshot::Sender<Vec<News>> {
        let (sender, news) = oneshot::channel();
        self.waiting.push((plugin.to_owned(), news));
        sender
    }

    /// Waits until all plugins are done. Returns the report, and whether a plugin has ended.
    pub async fn report(mut self) -> (Report, bool) {
        let deadline = Instant::now() + ROUND_TIMEOUT;
        for (plugin, news) in take(&mut self.waiting) {
            match timeout_at(deadline, news).await {
                Ok(news) => self.add_all(&plugin, news.ok()),
                Err(_) => self.note_problem(format!(
                    "{plugin}: still loads its scripts after {} s",
                    ROUND_TIMEOUT.as_secs()
                )),
            }
        }
        let report = Report {
            lines: self.lines,
            is_complete: self.problems == 0,
        };
        (report, self.has_ended)
    }

    /// Adds what became of a plugin's scripts; `None` if the plugin has ended.
    fn add_all(&mut self, plugin: &str, news: Option<Vec<News>>) {
        if news.is_none() {
            self.has_ended = true;
            self.note_problem(format!("{plugin}: ended, see the log"));
        }
        for news in news.unwrap_or_default() {
            self.add(plugin, &news);
        }
    }

    fn add(&mut self, plugin: &str, News { file, result }: &News) {
        let place = match file {
            Some(file) => format!("{plugin}/{file}"),
            None => plugin.to_owned(),
        };
        self.lines.push(format!("{place}: {result}"));
        self.problems += usize::from(!result.is_taken_over());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Loaded;

    #[tokio::test]
    async fn a_report_is_complete_if_everything_was_taken_over() {
        let done = |result| vec![News::of("volume.lua", result)];
        for (news, line, is_complete) in [
            (
                done(Loaded::Live(2)),
                "p/volume.lua: live (generation 2)",
                true,
            ),
            (
                done(Loaded::Unchanged(2)),
                "p/volume.lua: loaded again, same files (generation 2)",
                true,
            ),
            (
                done(Loaded::Kept("why".into())),
                "p/volume.lua: kept: why",
                false,
            ),
            (
                vec![News::of_all(Loaded::Broken("why".into()))],
                "p: broken: why",
                false,
            ),
        ] {
            let mut round = Round::default();
            round.expect("p").send(news).unwrap();
            let (report, _) = round.report().await;
            assert_eq!(
                (report.lines.clone(), report.is_complete),
                (vec![line.to_owned()], is_complete)
            );
            let sent = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<Report>(&sent).unwrap(), report);
        }
        let mut round = Round::default();
        drop(round.expect("p"));
        assert!(!round.report().await.0.is_complete);
        assert!(serde_json::from_str::<Report>("{\"lines\":[\"p").is_err());
    }
}
