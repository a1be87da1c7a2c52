//! `@moondock/fs`: files, directories and mounts.

use super::Host;
use super::record::typed;
use super::{Function, Module};
use crate::sys::files::{self, Kind, Stat};
use crate::sys::paths::{PathError, join_beneath};
use crate::sys::{mounts, remove};
use mlua::{BString, FromLua, Lua, LuaString, Table, Value};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::task::spawn_blocking;

/// The module's table.
pub const MODULE: Module = Module {
    name: "fs",
    summary: "Files, directories and mounts, by absolute path. A change is on the disk when the function returns. All but `join` wait for the disk while other \
              calls go on. Failures raise, with the path in front: ``fs.read: `/srv/x`: no such file or directory``.\n\n\
              A mode is a number (`0x1ed`) or, as Luau has no octal numbers, a string of octal digits (`\"0755\"`).",
    types: "export type Mode = number | string\n\
            export type Stat = {\n\
            \tkind: \"file\" | \"directory\" | \"symlink\" | \"block\" | \"other\",\n\
            \tsize: number,\n\tmode: number,\n\tuid: number,\n\tgid: number,\n\tmodified: number,\n\
            }\n\
            export type Usage = { total: number, free: number, used: number }\n\
            export type Mount = { source: string, target: string, type: string, options: { string } }\n\
            export type MountRequest = {\n\
            \tsource: string,\n\ttarget: string,\n\ttype: string?,\n\toptions: { string }?,\n\tloop: boolean?,\n\
            }",
    functions: &[
        Function {
            name: "read",
            signature: "(path: string, part: { offset: number?, length: number? }?) -> string",
            doc: "The content of a regular file of at most 16 MiB; or of any file the part that begins after `offset` bytes and has `length` bytes, at most \
                  16 MiB, or as many as there are.",
            make: |lua, binding| binding.waiting(lua, read),
        },
        Function {
            name: "write",
            signature: "(path: string, text: string, options: { mode: Mode?, append: boolean? }?) -> ()",
            doc: "Replaces the file's content in one step: whoever reads it, and a power cut, finds the old or the new one. A new file gets `mode`, or \
                  0644; an existing one keeps its owner, and its mode unless one is given. A symbolic link is replaced by the file.\n\n\
                  With `append` the text is added at the end instead, which is durable but not one step.",
            make: |lua, binding| binding.waiting(lua, write),
        },
        Function {
            name: "exists",
            signature: "(path: string) -> boolean",
            doc: "Whether anything is there, a dangling symbolic link included.",
            make: |lua, binding| binding.waiting(lua, exists),
        },
        Function {
            name: "stat",
            signature: "(path: string) -> Stat?",
            doc: "What the path is, of a symbolic link the link itself; `nil` where nothing is. `modified` is in seconds since 1970.",
            make: |lua, binding| binding.waiting(lua, stat),
        },
        Function {
            name: "list",
            signature: "(path: string) -> { string }",
            doc: "The names in a directory, sorted, without `.` and `..`.",
            make: |lua, binding| binding.waiting(lua, list),
        },
        Function {
            name: "mkdir",
            signature: "(path: string, options: { mode: Mode?, parents: boolean? }?) -> ()",
            doc: "Makes a directory with exactly `mode`, or 0755, whatever the umask is; with `parents` also the missing ones above it, with 0755. \
                  A directory that exists already is fine, and left as it is.",
            make: |lua, binding| binding.waiting(lua, mkdir),
        },
        Function {
            name: "remove",
            signature: "(path: string) -> boolean",
            doc: "Removes a file, a symbolic link or an empty directory; says whether it was there.",
            make: |lua, binding| binding.waiting(lua, remove_one),
        },
        Function {
            name: "remove_all",
            signature: "(path: string) -> boolean",
            doc: "Removes the path and all below it; says whether it was there. Symbolic links are removed, never followed. Raises, before anything \
                  is removed, where a file system is mounted on the path or below it, and names the mount.",
            make: |lua, binding| binding.waiting(lua, remove_all),
        },
        Function {
            name: "rename",
            signature: "(from: string, to: string) -> ()",
            doc: "Renames a file or directory within a file system. A file, or an empty directory, at `to` is replaced.",
            make: |lua, binding| binding.waiting(lua, rename),
        },
        Function {
            name: "chmod",
            signature: "(path: string, mode: Mode) -> ()",
            doc: "Sets the permission bits. Raises on a symbolic link.",
            make: |lua, binding| binding.waiting(lua, chmod),
        },
        Function {
            name: "chown",
            signature: "(path: string, uid: number, gid: number) -> ()",
            doc: "Sets owner and group; of a symbolic link its own.",
            make: |lua, binding| binding.waiting(lua, chown),
        },
        Function {
            name: "usage",
            signature: "(path: string) -> Usage",
            doc: "The room on the file system that holds the path, in bytes; `free` is what an ordinary user may still fill.",
            make: |lua, binding| binding.waiting(lua, usage),
        },
        Function {
            name: "real",
            signature: "(path: string) -> string",
            doc: "The path without symbolic links, `.` and `..`. Raises where nothing is there.",
            make: |lua, binding| binding.waiting(lua, real),
        },
        Function {
            name: "join",
            signature: "(base: string, name: string) -> string",
            doc: "The path of `name` below `base`: for names that others chose. Raises on a name that is empty, absolute, or has `.` or `..` in it, so that \
                  the result is always below `base`. Looks at the text only, not at symbolic links.",
            make: |lua, binding| binding.pure(lua, join),
        },
        Function {
            name: "allocate",
            signature: "(path: string, size: number) -> ()",
            doc: "Makes a file of that many bytes, mode 0644, that takes room only as it is filled: an image to put a file system in. Raises \
                  where something is there already.",
            make: |lua, binding| binding.waiting(lua, allocate),
        },
        Function {
            name: "mount",
            signature: "(request: MountRequest) -> ()",
            doc: "Mounts `source`, a file system of the given `type`, on the existing `target`. `options` are those of `mount -o`, one string each. With \
                  `loop` the source is an image file; its loop device goes when the mount goes. With the option `bind` or `rbind`, `type` is not needed.\n\n\
                  ```lua\n\
                  fs.mount({ source = image, target = path, type = \"ext4\", loop = true, options = { \"nosuid\", \"nodev\" } })\n\
                  ```\n\n\
                  Network file systems need their own program, such as `mount.nfs`: run `mount` through `process`.",
            make: |lua, binding| binding.waiting(lua, mount),
        },
        Function {
            name: "unmount",
            signature: "(target: string, options: { lazy: boolean? }?) -> boolean",
            doc: "Unmounts what was mounted last on the target; says whether anything was. Raises when it is in use. With `lazy` it is gone from the \
                  tree at once, and for good when nothing uses it any more.",
            make: |lua, binding| binding.waiting(lua, unmount),
        },
        Function {
            name: "mounted",
            signature: "(target: string) -> boolean",
            doc: "Whether something is mounted on the target itself. Answers for a mount whose server is gone, too.",
            make: |lua, binding| binding.waiting(lua, mounted),
        },
        Function {
            name: "mounts",
            signature: "() -> { Mount }",
            doc: "All mounts that Moondock sees, in the order in which they were made.",
            make: |lua, binding| binding.waiting(lua, list_mounts),
        },
    ],
};

