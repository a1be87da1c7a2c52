//! `plugin.toml`: a plugin's description, settings, grants and limits.

mod grants;
mod limits;
mod wording;

use self::grants::DeclaredGrant;
use self::limits::LimitSettings;
use super::settings::{self, Variables};
use super::validate::{InvalidValue, line_at};
use super::{LogSettings, MetricsSettings};
use crate::grants::{Grant, Granted};
use crate::host::{Limits, MANIFEST};
use crate::protocol::Method;
use crate::script::{Diagnostic, Sources};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

/// The whole file. Every key is optional.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The purpose of the plugin.
    #[serde(default)]
    pub description: String,
    /// The plugin's own options, for its scripts.
    #[serde(default)]
    pub settings: toml::Table,
    /// What the scripts may touch, with settings replaced by their values.
    #[serde(skip)]
    pub grants: Vec<Grant>,
    /// The line of each grant.
    #[serde(skip)]
    grant_lines: Vec<usize>,
    #[serde(default, rename = "grants")]
    raw_grants: Vec<Spanned<String>>,
    #[serde(default)]
    limits: LimitSettings,
    /// The options of the metrics collector.
    #[serde(default)]
    pub metrics: MetricsSettings,
    /// The options of log streams.
    #[serde(default)]
    pub log: LogSettings,
}

impl Manifest {
    /// Reads the manifest among a plugin's files, if there is one.
    ///
    /// # Errors
    /// The first error in the file, with its line, and a file that cannot be read: without their
    /// settings, scripts would allow what those forbid.
    pub fn read(sources: &Sources) -> Result<Self, Diagnostic> {
        Self::read_with(sources, &Variables::new())
    }

    /// Reads the manifest, and replaces settings by the values of environment variables.
    ///
    /// # Errors
    /// Those of [`Manifest::read`], and a variable that does not have the type of its setting.
    pub fn read_with(sources: &Sources, variables: &Variables) -> Result<Self, Diagnostic> {
        if let Some(problem) = sources.problem_of(MANIFEST) {
            return Err(Diagnostic::of_file(MANIFEST, problem));
        }
        match sources.files.get(Path::new(MANIFEST)) {
            None => Ok(Self::default()),
            Some(bytes) => Self::parse(bytes, variables)
                .map_err(|diagnostic| diagnostic.excerpt_from(|_| Some(bytes))),
        }
    }

