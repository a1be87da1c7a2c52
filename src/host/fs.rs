//! `@moondock/fs`: files, directories and mounts.

mod mounting;
mod options;
mod paths;

use self::mounting::{list_mounts, mount, mounted, mounted_elsewhere, unmount};
use self::options::{Options, mode_of};
use self::paths::{Failure, Outcome, absolute, at, blocking};
use super::{Function, Host, Module, Needs};
use crate::grants::territory::Access;
use crate::sys::files::paths::join_beneath;
use crate::sys::files::places::{End, Place};
use crate::sys::files::remove;
use crate::sys::files::{self, Kind, Stat};
use crate::sys::mounts::first_at_or_below;
use mlua::{BString, Lua, LuaString, Table, Value};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The module's table.
pub const MODULE: Module = Module {
    name: "fs",
    summary: "Files, directories and mounts, by absolute path. A change is on the disk when the function returns. All but `join` wait for the disk while other \
              calls go on. Failures raise, with the path in front: ``fs.read: `/srv/x`: no such file or directory``.\n\n\
              A path counts as what it leads to: links are followed first, and the place that they lead to must be granted. Functions that change names \
              (`write`, `remove`, `remove_all`, `rename`, `allocate`, `unmount`) and `exists`, `stat`, `chmod`, `chown`, `mounted` mean a link at the end \
              of the path itself.\n\n\
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
            needs: Needs::Read,
            make: |lua, binding| binding.waiting(lua, read),
        },
        Function {
            name: "write",
            signature: "(path: string, text: string, options: { mode: Mode?, append: boolean? }?) -> ()",
            doc: "Replaces the file's content in one step: whoever reads it, and a power cut, finds the old or the new one. A new file gets `mode`, or \
                  0644; an existing one keeps its owner, and its mode unless one is given. A symbolic link is replaced by the file.\n\n\
                  With `append` the text is added at the end instead, which is durable but not one step.",
            needs: Needs::Write,
            make: |lua, binding| binding.waiting(lua, write),
        },
        Function {
            name: "exists",
            signature: "(path: string) -> boolean",
            doc: "Whether anything is there, a dangling symbolic link included.",
            needs: Needs::Read,
            make: |lua, binding| binding.waiting(lua, exists),
        },
        Function {
            name: "stat",
            signature: "(path: string) -> Stat?",
            doc: "What the path is, of a symbolic link the link itself; `nil` where nothing is. `modified` is in seconds since 1970.",
            needs: Needs::Read,
            make: |lua, binding| binding.waiting(lua, stat),
        },
        Function {
            name: "list",
            signature: "(path: string) -> { string }",
            doc: "The names in a directory, sorted, without `.` and `..`.",
            needs: Needs::Read,
            make: |lua, binding| binding.waiting(lua, list),
        },
        Function {
            name: "mkdir",
            signature: "(path: string, options: { mode: Mode?, parents: boolean? }?) -> ()",
            doc: "Makes a directory with exactly `mode`, or 0755, whatever the umask is; with `parents` also the missing ones above it, with 0755, those above a granted directory too. \
                  A directory that exists already is fine, and left as it is.",
            needs: Needs::Write,
            make: |lua, binding| binding.waiting(lua, mkdir),
        },
        Function {
            name: "remove",
            signature: "(path: string) -> boolean",
            doc: "Removes a file, a symbolic link or an empty directory; says whether it was there.",
            needs: Needs::Write,
            make: |lua, binding| binding.waiting(lua, remove_one),
        },
        Function {
            name: "remove_all",
            signature: "(path: string) -> boolean",
            doc: "Removes the path and all below it; says whether it was there. Symbolic links are removed, never followed. Raises, before anything \
                  is removed, where a file system is mounted on the path or below it, and names the mount.",
            needs: Needs::Write,
            make: |lua, binding| binding.waiting(lua, remove_all),
        },
        Function {
            name: "rename",
            signature: "(from: string, to: string) -> ()",
            doc: "Renames a file or directory within a file system. A file, or an empty directory, at `to` is replaced, unless it is itself what a grant names.",
            needs: Needs::Write,
            make: |lua, binding| binding.waiting(lua, rename),
        },
        Function {
            name: "chmod",
            signature: "(path: string, mode: Mode) -> ()",
            doc: "Sets the permission bits. Raises on a symbolic link.",
            needs: Needs::Write,
            make: |lua, binding| binding.waiting(lua, chmod),
        },
        Function {
            name: "chown",
            signature: "(path: string, uid: number, gid: number) -> ()",
            doc: "Sets owner and group; of a symbolic link its own.",
            needs: Needs::Write,
            make: |lua, binding| binding.waiting(lua, chown),
        },
        Function {
            name: "usage",
            signature: "(path: string) -> Usage",
            doc: "The room on the file system that holds the path, in bytes; `free` is what an ordinary user may still fill.",
            needs: Needs::Read,
            make: |lua, binding| binding.waiting(lua, usage),
        },
        Function {
            name: "real",
            signature: "(path: string) -> string",
            doc: "The path without symbolic links, `.` and `..`. Raises where nothing is there.",
            needs: Needs::Read,
            make: |lua, binding| binding.waiting(lua, real),
        },
        Function {
            name: "join",
            signature: "(base: string, name: string) -> string",
            doc: "The path of `name` below `base`: for names that others chose. Raises on a name that is empty, absolute, or has `.` or `..` in it, so that \
                  the result is always below `base`. Looks at the text only, not at symbolic links.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, join),
        },
        Function {
            name: "allocate",
            signature: "(path: string, size: number) -> ()",
            doc: "Makes a file of that many bytes, mode 0644, that takes room only as it is filled: an image to put a file system in. Raises \
                  where something is there already.",
            needs: Needs::Write,
            make: |lua, binding| binding.waiting(lua, allocate),
        },
        Function {
            name: "mount",
            signature: "(request: MountRequest) -> ()",
            doc: "Mounts `source`, a file system of the given `type`, on the existing `target`. `options` are those of `mount -o`, one string each. With \
                  `loop` the source is an image file; its loop device goes when the mount goes. With the option `bind` or `rbind`, `type` is not needed.\n\n\
                  ```lua\n\
                  fs.mount({ source = image, target = path, type = \"ext4\", loop = true, options = { \"nosuid\" } })\n\
                  ```\n\n\
                  A device, an image and what is bound must be granted by `fs.write` as well, an image that is mounted with the option `ro` by `fs.read`. The type is \
                  `tmpfs`, `ramfs`, or one that lives on a device alone: `exfat`, `ext2`, `ext3`, `ext4`, `iso9660`, `ntfs3`, `squashfs`, `udf`, `vfat`, \
                  `xfs`. `nodev` always holds: devices in it cannot be opened. Options that name paths, move, share or change other mounts raise. For anything else, network file systems above all, run \
                  `mount` through `process`.",
            needs: Needs::MountAndWrite,
            make: |lua, binding| binding.waiting(lua, mount),
        },
        Function {
            name: "unmount",
            signature: "(target: string, options: { lazy: boolean? }?) -> boolean",
            doc: "Unmounts what was mounted last on the target; says whether anything was. Raises when it is in use. With `lazy` it is gone from the \
                  tree at once, and for good when nothing uses it any more.",
            needs: Needs::MountAndWrite,
            make: |lua, binding| binding.waiting(lua, unmount),
        },
        Function {
            name: "mounted",
            signature: "(target: string) -> boolean",
            doc: "Whether something is mounted on the target itself. Answers for a mount whose server is gone, too.",
            needs: Needs::Read,
            make: |lua, binding| binding.waiting(lua, mounted),
        },
        Function {
            name: "mounted_elsewhere",
            signature: "(path: string) -> boolean?",
            doc: "Whether what is at the path, or a part of it, is mounted in another mount namespace: a container has it. `nil` where that cannot be \
                  seen, as in a managed plugin.",
            needs: Needs::Read,
            make: |lua, binding| binding.waiting(lua, mounted_elsewhere),
        },
        Function {
            name: "mounts",
            signature: "() -> { Mount }",
            doc: "All mounts that Moondock sees, in the order in which they were made.",
            needs: Needs::Mount,
            make: |lua, binding| binding.waiting(lua, list_mounts),
        },
    ],
};

