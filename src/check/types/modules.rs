//! Where the analysis finds modules: the plugin's files, and what `@moondock/…` stands for.

use super::hooks::{annotations, hooks_in, interface_of};
use super::shift::{Addition, extended};
use crate::host::{OWN, stub_text};
use crate::script::{Sources, kit_text, required_file};
use luau_analysis::diagnostics::TypeCheckLimits;
use luau_analysis::frontend::resolver::ModuleInfo;
use luau_analysis::{FileResolver, ModuleName, SourceCode, SourceCodeType};
use luau_common::{BString, ByteSlice};
use luau_syntax::allocator::AstArena;
use luau_syntax::ast::Expression;
use luau_syntax::ast_names::AstNameTable;
use luau_syntax::parser::{Mode, ParseOptions, parse};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The modules of a plugin.
pub struct Modules {
    sources: Arc<Sources>,
    /// The plugin's files that the analysis has read.
    prepared: BTreeMap<ModuleName, Prepared>,
}

/// A file as the analysis reads it.
#[derive(Default)]
pub struct Prepared {
    text: Vec<u8>,
    /// What was added to it: the types of hooks.
    pub additions: Vec<Addition>,
    /// The mode that a comment at its top asks for.
    pub declared: Option<Mode>,
    /// Whether Luau can parse it.
    pub is_sound: bool,
}

impl Modules {
    pub fn new(sources: Arc<Sources>) -> Self {
        Self {
            sources,
            prepared: BTreeMap::new(),
        }
    }

    /// Returns the text of a file as the author sees it, without a byte order mark.
    pub fn text(&self, name: &ModuleName) -> Option<&[u8]> {
        let text = self.sources.files.get(name.to_path().ok()?)?;
        Some(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text))
    }

    /// Returns a file that the analysis has read.
    pub fn prepared(&self, name: &ModuleName) -> Option<&Prepared> {
        self.prepared.get(name)
    }

    fn read(&mut self, name: &ModuleName) -> Option<Vec<u8>> {
        if let Some(own) = name.to_str().ok()?.strip_prefix(OWN) {
            let kit = kit_text(Path::new(name.to_str().ok()?));
            return kit.or_else(|| stub_text(own)).map(<[u8]>::to_vec);
        }
        let prepared = Prepared::of(name.to_path().ok()?, self.text(name)?);
        let text = prepared.text.clone();
        self.prepared.insert(name.clone(), prepared);
        Some(text)
    }
}

impl Prepared {
    fn of(file: &Path, text: &[u8]) -> Self {
        let arena = AstArena::new();
        let mut names = AstNameTable::new(&arena);
        let Ok(parsed) = parse(text, &arena, &mut names, ParseOptions::default()) else {
            return Self::default();
        };
        let hooks = interface_of(file).map(|interface| hooks_in(interface, parsed.root));
        let additions = annotations(&hooks.unwrap_or_default());
        let declared = parsed.metadata.mode();
        let text = match declared {
            Some(Mode::Nonstrict) => text.replacen("--!nonstrict", "--!strict   ", 1),
            _ => text.to_vec(),
        };
        Self {
            text: extended(&text, &additions),
            additions,
            declared,
            is_sound: parsed.metadata.errors.is_empty(),
        }
    }
}

impl FileResolver for Modules {
    fn read_source(&mut self, name: &ModuleName) -> Option<SourceCode> {
        let text = self.read(name)?;
        Some(SourceCode {
            source: text.into(),
            kind: SourceCodeType::Module,
        })
    }

    fn resolve_module(
        &mut self,
        context: Option<&ModuleInfo>,
        argument: Expression<'_>,
        _limits: &TypeCheckLimits,
    ) -> Option<ModuleInfo> {
        let argument = argument.as_string()?.value.as_bytes().to_str().ok()?;
        let name = if argument.starts_with(OWN) {
            BString::from(argument)
        } else {
            let caller = context?.name.to_path().ok()?;
            BString::from(required_file(&self.sources, caller, argument)?.to_str()?)
        };
        Some(ModuleInfo {
            name,
            optional: false,
        })
    }
}
