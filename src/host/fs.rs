//! `@moondock/fs`: files, directories and mounts.

mod mounting;
mod paths;

use self::mounting::{list_mounts, mount, mounted, mounted_elsewhere, played, unmount};
use self::paths::{FsFailure, Outcome, absolute, act_on, blocking, located};
use super::record::Record;
use super::{Host, Module, Needs, function};
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

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "fs",
    functions: &[
        function("read", Needs::Read, |lua, bind| bind.waiting(lua, read)),
        function("write", Needs::Write, |lua, bind| bind.waiting(lua, write)),
        function("exists", Needs::Read, |lua, bind| bind.waiting(lua, exists)),
        function("stat", Needs::Read, |lua, bind| bind.waiting(lua, stat)),
        function("list", Needs::Read, |lua, bind| bind.waiting(lua, list)),
        function("mkdir", Needs::Write, |lua, bind| bind.waiting(lua, mkdir)),
        function("remove", Needs::Write, |lua, bind| bind.waiting(lua, remove_one)),
        function("remove_all", Needs::Write, |lua, bind| bind.waiting(lua, remove_all)),
        function("rename", Needs::Write, |lua, bind| bind.waiting(lua, rename)),
        function("chmod", Needs::Write, |lua, bind| bind.waiting(lua, chmod)),
        function("chown", Needs::Write, |lua, bind| bind.waiting(lua, chown)),
        function("usage", Needs::Read, |lua, bind| bind.waiting(lua, usage)),
        function("real", Needs::Read, |lua, bind| bind.waiting(lua, real)),
        function("join", Needs::Nothing, |lua, bind| bind.pure(lua, join)),
        function("allocate", Needs::Write, |lua, bind| bind.waiting(lua, allocate)),
        function("mount", Needs::MountAndWrite, |lua, bind| bind.waiting(lua, mount)),
        function("unmount", Needs::MountAndWrite, |lua, bind| bind.waiting(lua, unmount)),
        function("mounted", Needs::Read, |lua, bind| bind.waiting(lua, mounted)),
        function("mounted_elsewhere", Needs::Read, |lua, bind| bind.waiting(lua, mounted_elsewhere)),
        function("mounts", Needs::Mount, |lua, bind| bind.waiting(lua, list_mounts)),
    ],
};

async fn read(
    lua: Lua,
    host: Rc<Host>,
    (path, part): (LuaString, Option<Table>),
) -> Outcome<LuaString> {
    let part = Record::new(part, &["offset", "length"])?;
    let (offset, length) = (part.optional("offset")?, part.optional("length")?);
    let allowance = host.allowance.clone();
    let read = move |place: &Place| match (offset, length) {
        (None, None) => files::read(place, &allowance),
        _ => files::read_part(
            place,
            offset.unwrap_or(0),
            length.unwrap_or(files::MAX_READ),
            &allowance,
        ),
    };
    let text = act_on(&host, &path, Access::Read, End::Followed, read).await?;
    Ok(lua.create_string(&*text)?)
}

async fn write(
    _: Lua,
    host: Rc<Host>,
    arguments: (LuaString, LuaString, Option<Table>),
) -> Outcome<()> {
    let (path, text, options) = arguments;
    let _held = host.allowance.hold(text.as_bytes().len())?;
    let text = text.as_bytes().to_vec();
    let options = Record::new(options, &["mode", "append"])?;
    let mode = optional_mode(&options)?;
    let append = options.optional("append")?.unwrap_or_default();
    if append {
        let append = move |place: &Place| files::append(place, &text, mode);
        return act_on(&host, &path, Access::Write, End::Followed, append).await;
    }
    let write = move |place: &Place| files::write(place, &text, mode);
    act_on(&host, &path, Access::Write, End::Itself, write).await
}

async fn exists(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    Ok(act_on(&host, &path, Access::Read, End::Itself, files::stat)
        .await?
        .is_some())
}

async fn stat(lua: Lua, host: Rc<Host>, path: LuaString) -> Outcome<Option<Table>> {
    let stat = act_on(&host, &path, Access::Read, End::Itself, files::stat).await?;
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
    let names = act_on(&host, &path, Access::Read, End::Followed, files::list).await?;
    Ok(names
        .into_iter()
        .map(|name| name.into_vec().into())
        .collect())
}

