//! `plugin.toml`: what a plugin says of itself.

mod grants;

use self::grants::Declared;
use super::settings::{self, Variables};
use super::{LogSettings, MetricsSettings};
use crate::grants::{Grant, Granted};
use crate::host::{Limits, MANIFEST};
use crate::protocol::{Method, Origin, methods};
use crate::script::{Diagnostic, Sources};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

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
    /// What the scripts may touch, with the values of settings put in.
    #[serde(skip)]
    pub grants: Vec<Grant>,
    /// The line of each of them in the file.
    #[serde(skip)]
    grant_lines: Vec<usize>,
    #[serde(default, rename = "grants")]
    raw_grants: Vec<Spanned<String>>,
    /// Budgets.
    #[serde(default)]
    limits: RawLimits,
    /// How `metrics.lua` is fed.
    #[serde(default)]
    pub metrics: MetricsSettings,
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

/// A Luau state needs half a MiB for itself; more than a TiB is a slip.
const MEMORY_MIB: RangeInclusive<usize> = 2..=1 << 20;

impl Manifest {
    /// Reads the manifest among a plugin's files, if there is one.
    ///
    /// # Errors
    /// The first thing that is wrong in it, with its line.
    pub fn read(sources: &Sources) -> Result<Self, Diagnostic> {
        Self::read_with(sources, &Variables::new())
    }

    /// The same, with the settings that variables of the environment set.
    ///
    /// # Errors
    /// Those of [`Manifest::read`], and a variable that does not fit its setting.
    pub fn read_with(sources: &Sources, variables: &Variables) -> Result<Self, Diagnostic> {
        let Some(bytes) = sources.files.get(Path::new(MANIFEST)) else {
            return Ok(Self::default());
        };
        let excerpt = |diagnostic: Diagnostic| diagnostic.excerpt_from(|_| Some(bytes));
        let text =
            std::str::from_utf8(bytes).map_err(|e| Diagnostic::of_file(MANIFEST, e.to_string()))?;
        let mut manifest: Self = toml::from_str(text).map_err(|e| excerpt(syntax(text, &e)))?;
        let located = |wrong| excerpt(locate(text, wrong));
        manifest.check().map_err(located)?;
        let unset =
            |unset: settings::Unset| (unset.setting, Diagnostic::of_file(MANIFEST, unset.problem));
        settings::take_from(variables, &mut manifest.settings)
            .map_err(unset)
            .map_err(located)?;
        let declared =
            grants::read(&manifest.raw_grants, &manifest.settings).map_err(|(offset, wrong)| {
                excerpt(
                    Diagnostic::of_file(MANIFEST, wrong.to_string())
                        .at(Some(line_at(text, offset))),
                )
            })?;
        for Declared { grant, offset } in declared {
            manifest.grants.push(grant);
            manifest.grant_lines.push(line_at(text, offset));
        }
        Ok(manifest)
    }

    /// The grants, each with its line in the file.
    pub fn grants_by_line(&self) -> impl Iterator<Item = (&Grant, usize)> {
        self.grants.iter().zip(self.grant_lines.iter().copied())
    }

    /// What the file grants beyond `accepted`: the line of the first such grant, and all of them.
    pub fn widening(&self, accepted: &Granted) -> Option<(usize, Vec<&Grant>)> {
        let mut beyond = self
            .grants_by_line()
            .filter(|(grant, _)| !accepted.allows(grant))
            .peekable();
        let line = beyond.peek()?.1;
        Some((line, beyond.map(|(grant, _)| grant).collect()))
    }

