//! `require`: std modules and kits by `@moondock/…`, the plugin's own files by `./…`, and nothing else.

use super::vm::PRELUDE_NAME;
use crate::host::{Host, MODULES, Module};
use crate::sys::scripts::sources::Sources;
use include_dir::{Dir, include_dir};
use mlua::{Function, Lua, Table, Value};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

static KITS: Dir = include_dir!("$CARGO_MANIFEST_DIR/scripts/kits");

/// What the names of Moondock's own modules begin with.
const OWN: &str = "@moondock/";

/// The `require` of one state.
pub struct Loader {
    sources: Arc<Sources>,
    host: Rc<Host>,
    used: RefCell<BTreeSet<PathBuf>>,
    loading: RefCell<Vec<String>>,
    loaded: Table,
}

impl Loader {
    /// Gives the state its `require`.
    ///
    /// # Errors
    /// Only for want of memory.
    pub fn install(lua: &Lua, sources: Arc<Sources>, host: Rc<Host>) -> mlua::Result<Rc<Self>> {
        let loaded = lua.create_table()?;
        let loader = Rc::new(Self {
            sources,
            host,
            used: RefCell::default(),
            loading: RefCell::default(),
            loaded,
        });
        let this = loader.clone();
        let require = lua.create_function(move |lua, name: String| this.require(lua, &name))?;
        lua.globals().raw_set("require", require)?;
        Ok(loader)
    }

    /// Compiles the plugin's file `path`.
    ///
    /// # Errors
    /// Luau's syntax error.
    pub fn compile(&self, lua: &Lua, path: &Path) -> mlua::Result<Function> {
        self.used.borrow_mut().insert(path.to_owned());
        let text = self
            .sources
            .files
            .get(path)
            .map(Vec::as_slice)
            .unwrap_or_default();
        lua.load(text)
            .set_name(format!("={}", path.display()))
            .into_function()
    }

    /// The files that were read so far.
    pub fn used(&self) -> BTreeSet<PathBuf> {
        self.used.borrow().clone()
    }

    fn require(&self, lua: &Lua, name: &str) -> mlua::Result<Value> {
        let found = self.find(lua, name)?;
        let key = found.key();
        match self.loaded.raw_get(key.as_str())? {
            Value::Nil => {}
            value => return Ok(value),
        }
        self.enter(&key)?;
        let value = self.load(lua, found);
        self.loading.borrow_mut().pop();
        let value = value?;
        self.loaded.raw_set(key, &value)?;
        Ok(value)
    }

    fn enter(&self, key: &str) -> mlua::Result<()> {
        if self.host.in_call.get() {
            return Err(mlua::Error::runtime(
                "`require` belongs at the top of a file, not into a hook",
            ));
        }
        let mut loading = self.loading.borrow_mut();
        if loading.iter().any(|other| other == key) {
            let chain = loading.join("` requires `");
            return Err(mlua::Error::runtime(format!(
                "`{chain}` requires `{key}`: a circle"
            )));
        }
        loading.push(key.to_owned());
        Ok(())
    }

    fn load(&self, lua: &Lua, found: Found) -> mlua::Result<Value> {
        let chunk = match &found {
            Found::Std(module) => return module.table(lua, &self.host).map(Value::Table),
            Found::Kit(name, text) => lua
                .load(*text)
                .set_name(format!("={OWN}{name}"))
                .into_function()?,
            Found::File(path) => self.compile(lua, path)?,
        };
        match chunk.call::<Value>(())? {
            Value::Nil => Err(mlua::Error::runtime(format!(
                "`{}` must end with `return` and a value",
                found.key()
            ))),
            value => Ok(value),
        }
    }

    fn find(&self, lua: &Lua, name: &str) -> mlua::Result<Found> {
        match name.strip_prefix(OWN) {
            Some(own) => find_own(own).ok_or_else(|| unknown_own(own)),
            None => self.find_file(lua, name),
        }
    }