/// Why a function of the module failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("`{0}` is not an absolute path")]
    Relative(String),
    #[error("a path cannot hold a zero byte")]
    Zero,
    #[error("`{0}` leaves the directory")]
    Leaves(String),
    #[error("`{0}` is not a mode: use octal digits in a string, such as \"0755\"")]
    Mode(String),
    #[error("`{0}` is not a number of bytes")]
    Size(f64),
    #[error("`{0}` must be {1}, not a {2}")]
    Option(&'static str, &'static str, &'static str),
    #[error("there is no option `{0}`")]
    Unknown(String),
    #[error("`type` is missing")]
    Type,
    #[error("{0}")]
    Lua(#[from] mlua::Error),
    #[error("{0}")]
    Thread(#[from] tokio::task::JoinError),
}

type Outcome<T> = Result<T, Failure>;

/// The path that a script means: every path passes here before it is used, so this is the place to refuse one.
fn resolve(_: &Host, path: &LuaString) -> Outcome<PathBuf> {
    let bytes = path.as_bytes();
    match bytes.first() {
        _ if bytes.contains(&0) => Err(Failure::Zero),
        Some(b'/') => Ok(PathBuf::from(OsStr::from_bytes(&bytes))),
        _ => Err(Failure::Relative(path.to_string_lossy())),
    }
}

/// Does what may wait for a disk on another thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PathError> + Send + 'static,
) -> Outcome<T> {
    Ok(spawn_blocking(work).await??)
}

async fn read(_: Lua, host: Rc<Host>, (path, part): (LuaString, Option<Table>)) -> Outcome<BString> {
    let path = resolve(&host, &path)?;
    let options = Options::of(part, &["offset", "length"])?;
    let (offset, length) = (options.bytes("offset")?, options.bytes("length")?);
    let read = move || match (offset, length) {
        (None, None) => files::read(&path),
        _ => files::read_part(&path, offset.unwrap_or(0), length.unwrap_or(files::MAX_READ)),
    };
    Ok(blocking(read).await?.into())
}

async fn write(_: Lua, host: Rc<Host>, arguments: (LuaString, LuaString, Option<Table>)) -> Outcome<()> {
    let (path, text, options) = arguments;
    let (path, text) = (resolve(&host, &path)?, text.as_bytes().to_vec());
    let options = Options::of(options, &["mode", "append"])?;
    let (mode, append) = (options.mode()?, options.flag("append")?);
    let write = if append { files::append } else { files::write };
    blocking(move || write(&path, &text, mode)).await
}

async fn exists(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    let path = resolve(&host, &path)?;
    Ok(blocking(move || files::stat(&path)).await?.is_some())
}

async fn stat(lua: Lua, host: Rc<Host>, path: LuaString) -> Outcome<Option<Table>> {
    let path = resolve(&host, &path)?;
    let stat = blocking(move || files::stat(&path)).await?;
    stat.map(|stat| stat_table(&lua, &stat)).transpose()
}

fn stat_table(lua: &Lua, stat: &Stat) -> Outcome<Table> {
    let table = lua.create_table_with_capacity(0, 6)?;
    table.raw_set("kind", kind(stat.kind))?;
    table.raw_set("size", stat.size)?;
    table.raw_set("mode", stat.mode)?;
    table.raw_set("uid", stat.uid)?;
    table.raw_set("gid", stat.gid)?;
    table.raw_set("modified", stat.modified)?;
    Ok(table)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::Block => "block",
        Kind::Other => "other",
    }
}