async fn read(
    _: Lua,
    host: Rc<Host>,
    (path, part): (LuaString, Option<Table>),
) -> Outcome<BString> {
    let options = Options::of(part, &["offset", "length"])?;
    let (offset, length) = (options.bytes("offset")?, options.bytes("length")?);
    let read = move |place: &Place| match (offset, length) {
        (None, None) => files::read(place),
        _ => files::read_part(
            place,
            offset.unwrap_or(0),
            length.unwrap_or(files::MAX_READ),
        ),
    };
    Ok(at(&host, &path, Access::Read, End::Followed, read)
        .await?
        .into())
}

async fn write(
    _: Lua,
    host: Rc<Host>,
    arguments: (LuaString, LuaString, Option<Table>),
) -> Outcome<()> {
    let (path, text, options) = arguments;
    let text = text.as_bytes().to_vec();
    let options = Options::of(options, &["mode", "append"])?;
    let (mode, append) = (options.mode()?, options.flag("append")?);
    if append {
        let append = move |place: &Place| files::append(place, &text, mode);
        at(&host, &path, Access::Write, End::Followed, append).await
    } else {
        let write = move |place: &Place| files::write(place, &text, mode);
        at(&host, &path, Access::Write, End::Itself, write).await
    }
}

async fn exists(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    Ok(at(&host, &path, Access::Read, End::Itself, files::stat)
        .await?
        .is_some())
}