    fn find_file(&self, lua: &Lua, name: &str) -> mlua::Result<Found> {
        if !name.starts_with("./") && !name.starts_with("../") {
            let cure = "write `./name` for a file of this plugin, or `@moondock/name` for a module of Moondock";
            return Err(mlua::Error::runtime(format!(
                "`{name}` cannot be required: {cure}"
            )));
        }
        let asking = asking(lua);
        let path = beneath(asking.parent().unwrap_or(Path::new("")), Path::new(name)).ok_or_else(
            || {
                mlua::Error::runtime(format!(
                    "`{name}` leaves the directory of the plugin: move the file into it"
                ))
            },
        )?;
        let candidates = ["lua", "luau"].map(|ending| with_ending(&path, ending));
        let inits = ["lua", "luau"].map(|ending| path.join("init").with_extension(ending));
        let mut all = candidates.into_iter().chain(inits);
        // One that is not there yet would be found before the others.
        let is_there = |candidate: &PathBuf| {
            self.used.borrow_mut().insert(candidate.clone());
            self.sources.files.contains_key(candidate)
        };
        match all.find(is_there) {
            Some(path) => Ok(Found::File(path)),
            None => Err(self.missing(name, &path)),
        }
    }

    fn missing(&self, name: &str, path: &Path) -> mlua::Error {
        if let Some((file, why)) = self
            .sources
            .problems
            .iter()
            .find(|(file, _)| file.with_extension("") == path)
        {
            return mlua::Error::runtime(format!("`{name}`: `{}` {why}", file.display()));
        }
        let files = self.sources.files.keys().filter_map(|file| file.to_str());
        let near = nearest(
            &path.to_string_lossy(),
            files.map(|file| file.trim_end_matches(".lua")),
        );
        let hint = near
            .map(|near| format!("; did you mean `./{near}`?"))
            .unwrap_or_default();
        mlua::Error::runtime(format!(
            "`{name}`: there is no `{}.lua` in this plugin{hint}",
            path.display()
        ))
    }
}

/// The file that calls `require`, by itself or through `pcall`.
fn asking(lua: &Lua) -> PathBuf {
    let source =
        |level| lua.inspect_stack(level, |frame| frame.source().source.map(Cow::into_owned));
    let frames = (1..).map_while(source).flatten();
    let mut files = frames.filter(|source| source != "=[C]" && source != PRELUDE_NAME);
    PathBuf::from(files.next().unwrap_or_default().trim_start_matches('='))
}

enum Found {
    Std(&'static Module),
    Kit(String, &'static str),
    File(PathBuf),
}

impl Found {
    fn key(&self) -> String {
        match self {
            Found::Std(module) => format!("{OWN}{}", module.name),
            Found::Kit(name, _) => format!("{OWN}{name}"),
            Found::File(path) => path.display().to_string(),
        }
    }
}

fn find_own(name: &str) -> Option<Found> {
    let module = MODULES.iter().find(|module| module.name == name);
    module.map(|module| Found::Std(module)).or_else(|| {
        let kit = KITS.get_file(format!("{name}.luau"))?;
        Some(Found::Kit(name.to_owned(), kit.contents_utf8()?))
    })
}

fn unknown_own(name: &str) -> mlua::Error {
    let names = own_names();
    let hint = nearest(name, names.iter().map(String::as_str))
        .map(|near| format!("; did you mean `{OWN}{near}`?"));
    let hint = hint.unwrap_or_else(|| format!("; there are {}", names.join(", ")));
    mlua::Error::runtime(format!("Moondock has no module `{OWN}{name}`{hint}"))
}

/// The names after `@moondock/`, modules before kits.
pub fn own_names() -> Vec<String> {
    let kits = KITS
        .files()
        .filter_map(|file| file.path().file_stem()?.to_str().map(str::to_owned));
    MODULES
        .iter()
        .map(|module| module.name.to_owned())
        .chain(kits)
        .collect()
}

/// The text of a kit by the name of its chunk.
pub fn kit_text(chunk: &Path) -> Option<&'static [u8]> {
    let name = chunk.to_str()?.strip_prefix(OWN)?;
    KITS.get_file(format!("{name}.luau"))
        .map(include_dir::File::contents)
}

/// Longer names are nobody's slip, and comparing them takes long.
pub(super) const LONGEST_NAME: usize = 100;

/// What is most like `name`, if anything is.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let near = names.map(|other| (strsim::jaro_winkler(name, other), other));
    near.filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other)
}

/// Joins without ever leaving the root that `base` is relative to.
fn beneath(base: &Path, name: &Path) -> Option<PathBuf> {
    let mut path = base.to_owned();
    for part in name.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => path.push(part),
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}
