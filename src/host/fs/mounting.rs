//! Mounts.

use super::bytes;
use super::paths::{FsFailure, Outcome, PathFailure, absolute, act_on, blocking};
use crate::grants::mount_rules;
use crate::grants::territory::{Access, Territory};
use crate::host::Host;
use crate::host::record::Record;
use crate::sys::files::places::{End, Place};
use crate::sys::mounts::{self, Source, holders};
use mlua::{Lua, LuaString, Table};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

/// What a script asks to mount.
struct MountSpec {
    source: MountSource,
    target: PathBuf,
    kind: String,
    options: Vec<String>,
}

enum MountSource {
    Path(PathBuf, Access),
    Name(PathBuf),
}

impl MountSpec {
    fn read(request: &Record) -> Outcome<Self> {
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
            MountSource::Path(absolute(&source)?, access)
        } else {
            MountSource::Name(OsStr::from_bytes(&source.as_bytes()).into())
        };
        Ok(Self {
            source,
            target: absolute(&request.required("target")?)?,
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

pub(super) async fn mount(_: Lua, host: Rc<Host>, request: Table) -> Outcome<()> {
    let request = Record::new(request, &["source", "target", "type", "options", "loop"])?;
    let spec = MountSpec::read(&request)?;
    let territory = host.shared.territory();
    if request.optional("loop")?.unwrap_or_default() {
        let request = blocking(move || spec.find(&territory)).await?;
        let mounted = mounts::mount_image(&request).await;
        return Ok(mounted.map_err(PathFailure::from)?);
    }
    blocking(move || Ok(mounts::mount(&spec.find(&territory)?)?)).await
}

pub(super) async fn unmount(
    _: Lua,
    host: Rc<Host>,
    (target, options): (LuaString, Option<Table>),
) -> Outcome<bool> {
    let lazy = Record::new(options, &["lazy"])?
        .optional("lazy")?
        .unwrap_or_default();
    let unmount = move |place: &Place| mounts::unmount(place, lazy);
    act_on(&host, &target, Access::Write, End::Itself, unmount).await
}

pub(super) async fn mounted(_: Lua, host: Rc<Host>, target: LuaString) -> Outcome<bool> {
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
    _: Lua,
    host: Rc<Host>,
    path: LuaString,
) -> Outcome<Option<bool>> {
    act_on(
        &host,
        &path,
        Access::Read,
        End::Itself,
        holders::mounted_elsewhere,
    )
    .await
}

pub(super) async fn list_mounts(lua: Lua, _: Rc<Host>, (): ()) -> Outcome<Vec<Table>> {
    let mounts = blocking(|| Ok(mounts::list()?)).await?;
    mounts
        .into_iter()
        .map(|mount| mount_table(&lua, mount))
        .collect()
}

fn mount_table(lua: &Lua, mount: mounts::Mount) -> Outcome<Table> {
    let table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set("source", bytes(mount.source))?;
    table.raw_set("target", bytes(mount.target))?;
    table.raw_set("type", mount.kind)?;
    table.raw_set("options", mount.options)?;
    Ok(table)
}