async fn stat(lua: Lua, host: Rc<Host>, path: LuaString) -> Outcome<Option<Table>> {
    let stat = at(&host, &path, Access::Read, End::Itself, files::stat).await?;
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
    let names = at(&host, &path, Access::Read, End::Followed, files::list).await?;
    Ok(names
        .into_iter()
        .map(|name| name.into_vec().into())
        .collect())
}

async fn mkdir(_: Lua, host: Rc<Host>, (path, options): (LuaString, Option<Table>)) -> Outcome<()> {
    let options = Options::of(options, &["mode", "parents"])?;
    let (mode, parents) = (options.mode()?.unwrap_or(0o755), options.flag("parents")?);
    let make = move |place: &Place| files::make_directory(place, mode, parents);
    at(&host, &path, Access::Write, End::Followed, make).await
}

async fn remove_one(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    at(&host, &path, Access::Write, End::Itself, files::remove).await
}

async fn remove_all(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    let remove = |place: &Place| remove::remove_all(place, first_at_or_below);
    at(&host, &path, Access::Write, End::Itself, remove).await
}

async fn rename(_: Lua, host: Rc<Host>, (from, to): (LuaString, LuaString)) -> Outcome<()> {
    let (from, to, territory) = (absolute(&from)?, absolute(&to)?, host.shared.territory());
    blocking(move || {
        let from = territory.find(&from, Access::Write, End::Itself)?;
        Ok(files::rename(&from, &territory.find_free(&to)?)?)
    })
    .await
}

async fn chmod(_: Lua, host: Rc<Host>, (path, mode): (LuaString, Value)) -> Outcome<()> {
    let mode = mode_of(&mode)?;
    let change = move |place: &Place| files::change_mode(place, mode);
    at(&host, &path, Access::Write, End::Itself, change).await
}

async fn chown(_: Lua, host: Rc<Host>, (path, uid, gid): (LuaString, u32, u32)) -> Outcome<()> {
    let change = move |place: &Place| files::change_owner(place, uid, gid);
    at(&host, &path, Access::Write, End::Itself, change).await
}

async fn usage(lua: Lua, host: Rc<Host>, path: LuaString) -> Outcome<Table> {
    let usage = at(&host, &path, Access::Read, End::Followed, files::usage).await?;
    let table = lua.create_table_with_capacity(0, 3)?;
    table.raw_set("total", usage.total)?;
    table.raw_set("free", usage.free)?;
    table.raw_set("used", usage.used)?;
    Ok(table)
}

async fn real(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<BString> {
    Ok(bytes(
        at(&host, &path, Access::Read, End::Followed, files::real).await?,
    ))
}

fn join(_: &Lua, _: &Host, (base, name): (LuaString, LuaString)) -> Outcome<BString> {
    let base = absolute(&base)?;
    let bytes_of_name = name.as_bytes();
    if bytes_of_name.contains(&0) {
        return Err(Failure::Zero);
    }
    let joined = join_beneath(&base, Path::new(OsStr::from_bytes(&bytes_of_name)));
    joined
        .map(bytes)
        .ok_or_else(|| Failure::Leaves(name.to_string_lossy()))
}

async fn allocate(_: Lua, host: Rc<Host>, (path, size): (LuaString, f64)) -> Outcome<()> {
    if !(0.0..=i64::MAX as f64 / 2.0).contains(&size) || size.fract() != 0.0 {
        return Err(Failure::Size(size));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0, as checked above"
    )]
    let size = size as u64;
    let allocate = move |place: &Place| files::allocate(place, size);
    at(&host, &path, Access::Write, End::Itself, allocate).await
}

fn bytes(path: PathBuf) -> BString {
    path.into_os_string().into_vec().into()
}