async fn mkdir(_: Lua, host: Rc<Host>, (path, options): (LuaString, Option<Table>)) -> Outcome<()> {
    let options = Record::new(options, &["mode", "parents"])?;
    let mode = optional_mode(&options)?.unwrap_or(0o755);
    let parents = options.optional("parents")?.unwrap_or_default();
    let make = move |place: &Place| files::make_directory(place, mode, parents);
    act_on(&host, &path, Access::Write, End::Followed, make).await
}

async fn remove_one(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    act_on(&host, &path, Access::Write, End::Itself, files::remove).await
}

async fn remove_all(lua: Lua, host: Rc<Host>, path: LuaString) -> Outcome<bool> {
    if let Some(answer) = played(&lua, &host, "remove_all", &path, &path, Access::Write).await? {
        return Ok(answer);
    }
    let remove = |place: &Place| remove::remove_all(place, first_at_or_below);
    act_on(&host, &path, Access::Write, End::Itself, remove).await
}

async fn rename(_: Lua, host: Rc<Host>, (from, to): (LuaString, LuaString)) -> Outcome<()> {
    let (from, to) = (located(&host, &from)?, located(&host, &to)?);
    let territory = host.shared.territory();
    blocking(move || {
        let from = territory.find(&from, Access::Write, End::Itself)?;
        Ok(files::rename(&from, &territory.find_free(&to)?)?)
    })
    .await
}

async fn chmod(_: Lua, host: Rc<Host>, (path, mode): (LuaString, Value)) -> Outcome<()> {
    let mode = mode_of(&mode)?;
    let change = move |place: &Place| files::change_mode(place, mode);
    act_on(&host, &path, Access::Write, End::Itself, change).await
}

async fn chown(lua: Lua, host: Rc<Host>, (path, uid, gid): (LuaString, u32, u32)) -> Outcome<()> {
    if let Some(()) = played(
        &lua,
        &host,
        "chown",
        (&path, uid, gid),
        &path,
        Access::Write,
    )
    .await?
    {
        return Ok(());
    }
    let change = move |place: &Place| files::change_owner(place, uid, gid);
    act_on(&host, &path, Access::Write, End::Itself, change).await
}

async fn usage(lua: Lua, host: Rc<Host>, path: LuaString) -> Outcome<Table> {
    if let Some(answer) = played(&lua, &host, "usage", &path, &path, Access::Read).await? {
        return Ok(answer);
    }
    let usage = act_on(&host, &path, Access::Read, End::Followed, files::usage).await?;
    let table = lua.create_table_with_capacity(0, 3)?;
    table.raw_set("total", usage.total)?;
    table.raw_set("free", usage.free)?;
    table.raw_set("used", usage.used)?;
    Ok(table)
}

async fn real(_: Lua, host: Rc<Host>, path: LuaString) -> Outcome<BString> {
    let real = act_on(&host, &path, Access::Read, End::Followed, files::real).await?;
    Ok(bytes(host.unlocated(real)))
}

fn join(_: &Lua, _: &Host, (base, name): (LuaString, LuaString)) -> Outcome<BString> {
    let base = absolute(&base)?;
    if name.as_bytes().contains(&0) {
        return Err(FsFailure::Zero);
    }
    let joined = join_beneath(&base, Path::new(OsStr::from_bytes(&name.as_bytes())));
    let outside = || FsFailure::Leaves(name.to_string_lossy());
    joined.map(bytes).ok_or_else(outside)
}

async fn allocate(_: Lua, host: Rc<Host>, (path, size): (LuaString, f64)) -> Outcome<()> {
    if !(0.0..=i64::MAX as f64 / 2.0).contains(&size) || size.fract() != 0.0 {
        return Err(FsFailure::Size(size));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0, as checked above"
    )]
    let size = size as u64;
    let allocate = move |place: &Place| files::allocate(place, size);
    act_on(&host, &path, Access::Write, End::Itself, allocate).await
}

fn bytes(path: PathBuf) -> BString {
    path.into_os_string().into_vec().into()
}

fn optional_mode(options: &Record) -> Outcome<Option<u32>> {
    let mode = options.optional::<Value>("mode")?;
    mode.map(|mode| mode_of(&mode)).transpose()
}

/// Reads a mode: a number, or a string of octal digits.
fn mode_of(mode: &Value) -> Outcome<u32> {
    let bits = match mode {
        Value::Integer(bits) => u32::try_from(*bits).ok(),
        Value::String(digits) => u32::from_str_radix(&digits.to_string_lossy(), 8).ok(),
        _ => None,
    };
    match bits.filter(|bits| *bits <= 0o7777) {
        Some(bits) => Ok(bits),
        None => Err(FsFailure::Mode(mode.to_string()?)),
    }
}
