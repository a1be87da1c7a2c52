//! `require`: std modules and kits by `@moondock/…`, the plugin's own files by `./…`, nothing else.

use super::place::{OWN, PRELUDE, PROMPT};
use super::syntax::compile;
use crate::host::{Host, MODULES, Module, close, nearest, suggestion};
use crate::shipped::KITS;
use crate::sys::scripts::sources::Sources;
use include_dir::File;
use mlua::{AnyUserData, Error, Function, Lua, Table, Value};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The `require` of one state.
pub struct Loader {
    sources: Arc<Sources>,
    host: Rc<Host>,
    used: RefCell<BTreeSet<PathBuf>>,
    /// The plugin's files that were compiled while scripts are tested.
    chunks: RefCell<Vec<(PathBuf, Function)>>,
    loading: RefCell<Vec<String>>,
    loaded: Table,
    /// What only the kit of tests can require.
    native: Option<AnyUserData>,
}

/// The module of tests, which only files of tests can require.
const TEST: &str = "test";
/// What the kit of tests stands on.
const NATIVE: &str = "test/native";

/// What a name stands for.
enum Found {
    Std(&'static Module),
    Kit(String, &'static str),
    File(PathBuf),
    Native(AnyUserData),
}

impl Loader {
    /// Gives the state its `require`.
    ///
    /// # Errors
    /// Only if memory is exhausted.
    pub fn install(
        lua: &Lua,
        sources: Arc<Sources>,
        host: Rc<Host>,
        native: Option<AnyUserData>,
    ) -> mlua::Result<Rc<Self>> {
        let loader = Rc::new(Self {
            sources,
            host,
            used: RefCell::default(),
            chunks: RefCell::default(),
            loading: RefCell::default(),
            loaded: lua.create_table()?,
            native,
        });
        let this = loader.clone();
        let require = move |lua: &Lua, name: Value| match &name {
            Value::String(name) => this.require(lua, &name.to_str()?),
            other => Err(Error::runtime(format!(
                "require: the argument must be a string such as \"{OWN}fs\", not a {}",
                other.type_name()
            ))),
        };
        let require = lua.create_function(require)?;
        lua.globals().raw_set("require", require)?;
        Ok(loader)
    }

    /// Compiles the plugin's file `path`.
    ///
    /// # Errors
    /// Luau's syntax error.
    pub fn compile(&self, lua: &Lua, path: &Path) -> mlua::Result<Function> {
        self.used.borrow_mut().insert(path.to_owned());
        let text = self.sources.files.get(path);
        let text = text.map(Vec::as_slice).unwrap_or_default();
        let chunk = compile(lua, &path.display().to_string(), text)?;
        if self.host.shared.stage.is_some() {
            let mut chunks = self.chunks.borrow_mut();
            chunks.push((path.to_owned(), chunk.clone()));
        }
        Ok(chunk)
    }

    /// Returns the plugin's files that were compiled while scripts are tested.
    pub fn chunks(&self) -> Vec<(PathBuf, Function)> {
        self.chunks.borrow().clone()
    }

    /// Returns the files that were looked up so far.
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
        // What is typed at a prompt loads modules as the top level of a file does.
        let is_typed = caller(lua) == Path::new(PROMPT);
        let in_call = self
            .host
            .in_call
            .replace(self.host.in_call.get() && !is_typed);
        let value = self.enter(&key).and_then(|()| {
            let value = self.load(lua, found);
            self.loading.borrow_mut().pop();
            value
        });
        self.host.in_call.set(in_call);
        let value = value?;
        self.loaded.raw_set(key, &value)?;
        Ok(value)
    }

    /// Marks a module as being loaded, so that a circle is found.
    fn enter(&self, key: &str) -> mlua::Result<()> {
        if self.host.in_call.get() {
            return Err(Error::runtime(
                "`require` cannot be called from a hook: move it to the top of the file",
            ));
        }
        let mut loading = self.loading.borrow_mut();
        if loading.iter().any(|other| other == key) {
            let chain = loading.join("` requires `");
            let message = format!("modules require each other: `{chain}` requires `{key}`");
            return Err(Error::runtime(message));
        }
        loading.push(key.to_owned());
        Ok(())
    }

    fn load(&self, lua: &Lua, found: Found) -> mlua::Result<Value> {
        let key = found.key();
        let chunk = match found {
            Found::Std(module) => return module.table(lua, &self.host).map(Value::Table),
            Found::Kit(name, text) => return load_kit(lua, &name, text),
            Found::File(path) => self.compile(lua, &path)?,
            Found::Native(native) => return Ok(Value::UserData(native)),
        };
        match chunk.call::<Value>(())? {
            Value::Nil => Err(Error::runtime(format!(
                "`{key}` must end with `return` and a value"
            ))),
            value => Ok(value),
        }
    }

    fn find(&self, lua: &Lua, name: &str) -> mlua::Result<Found> {
        let caller = caller(lua);
        match name.strip_prefix(OWN) {
            Some(own) => self.find_own(own, &caller),
            None => self.find_file(name, &caller),
        }
    }

    fn find_own(&self, name: &str, caller: &Path) -> mlua::Result<Found> {
        match &self.native {
            Some(native) if name == NATIVE && caller.starts_with(OWN) => {
                Ok(Found::Native(native.clone()))
            }
            None if name == TEST => Err(Error::runtime(format!(
                "`{OWN}{TEST}` is for files such as `volume_test.lua`, which `moondock test` runs"
            ))),
            _ => find_own(name, caller).ok_or_else(|| unknown_own(name)),
        }
    }

    fn find_file(&self, name: &str, caller: &Path) -> mlua::Result<Found> {
        if !name.starts_with("./") && !name.starts_with("../") {
            return Err(uprooted(name));
        }
        let path = path_of(name, caller).ok_or_else(|| {
            Error::runtime(format!(
                "`{name}` is outside the directory of the plugin: move the file into it"
            ))
        })?;
        // Files that do not exist count as used too: once created, they would be found first.
        let exists = |file: &PathBuf| {
            self.used.borrow_mut().insert(file.clone());
            self.sources.files.contains_key(file)
        };
        match candidates(&path).find(exists) {
            Some(path) => Ok(Found::File(path)),
            None => Err(self.missing(name, &path)),
        }
    }

    fn missing(&self, name: &str, path: &Path) -> Error {
        let mut problems = self.sources.problems.iter();
        if let Some((file, why)) = problems.find(|(file, _)| file.with_extension("") == path) {
            return Error::runtime(format!("`{name}`: `{}` {why}", file.display()));
        }
        let mut tests = self.sources.tests.keys();
        if let Some(file) = tests.find(|file| file.with_extension("") == path) {
            return Error::runtime(format!(
                "`{name}`: `{}` is a test, which scripts cannot require: give it a name that does not end in _test",
                file.display()
            ));
        }
        let files = self.sources.files.keys().filter_map(|file| file.to_str());
        let names = files.map(|file| file.trim_end_matches(".lua"));
        let near = nearest(&path.to_string_lossy(), names).map(|near| format!("./{near}"));
        let hint = suggestion(near.as_deref());
        Error::runtime(format!(
            "`{name}`: there is no `{}.lua` in this plugin{hint}",
            path.display()
        ))
    }
}

/// Returns the file that `name`, such as `./lib/a`, stands for in the file `caller`.
pub fn required_file(sources: &Sources, caller: &Path, name: &str) -> Option<PathBuf> {
    let is_path = name.starts_with("./") || name.starts_with("../");
    let path = path_of(name, caller).filter(|_| is_path)?;
    candidates(&path).find(|file| sources.files.contains_key(file))
}

fn path_of(name: &str, caller: &Path) -> Option<PathBuf> {
    beneath(caller.parent().unwrap_or(Path::new("")), Path::new(name))
}

/// Returns the files that a path without extension may stand for, the first that exists.
fn candidates(path: &Path) -> impl Iterator<Item = PathBuf> {
    let files = ["lua", "luau"].map(|extension| with_extension(path, extension));
    let inits = ["init.lua", "init.luau"].map(|init| path.join(init));
    files.into_iter().chain(inits)
}

fn load_kit(lua: &Lua, name: &str, text: &str) -> mlua::Result<Value> {
    let chunk = lua.load(text).set_name(format!("={OWN}{name}"));
    let kit: Table = chunk.call(())?;
    close(lua, &kit, name)?;
    Ok(Value::Table(kit))
}

impl Found {
    /// What the module is called in messages and traces.
    fn key(&self) -> String {
        match self {
            Found::Std(module) => format!("{OWN}{}", module.name),
            Found::Kit(name, _) => format!("{OWN}{name}"),
            Found::File(path) => path.display().to_string(),
            Found::Native(_) => format!("{OWN}{NATIVE}"),
        }
    }
}

/// Returns the file that calls `require`, directly or through `pcall`.
fn caller(lua: &Lua) -> PathBuf {
    let source =
        |level| lua.inspect_stack(level, |frame| frame.source().source.map(Cow::into_owned));
    let frames = (1..).map_while(source).flatten();
    let mut files = frames.filter(|source| source != "=[C]" && source != PRELUDE);
    PathBuf::from(files.next().unwrap_or_default().trim_start_matches('='))
}

fn find_own(name: &str, caller: &Path) -> Option<Found> {
    if let Some(module) = MODULES.iter().find(|module| module.name == name) {
        return Some(Found::Std(module));
    }
    let file = match kits().any(|kit| kit == name) {
        true => KITS.get_file(format!("{name}/init.luau")),
        false if caller.starts_with(OWN) => inner_file(name),
        false => None,
    };
    Some(Found::Kit(name.to_owned(), file?.contents_utf8()?))
}

/// Returns the names of the kits that scripts can require.
fn kits() -> impl Iterator<Item = &'static str> {
    KITS.dirs().filter_map(|kit| kit.path().to_str())
}

