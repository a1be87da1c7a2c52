//! Mounting, as scripts ask for it.

use super::bytes;
use super::options::Options;
use super::paths::{Failure, Outcome, Trouble, absolute, at, blocking};
use crate::grants::mount_rules;
use crate::grants::territory::{Access, Territory};
use crate::host::Host;
use crate::sys::files::places::{End, Place};
use crate::sys::mounts::{self, Source, holders};

use mlua::{Lua, LuaString, Table};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

/// What a script wants to be mounted.
struct Wanted {
    source: MountSource,
    target: PathBuf,
    kind: String,
    options: Vec<String>,
}

enum MountSource {
    Path(PathBuf, Access),
    Name(PathBuf),
}

impl Wanted {
    fn read(request: &Options) -> Outcome<Self> {
        let options = request.texts("options")?;
        let bind = options
            .iter()
            .any(|option| option == "bind" || option == "rbind");
        let looped = request.flag("loop")?;
        if bind && looped {
            return Err(Failure::Both);
        }
        let source = request.get::<LuaString>("source", "a string")?;
        let kind = request.get::<Option<String>>("type", "a string")?;
        let kind = if bind {
            String::new()
        } else {
            kind.ok_or(Failure::Type)?
        };
        mount_rules::check(&kind, bind, &options)?;
        let access = if looped && mount_rules::is_read_only(&options) {
            Access::Read
        } else {
            Access::Write
        };
        let source = if bind || looped || mount_rules::needs_source(&kind) {
            MountSource::Path(absolute(&source)?, access)
        } else {
            MountSource::Name(OsStr::from_bytes(&source.as_bytes()).into())
        };
        Ok(Self {
            source,
            target: absolute(&request.get("target", "a string")?)?,
            kind,
            options,
        })
    }

    fn find(&self, territory: &Territory) -> Result<mounts::MountSpec, Trouble> {
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
    let request = Options::of(
        Some(request),
        &["source", "target", "type", "options", "loop"],
    )?;
    let (looped, wanted) = (request.flag("loop")?, Wanted::read(&request)?);
    let territory = host.shared.territory();
    if looped {
        let request = blocking(move || wanted.find(&territory)).await?;
        return Ok(mounts::mount_image(&request).await.map_err(Trouble::from)?);
    }
    blocking(move || Ok(mounts::mount(&wanted.find(&territory)?)?)).await
}

pub(super) async fn unmount(
    _: Lua,
    host: Rc<Host>,
    (target, options): (LuaString, Option<Table>),
) -> Outcome<bool> {
    let lazy = Options::of(options, &["lazy"])?.flag("lazy")?;
    let unmount = move |place: &Place| mounts::unmount(place, lazy);
    at(&host, &target, Access::Write, End::Itself, unmount).await
}

pub(super) async fn mounted(_: Lua, host: Rc<Host>, target: LuaString) -> Outcome<bool> {
    at(
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
    at(
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