    fn parse(bytes: &[u8], variables: &Variables) -> Result<Self, Diagnostic> {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            Diagnostic::of_file(MANIFEST, "the file is not in UTF-8: save it as UTF-8")
        })?;
        let located = |invalid: InvalidValue| invalid.locate(text);
        let mut manifest: Self = toml::from_str(text).map_err(|e| wording::describe(text, &e))?;
        manifest.validate().map_err(located)?;
        settings::apply(variables, &mut manifest.settings).map_err(located)?;
        manifest.parse_grants(text)?;
        Ok(manifest)
    }

    fn validate(&self) -> Result<(), InvalidValue> {
        self.limits.validate()?;
        self.log.validate()?;
        self.metrics.validate()?;
        settings::validate(&self.settings)
    }

    /// Parses the grants, which may name settings.
    fn parse_grants(&mut self, text: &str) -> Result<(), Diagnostic> {
        let declared = grants::parse(&self.raw_grants, &self.settings);
        let declared = declared.map_err(|(line, error)| {
            Diagnostic::of_file(MANIFEST, error.to_string())
                .at(Some(line_at(text, line.span().start)))
                .about(line.get_ref())
        })?;
        for DeclaredGrant { grant, offset } in declared {
            self.grants.push(grant);
            self.grant_lines.push(line_at(text, offset));
        }
        Ok(())
    }

    /// Returns the grants, each with its line in the file.
    pub fn grants_by_line(&self) -> impl Iterator<Item = (&Grant, usize)> {
        self.grants.iter().zip(self.grant_lines.iter().copied())
    }

    /// Returns the grants that `accepted` does not cover, and the line of the first of them.
    pub fn grants_beyond(&self, accepted: &Granted) -> Option<(usize, Vec<&Grant>)> {
        let new = self.grants_by_line();
        let mut new = new.filter(|(grant, _)| !accepted.allows(grant)).peekable();
        let line = new.peek()?.1;
        Some((line, new.map(|(grant, _)| grant).collect()))
    }

    /// Returns the limits of each script.
    pub fn limits(&self) -> Limits {
        self.limits.limits()
    }

    /// Returns how long a call of `method` may take.
    pub fn deadline(&self, method: &Method) -> Duration {
        self.limits.deadline(method)
    }
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
    fn grants_that_multiply_have_a_limit() {
        let of = |count: usize| {
            format!(
                "grants = [\"fs.read:{}\"]\n[settings]\na = [\"/x\", \"/y\"]",
                "{settings.a}".repeat(count)
            )
        };
        assert_eq!(read(&of(3)).unwrap().grants.len(), 8);
        let error = read(&of(14)).unwrap_err();
        assert!(
            error.contains(
                "plugin.toml:1: expands to more than 1000 grants, or to one longer than 8192"
            ),
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
    fn new_grants_are_returned_with_their_line() {
        let before = Granted::from(
            read("grants = [\"fs.write:/srv\", \"exec:id\"]")
                .unwrap()
                .grants,
        );
        let narrower = read("grants = [\"fs.read:/srv/a\"]").unwrap();
        assert_eq!(narrower.grants_beyond(&before), None);
        let wider = read("grants = [\"exec:id\",\n\"fs.read:/\",\n\"net\"]").unwrap();
        let (line, grants) = wider.grants_beyond(&before).unwrap();
        assert_eq!(
            (line, grants),
            (2, vec![&Grant::FsRead("/".into()), &Grant::Net])
        );
    }

    #[test]
    fn errors_have_the_line_of_their_key() {
        let cases = [
            (
                "a = 1",
                "plugin.toml:1: unknown key `a`; there are description, settings",
            ),
            (
                "[limits]\nmemory_mib = 17592186044416",
                "plugin.toml:2: `memory_mib` must be between 2 and 1048576",
            ),
            (
                "\n[limits]\ncpu_ms = 0",
                "plugin.toml:3: `cpu_ms` must be at least 1",
            ),
            ("\n\nx y", "plugin.toml:3: "),
            (
                "\n[metrics]\ninterval_s = 0",
                "plugin.toml:3: `interval_s` must be between 1 and 3600",
            ),
            (
                "[metrics]\nsocket = \"m.sock\"",
                "plugin.toml:2: `socket` must be an absolute path",
            ),
            (
                "[log]\non_slow = \"wait\"",
                "plugin.toml:2: `on_slow` must be `block` or `drop`, not `wait`",
            ),
            (
                "[log]\nspill_mib = 2000000",
                "plugin.toml:2: `spill_mib` must be between 0 and 1048576",
            ),
            (
                "[log]\nbuffer_kib = 1",
                "plugin.toml:2: `buffer_kib` must be between 64 and 16384",
            ),
            (
                "grants = [\n  \"net\",\n  \"exce:id\",\n]",
                "plugin.toml:3: unknown grant `exce:id`",
            ),
            (
                "[settings]\ngrants = [\"net\"]",
                "plugin.toml:2: `grants` is in `[settings]`, where it has no effect",
            ),
            (
                "\ngrants = [\"exec:{settings.a}\"]",
                "plugin.toml:2: unknown setting `a`",
            ),
            (
                "grants = [\"exec:{settings.rot}\"]\n[settings]\nroot = \"/\"",
                "plugin.toml:1: unknown setting `rot`; did you mean `root`?",
            ),
            (
                "grants = [\"exec:{settings.a.b}\"]\n[settings.a]\nb = 1",
                "plugin.toml:1: the setting `a.b` is of the type integer: use a string or a list of strings",
            ),
            (
                "grants = [\"exec:{settings.a\"]\n",
                "plugin.toml:1: `{settings.a` is not closed",
            ),
            (
                "grants = [\"exec:{a}\"]\n",
                "plugin.toml:1: `{a}` is not a setting: write `{settings.NAME}`",
            ),
            (
                "grants = [\"net\",\n \"fs.write:{settings.a}\"]\n[settings]\na = \"srv\"",
                "plugin.toml:2: `fs.write:srv` needs an absolute path",
            ),
            (
                "[limits.deadline_ms]\n\"volume.mont\" = 1",
                "plugin.toml:2: unknown hook `volume.mont`",
            ),
            (
                "[limits.deadline_ms]\n\"volume.get\" = 90000",
                "plugin.toml:2: the deadline of `volume.get` must be between 1 and 55000 ms",
            ),
        ];
        for (text, message) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