fn inner_file(name: &str) -> Option<&'static File<'static>> {
    KITS.get_file(format!("{name}.luau"))
}

/// Returns the error for a name without `./` and `@moondock/`.
fn uprooted(name: &str) -> Error {
    let near = nearest(name, own_names().into_iter());
    Error::runtime(match near {
        Some(near) => format!("`{name}` cannot be required; did you mean `{OWN}{near}`?"),
        None => format!(
            "`{name}` cannot be required: write `./name` for a file of this plugin, or `{OWN}name` \
             for a module of Moondock"
        ),
    })
}

fn unknown_own(name: &str) -> Error {
    let names = own_names();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("; did you mean `{OWN}{near}`?"),
        None => format!("; there are {}", names.join(", ")),
    };
    Error::runtime(format!("Moondock has no module `{OWN}{name}`{hint}"))
}

/// Returns the names after `@moondock/` that scripts can require, std modules before kits.
pub(super) fn own_names() -> Vec<&'static str> {
    let modules = MODULES.iter().map(|module| module.name);
    modules.chain(kits().filter(|kit| *kit != TEST)).collect()
}

/// Returns the text of a kit's file by the name of its chunk.
pub fn kit_text(chunk: &Path) -> Option<&'static [u8]> {
    let name = chunk.to_str()?.strip_prefix(OWN)?;
    let kit = KITS.get_file(format!("{name}/init.luau"));
    kit.or_else(|| inner_file(name)).map(File::contents)
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

/// Adds an extension, also to a name that contains a dot.
fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}
