//! Mounts.

use super::bytes;
use super::paths::{FsFailure, Outcome, PathFailure, act_on, blocking, located};
use crate::grants::mount_rules;
use crate::grants::territory::{Access, Territory};
use crate::host::Host;
use crate::host::record::Record;
use crate::sys::files::places::{End, Place};
use crate::sys::mounts::{self, Source, holders};
use mlua::{FromLuaMulti, IntoLuaMulti, Lua, LuaString, Table};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

/// What a script asks to mount.
#[derive(Clone)]
struct MountSpec {
    source: MountSource,
    target: PathBuf,
    kind: String,
    options: Vec<String>,
}

#[derive(Clone)]
enum MountSource {
    Path(PathBuf, Access),
    Name(PathBuf),
}

impl MountSpec {
    fn read(host: &Host, request: &Record) -> Outcome<Self> {
        let options: Vec<String> = request.optional("options")?.unwrap_or_default();
        let bind = options
            .iter()
            .any(|option| option == "bind" || option == "rbind");
        let image = request.optional("loop")?.unwrap_or_default();
        if bind && image {
            return Err(FsFailure::Both);
        }
        let kind = match request.optional("type")? {
            _ if bind => String::new(),
            kind => kind.ok_or(FsFailure::Type)?,
        };
        mount_rules::check(&kind, bind, &options)?;
        let access = if image && mount_rules::is_read_only(&options) {
            Access::Read
        } else {
            Access::Write
        };
        let source: LuaString = request.required("source")?;
        let source = if bind || image || mount_rules::needs_source(&kind) {
            MountSource::Path(located(host, &source)?, access)
        } else {
            MountSource::Name(OsStr::from_bytes(&source.as_bytes()).into())
        };
        Ok(Self {
            source,
            target: located(host, &request.required("target")?)?,
            kind,
            options,
        })
    }

    fn find(&self, territory: &Territory) -> Result<mounts::MountSpec, PathFailure> {
        let source = match &self.source {
            MountSource::Path(path, access) => {
                Source::Place(territory.find(path, *access, End::Followed)?)
            }
            MountSource::Name(name) => Source::Name(name.clone()),
        };
        let target = territory.find(&self.target, Access::Write, End::Followed)?;
        Ok(mounts::MountSpec {
            source,
            target,
            kind: self.kind.clone(),
            options: self.options.clone(),
        })
    }
}

pub(super) async fn mount(lua: Lua, host: Rc<Host>, wanted: Table) -> Outcome<()> {
    let fields = ["source", "target", "type", "options", "loop"];
    let request = Record::new(wanted.clone(), &fields)?;
    let spec = MountSpec::read(&host, &request)?;
    let territory = host.shared.territory();
    if host.shared.stage.is_some() {
        let spec = spec.clone();
        let territory = territory.clone();
        blocking(move || spec.find(&territory).map(drop)).await?;
    }
    if let Some(answer) = host.played(&lua, ("fs", "mount"), wanted).await {
        return answer.map(drop).map_err(FsFailure::Played);
    }
    if request.optional("loop")?.unwrap_or_default() {
        let request = blocking(move || spec.find(&territory)).await?;
        let mounted = mounts::mount_image(&request).await;
        return Ok(mounted.map_err(PathFailure::from)?);
    }
    blocking(move || Ok(mounts::mount(&spec.find(&territory)?)?)).await
}

pub(super) async fn unmount(
    lua: Lua,
    host: Rc<Host>,
    (target, options): (LuaString, Option<Table>),
) -> Outcome<bool> {
    let lazy = Record::new(options, &["lazy"])?
        .optional("lazy")?
        .unwrap_or_default();
    if let Some(answer) = played(&lua, &host, "unmount", &target, &target, Access::Write).await? {
        return Ok(answer);
    }
    let unmount = move |place: &Place| mounts::unmount(place, lazy);
    act_on(&host, &target, Access::Write, End::Itself, unmount).await
}

pub(super) async fn mounted(lua: Lua, host: Rc<Host>, target: LuaString) -> Outcome<bool> {
    if let Some(answer) = played(&lua, &host, "mounted", &target, &target, Access::Read).await? {
        return Ok(answer);
    }
    act_on(
        &host,
        &target,
        Access::Read,
        End::Itself,
        mounts::is_mounted,
    )
    .await
}

pub(super) async fn mounted_elsewhere(
    lua: Lua,
    host: Rc<Host>,
    path: LuaString,
) -> Outcome<Option<bool>> {
    if let Some(answer) =
        played(&lua, &host, "mounted_elsewhere", &path, &path, Access::Read).await?
    {
        return Ok(answer);
    }
    act_on(
        &host,
        &path,
        Access::Read,
        End::Itself,
        holders::mounted_elsewhere,
    )
    .await
}

pub(super) async fn list_mounts(lua: Lua, host: Rc<Host>, (): ()) -> Outcome<Vec<Table>> {
    if let Some(answer) = host.played(&lua, ("fs", "mounts"), ()).await {
        let answer = answer.map_err(FsFailure::Played)?;
        return Ok(Vec::from_lua_multi(answer, &lua)?);
    }
    let mounts = blocking(|| Ok(mounts::list()?)).await?;
    mounts
        .into_iter()
        .map(|mount| mount_table(&lua, mount))
        .collect()
}

/// Returns the answer of a test's double, if there is one, once the path is found to be granted.
pub(super) async fn played<T: FromLuaMulti>(
    lua: &Lua,
    host: &Host,
    function: &'static str,
    arguments: impl IntoLuaMulti,
    path: &LuaString,
    access: Access,
) -> Outcome<Option<T>> {
    if host.shared.stage.is_none() {
        return Ok(None);
    }
    act_on(host, path, access, End::Itself, |_| Ok(())).await?;
    match host.played(lua, ("fs", function), arguments).await {
        Some(answer) => {
            let answer = answer.map_err(FsFailure::Played)?;
            Ok(Some(T::from_lua_multi(answer, lua)?))
        }
        None => Ok(None),
    }
}

fn mount_table(lua: &Lua, mount: mounts::Mount) -> Outcome<Table> {
    let table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set("source", bytes(mount.source))?;
    table.raw_set("target", bytes(mount.target))?;
    table.raw_set("type", mount.kind)?;
    table.raw_set("options", mount.options)?;
    Ok(table)
}
