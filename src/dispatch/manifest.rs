//! `plugin.toml`: what a plugin says of itself.

use super::LogSettings;
use crate::grants::{Grant, GrantError};
use crate::protocol::{Method, Origin, methods};
use crate::script::{Diagnostic, Sources};
use crate::std::{Limits, MANIFEST};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The whole file. All of it is optional.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the plugin is for.
    #[serde(default)]
    pub description: String,
    /// The plugin's own options, which its scripts read.
    #[serde(default)]
    pub settings: toml::Table,
    /// What the scripts may touch. Declared here, not yet enforced.
    #[serde(skip)]
    pub grants: Vec<Grant>,
    #[serde(default, rename = "grants")]
    raw_grants: Vec<String>,
    /// Budgets.
    #[serde(default)]
    limits: RawLimits,
    /// How the streams of `log.lua` are handed over.
    #[serde(default)]
    pub log: LogSettings,
}

#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    cpu_ms: Option<u64>,
    memory_mib: Option<usize>,
    #[serde(default)]
    deadline_ms: BTreeMap<String, u64>,
}

/// A Luau state needs half a MiB for itself.
const LEAST_MEMORY_MIB: usize = 2;

impl Manifest {
    /// Reads the manifest among a plugin's files, if there is one.
    ///
    /// # Errors
    /// The first thing that is wrong in it, with its line.
    pub fn read(sources: &Sources) -> Result<Self, Diagnostic> {
        let Some(bytes) = sources.files.get(Path::new(MANIFEST)) else { return Ok(Self::default()) };
        let excerpt = |diagnostic: Diagnostic| diagnostic.excerpt_from(|_| Some(bytes));
        let text = std::str::from_utf8(bytes).map_err(|e| Diagnostic::of_file(MANIFEST, e.to_string()))?;
        let mut manifest: Self = toml::from_str(text).map_err(|e| excerpt(syntax(text, &e)))?;
        let located = |wrong| excerpt(locate(text, wrong));
        manifest.check().map_err(located)?;
        manifest.grants = parse_grants(&manifest.raw_grants).map_err(located)?;
        Ok(manifest)
    }

    /// The limits of each script.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            cpu: self.limits.cpu_ms.map_or(default.cpu, Duration::from_millis),
            memory: self.limits.memory_mib.map_or(default.memory, |mib| mib << 20),
        }
    }

    /// How long a call of `method` may take.
    pub fn deadline(&self, method: &Method) -> Duration {
        let own = self.limits.deadline_ms.get(&method.key());
        own.map_or(method.deadline, |ms| Duration::from_millis(*ms))
    }

    fn check(&self) -> Result<(), (String, Diagnostic)> {
        let wrong =
            |word: &str, message: String| Err((word.to_owned(), Diagnostic::of_file(MANIFEST, message)));
        if self.limits.cpu_ms == Some(0) {
            return wrong("cpu_ms", "`cpu_ms` must be at least 1".to_owned());
        }
        if self.limits.memory_mib.is_some_and(|mib| mib < LEAST_MEMORY_MIB) {
            return wrong("memory_mib", format!("`memory_mib` must be at least {LEAST_MEMORY_MIB}"));
        }
        if let Some((key, message)) = self.log.wrong() {
            return wrong(key, message);
        }
        for (hook, ms) in &self.limits.deadline_ms {
            let is_meant = |method: &&Method| method.key() == *hook && method.origin != Origin::Answered;
            let Some(method) = methods().find(is_meant) else {
                return wrong(
                    hook,
                    format!("`{hook}` is no hook: write `interface.hook`, such as `volume.mount`"),
                );
            };
            let most = method.deadline.as_millis();
            if *ms == 0 || u128::from(*ms) > most {
                let message =
                    format!("the deadline of `{hook}` must be 1 to {most} ms: Docker waits no longer");
                return wrong(hook, message);
            }
        }
        Ok(())
    }
}

fn parse_grants(texts: &[String]) -> Result<Vec<Grant>, (String, Diagnostic)> {
    let parse = |text: &String| {
        text.parse().map_err(|e: GrantError| (text.clone(), Diagnostic::of_file(MANIFEST, e.to_string())))
    };
    texts.iter().map(parse).collect()
}

fn syntax(text: &str, error: &toml::de::Error) -> Diagnostic {
    let line = error.span().map(|span| line_at(text, span.start));
    let message = error.message().lines().next().unwrap_or_default();
    Diagnostic::of_file(MANIFEST, message).at(line)
}

fn locate(text: &str, (word, diagnostic): (String, Diagnostic)) -> Diagnostic {
    diagnostic.at(text.find(&word).map(|at| line_at(text, at)))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::find;

    fn read(text: &str) -> Result<Manifest, String> {
        let files = [(MANIFEST.into(), text.as_bytes().to_vec())].into();
        Manifest::read(&Sources { files, ..Sources::default() }).map_err(|e| e.to_string())
    }

    #[test]
    fn limits_come_from_the_file_or_from_the_table() {
        let manifest = read("[limits]\ncpu_ms = 10\n[limits.deadline_ms]\n\"volume.mount\" = 500").unwrap();
        assert_eq!(manifest.limits().cpu, Duration::from_millis(10));
        assert_eq!(manifest.limits().memory, 64 << 20);
        assert_eq!(manifest.deadline(find("VolumeDriver.Mount").unwrap()), Duration::from_millis(500));
        assert_eq!(manifest.deadline(find("VolumeDriver.Get").unwrap()), Duration::from_secs(55));
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_line() {
        let cases = [
            ("a = 1", "plugin.toml:1: unknown field `a`"),
            ("\n[limits]\ncpu_ms = 0", "plugin.toml:3: `cpu_ms` must be at least 1"),
            ("\n\nx y", "plugin.toml:3: "),
            (
                "[log]\non_slow = \"wait\"",
                "plugin.toml:2: unknown variant `wait`, expected `block` or `drop`",
            ),
            ("[log]\nbuffer_kib = 1", "plugin.toml:2: `buffer_kib` must be 64 to 16384"),
            ("grants = [\n  \"net\",\n  \"exce:id\",\n]", "plugin.toml:3: `exce:id` is no grant"),
            ("[limits.deadline_ms]\n\"volume.mont\" = 1", "plugin.toml:2: `volume.mont` is no hook"),
            (
                "[limits.deadline_ms]\n\"volume.get\" = 90000",
                "plugin.toml:2: the deadline of `volume.get` must be",
            ),
        ];
        for (text, message) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