    /// The limits of each script.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            cpu: self
                .limits
                .cpu_ms
                .map_or(default.cpu, Duration::from_millis),
            memory: self
                .limits
                .memory_mib
                .map_or(default.memory, |mib| mib << 20),
        }
    }

    /// How long a call of `method` may take.
    pub fn deadline(&self, method: &Method) -> Duration {
        let is_own = |(key, _): &(&String, _)| {
            key.split_once('.') == Some((method.interface.name(), method.hook))
        };
        let own = self.limits.deadline_ms.iter().find(is_own);
        own.map_or(method.deadline, |(_, ms)| Duration::from_millis(*ms))
    }

    fn check(&self) -> Result<(), (String, Diagnostic)> {
        let wrong = |word: &str, message: String| {
            Err((word.to_owned(), Diagnostic::of_file(MANIFEST, message)))
        };
        if self.limits.cpu_ms == Some(0) {
            return wrong("cpu_ms", "`cpu_ms` must be at least 1".to_owned());
        }
        if self
            .limits
            .memory_mib
            .is_some_and(|mib| !MEMORY_MIB.contains(&mib))
        {
            let (least, most) = (MEMORY_MIB.start(), MEMORY_MIB.end());
            return wrong(
                "memory_mib",
                format!("`memory_mib` must be {least} to {most}"),
            );
        }
        if let Some((key, message)) = self.log.wrong() {
            return wrong(key, message);
        }
        if self.settings.contains_key("grants") {
            let message = "`grants` stands in `[settings]`, where it grants nothing: move it above the first `[…]`";
            return wrong("grants", message.to_owned());
        }
        if let Some((key, message)) = self.metrics.wrong() {
            return wrong(key, message);
        }
        for (hook, ms) in &self.limits.deadline_ms {
            let is_meant =
                |method: &&Method| method.key() == *hook && method.origin != Origin::Answered;
            let Some(method) = methods().find(is_meant) else {
                return wrong(
                    hook,
                    format!("`{hook}` is no hook: write `interface.hook`, such as `volume.mount`"),
                );
            };
            let most = method.deadline.as_millis();
            if *ms == 0 || u128::from(*ms) > most {
                let message = format!(
                    "the deadline of `{hook}` must be 1 to {most} ms: Docker waits no longer"
                );
                return wrong(hook, message);
            }
        }
        Ok(())
    }
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
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::find;

    fn read(text: &str) -> Result<Manifest, String> {
        let files = [(MANIFEST.into(), text.as_bytes().to_vec())].into();
        Manifest::read(&Sources {
            files,
            ..Sources::default()
        })
        .map_err(|e| e.to_string())
    }

    #[test]
    fn limits_come_from_the_file_or_from_the_table() {
        let manifest =
            read("[limits]\ncpu_ms = 10\n[limits.deadline_ms]\n\"volume.mount\" = 500").unwrap();
        assert_eq!(manifest.limits().cpu, Duration::from_millis(10));
        assert_eq!(manifest.limits().memory, 64 << 20);
        assert_eq!(
            manifest.deadline(find("VolumeDriver.Mount").unwrap()),
            Duration::from_millis(500)
        );
        assert_eq!(
            manifest.deadline(find("VolumeDriver.Get").unwrap()),
            Duration::from_secs(55)
        );
    }

    #[test]
    fn a_grant_may_name_settings() {
        let text = "grants = [\"fs.read:{settings.roots}/{settings.deep.name}\", \"net\"]\n\
                    [settings]\nroots = [\"/a\", \"/b\"]\ndeep = { name = \"x\" }";
        let manifest = read(text).unwrap();
        let grants: Vec<_> = manifest.grants.iter().map(ToString::to_string).collect();
        assert_eq!(grants, ["fs.read:/a/x", "fs.read:/b/x", "net"]);
    }

    #[test]
    fn grants_that_multiply_have_an_end() {
        let of = |count: usize| {
            format!(
                "grants = [\"fs.read:{}\"]\n[settings]\na = [\"/x\", \"/y\"]",
                "{settings.a}".repeat(count)
            )
        };
        assert_eq!(read(&of(3)).unwrap().grants.len(), 8);
        let error = read(&of(14)).unwrap_err();
        assert!(
            error.contains("plugin.toml:1: gives more than 1000 grants, or one longer than 8192"),
            "{error}"
        );
        let long = of(1).replace("/x", &"/x".repeat(5000));
        assert!(
            read(&long)
                .unwrap_err()
                .contains("one longer than 8192 bytes")
        );
    }

    #[test]
    fn what_is_granted_anew_is_told_with_its_line() {
        let before = Granted::from(
            read("grants = [\"fs.write:/srv\", \"exec:id\"]")
                .unwrap()
                .grants,
        );
        let narrower = read("grants = [\"fs.read:/srv/a\"]").unwrap();
        assert_eq!(narrower.widening(&before), None);
        let wider = read("grants = [\"exec:id\",\n\"fs.read:/\",\n\"net\"]").unwrap();
        let (line, grants) = wider.widening(&before).unwrap();
        assert_eq!(
            (line, grants),
            (2, vec![&Grant::FsRead("/".into()), &Grant::Net])
        );
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_line() {
        let cases = [
            ("a = 1", "plugin.toml:1: unknown field `a`"),
            (
                "[limits]\nmemory_mib = 17592186044416",
                "plugin.toml:2: `memory_mib` must be 2 to 1048576",
            ),
            (
                "\n[limits]\ncpu_ms = 0",
                "plugin.toml:3: `cpu_ms` must be at least 1",
            ),
            ("\n\nx y", "plugin.toml:3: "),
            (
                "\n[metrics]\ninterval_s = 0",
                "plugin.toml:3: `interval_s` must be 1 to 3600",
            ),
            (
                "[metrics]\nsocket = \"m.sock\"",
                "plugin.toml:2: `socket` must be an absolute path",
            ),
            (
                "[log]\non_slow = \"wait\"",
                "plugin.toml:2: unknown variant `wait`, expected `block` or `drop`",
            ),
            (
                "[log]\nbuffer_kib = 1",
                "plugin.toml:2: `buffer_kib` must be 64 to 16384",
            ),
            (
                "grants = [\n  \"net\",\n  \"exce:id\",\n]",
                "plugin.toml:3: unknown grant `exce:id`",
            ),
            (
                "[settings]\ngrants = [\"net\"]",
                "plugin.toml:2: `grants` stands in `[settings]`",
            ),
            (
                "\ngrants = [\"exec:{settings.a}\"]",
                "plugin.toml:2: there is no setting `a`",
            ),
            (
                "grants = [\"exec:{settings.rot}\"]\n[settings]\nroot = \"/\"",
                "plugin.toml:1: there is no setting `rot`; did you mean `root`?",
            ),
            (
                "grants = [\"exec:{settings.a.b}\"]\n[settings.a]\nb = 1",
                "plugin.toml:1: the setting `a.b` is of the type integer: a grant takes",
            ),
            (
                "grants = [\"exec:{settings.a\"]\n",
                "plugin.toml:1: `{settings.a` has no end",
            ),
            (
                "grants = [\"exec:{a}\"]\n",
                "plugin.toml:1: `{a}` names no setting: write `{settings.NAME}`",
            ),
            (
                "grants = [\"net\",\n \"fs.write:{settings.a}\"]\n[settings]\na = \"srv\"",
                "plugin.toml:2: `fs.write:srv` needs an absolute path",
            ),
            (
                "[limits.deadline_ms]\n\"volume.mont\" = 1",
                "plugin.toml:2: `volume.mont` is no hook",
            ),
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