async fn list(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<Vec<BString>> {
    let path = resolve(&host, &path)?;
    let names = blocking(move || files::list(&path)).await?;
    Ok(names.into_iter().map(|name| name.into_vec().into()).collect())
}

async fn mkdir(_: Lua, host: Rc<Host>, (path, options): (LuaString, Option<Table>)) -> Outcome<()> {
    let path = resolve(&host, &path)?;
    let options = Options::of(options, &["mode", "parents"])?;
    let (mode, parents) = (options.mode()?.unwrap_or(0o755), options.flag("parents")?);
    blocking(move || files::make_directory(&path, mode, parents)).await
}

async fn remove_one(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    let path = resolve(&host, &path)?;
    blocking(move || files::remove(&path)).await
}

async fn remove_all(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    let path = resolve(&host, &path)?;
    blocking(move || remove::remove_all(&path)).await
}

async fn rename(_: Lua, host: Rc<Host>, (from, to): (LuaString, LuaString)) -> Outcome<()> {
    let (from, to) = (resolve(&host, &from)?, resolve(&host, &to)?);
    blocking(move || files::rename(&from, &to)).await
}

async fn chmod(_: Lua, host: Rc<Host>, (path, mode): (LuaString, Value)) -> Outcome<()> {
    let (path, mode) = (resolve(&host, &path)?, mode_of(&mode)?);
    blocking(move || files::change_mode(&path, mode)).await
}

async fn chown(_: Lua, host: Rc<Host>, (path, uid, gid): (LuaString, u32, u32)) -> Outcome<()> {
    let path = resolve(&host, &path)?;
    blocking(move || files::change_owner(&path, uid, gid)).await
}

async fn usage(lua: Lua, host: Rc<Host>, path: LuaString) -> Outcome<Table> {
    let path = resolve(&host, &path)?;
    let usage = blocking(move || files::usage(&path)).await?;
    let table = lua.create_table_with_capacity(0, 3)?;
    table.raw_set("total", usage.total)?;
    table.raw_set("free", usage.free)?;
    table.raw_set("used", usage.used)?;
    Ok(table)
}

async fn real(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<BString> {
    let path = resolve(&host, &path)?;
    Ok(bytes(blocking(move || files::real(&path)).await?))
}

fn join(_: &Lua, host: &Host, (base, name): (LuaString, LuaString)) -> Outcome<BString> {
    let base = resolve(host, &base)?;
    let bytes_of_name = name.as_bytes();
    if bytes_of_name.contains(&0) {
        return Err(Failure::Zero);
    }
    let joined = join_beneath(&base, Path::new(OsStr::from_bytes(&bytes_of_name)));
    joined.map(bytes).ok_or_else(|| Failure::Leaves(name.to_string_lossy()))
}

async fn allocate(_: Lua, host: Rc<Host>, (path, size): (LuaString, f64)) -> Outcome<()> {
    let path = resolve(&host, &path)?;
    if !(0.0..=i64::MAX as f64 / 2.0).contains(&size) || size.fract() != 0.0 {
        return Err(Failure::Size(size));
    }
    blocking(move || files::allocate(&path, size as u64)).await
}

async fn mount(_: Lua, host: Rc<Host>, request: Table) -> Outcome<()> {
    let options = Options::of(Some(request), &["source", "target", "type", "options", "loop"])?;
    let given = options.texts("options")?;
    let bind = given.iter().any(|option| option == "bind" || option == "rbind");
    let looped = options.flag("loop")?;
    let source = options.get::<LuaString>("source", "a string")?;
    let source =
        if bind || looped { resolve(&host, &source)? } else { OsStr::from_bytes(&source.as_bytes()).into() };
    let kind = options.get::<Option<String>>("type", "a string")?;
    let request = mounts::Request {
        source,
        target: resolve(&host, &options.get::<LuaString>("target", "a string")?)?,
        kind: if bind { String::new() } else { kind.ok_or(Failure::Type)? },
        options: given,
    };
    match looped {
        true => Ok(mounts::mount_image(&request).await?),
        false => blocking(move || mounts::mount(&request)).await,
    }
}

async fn unmount(_: Lua, host: Rc<Host>, (target, options): (LuaString, Option<Table>)) -> Outcome<bool> {
    let target = resolve(&host, &target)?;
    let lazy = Options::of(options, &["lazy"])?.flag("lazy")?;
    blocking(move || mounts::unmount(&target, lazy)).await
}

async fn mounted(_: Lua, host: Rc<Host>, target: LuaString) -> Outcome<bool> {
    let target = resolve(&host, &target)?;
    blocking(move || mounts::is_mounted(&target)).await
}

async fn list_mounts(lua: Lua, _: Rc<Host>, (): ()) -> Outcome<Vec<Table>> {
    let mounts = blocking(mounts::list).await?;
    mounts.into_iter().map(|mount| mount_table(&lua, mount)).collect()
}

fn mount_table(lua: &Lua, mount: mounts::Mount) -> Outcome<Table> {
    let table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set("source", bytes(mount.source))?;
    table.raw_set("target", bytes(mount.target))?;
    table.raw_set("type", mount.kind)?;
    table.raw_set("options", mount.options)?;
    Ok(table)
}

fn bytes(path: PathBuf) -> BString {
    path.into_os_string().into_vec().into()
}

/// The table of options that some functions take last.
struct Options(Option<Table>);

impl Options {
    fn of(table: Option<Table>, known: &[&str]) -> Outcome<Self> {
        for pair in table.iter().flat_map(Table::pairs::<Value, Value>) {
            let key = pair?.0.to_string()?;
            if !known.contains(&key.as_str()) {
                return Err(Failure::Unknown(key));
            }
        }
        Ok(Self(table))
    }

    fn value(&self, name: &str) -> Outcome<Value> {
        self.0.as_ref().map_or(Ok(Value::Nil), |table| Ok(table.get(name)?))
    }

    fn get<T: FromLua>(&self, name: &'static str, expected: &'static str) -> Outcome<T> {
        let Some(table) = &self.0 else { return Err(Failure::Option(name, expected, "nil")) };
        let value: Value = table.get(name)?;
        let given = value.type_name();
        table.get(name).map_err(|_| Failure::Option(name, expected, given))
    }

    fn texts(&self, name: &'static str) -> Outcome<Vec<String>> {
        match self.value(name)? {
            Value::Nil => Ok(Vec::new()),
            list => {
                typed(name, &list).map_err(|_| Failure::Option(name, "a list of strings", list.type_name()))
            }
        }
    }

    fn flag(&self, name: &'static str) -> Outcome<bool> {
        match self.value(name)? {
            Value::Nil => Ok(false),
            Value::Boolean(flag) => Ok(flag),
            other => Err(Failure::Option(name, "a boolean", other.type_name())),
        }
    }

    fn bytes(&self, name: &'static str) -> Outcome<Option<u64>> {
        match self.value(name)? {
            Value::Nil => Ok(None),
            count => typed(name, &count)
                .map(Some)
                .map_err(|_| Failure::Option(name, "a number of bytes", count.type_name())),
        }
    }

    fn mode(&self) -> Outcome<Option<u32>> {
        match self.value("mode")? {
            Value::Nil => Ok(None),
            mode => mode_of(&mode).map(Some),
        }
    }
}

/// A mode is a number, or its octal digits.
fn mode_of(mode: &Value) -> Outcome<u32> {
    let bits = match mode {
        Value::Integer(bits) => u32::try_from(*bits).ok(),
        Value::String(digits) => u32::from_str_radix(&digits.to_string_lossy(), 8).ok(),
        _ => None,
    };
    match bits.filter(|bits| *bits <= 0o7777) {
        Some(bits) => Ok(bits),
        None => Err(Failure::Mode(mode.to_string()?)),
    }
}
