//! How strictly each file is checked, and which lints are on: `.luaurc`, and comments such as
//! `--!strict`.

use super::{Remark, Severity};
use crate::script::Diagnostic;
use crate::sys::scripts::luaurc;
use luau_analysis::NullConfigResolver;
use luau_config::{AliasOptions, Config, ConfigOptions};
use luau_syntax::parser::Mode as Declared;

/// How strictly a file is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    NoCheck,
    /// Only for what is certainly wrong.
    Nonstrict,
    /// For everything that the types say.
    Strict,
}

/// The configuration of a plugin's analysis.
pub struct Configuration {
    config: Config,
    problem: Option<String>,
}

impl Configuration {
    /// Reads the settings from the text of `.luaurc`, if there is one. Its aliases are for editors.
    pub fn of(settings: Option<String>) -> Self {
        let mut config = Config::default();
        let options = ConfigOptions {
            alias_options: Some(AliasOptions::default()),
            ..ConfigOptions::default()
        };
        let parsed = settings.map(|text| config.parse(text, options));
        Self {
            config,
            problem: parsed.and_then(Result::err),
        }
    }

    /// Returns what is wrong with the file of settings.
    pub fn problem(&self) -> Option<Remark> {
        let message = self.problem.as_ref()?;
        Some(Remark {
            severity: Severity::Error,
            diagnostic: Diagnostic::of_file(luaurc::NAME, message),
        })
    }

    /// Returns the configuration for the analysis, which is always strict.
    pub fn resolver(&self) -> NullConfigResolver {
        let mut default_config = self.config.clone();
        default_config.mode = luau_config::Mode::Strict;
        NullConfigResolver { default_config }
    }

    /// Returns how strictly a file is checked: as its comment `declared`, or else as the file of
    /// settings does.
    pub fn mode(&self, declared: Option<Declared>) -> Mode {
        match (declared, self.config.mode) {
            (Some(Declared::NoCheck), _) | (None, luau_config::Mode::NoCheck) => Mode::NoCheck,
            (Some(Declared::Strict), _) | (None, luau_config::Mode::Strict) => Mode::Strict,
            (Some(_), _) | (None, luau_config::Mode::Nonstrict) => Mode::Nonstrict,
        }
    }
}
