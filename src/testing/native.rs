//! What the kit of tests stands on: `native` in `scripts/kits/test`.

use super::machine::Machine;
use super::rig::Rig;
use crate::client::{ApiRequest, requests};
use crate::plugin::log_entry;
use crate::protocol::{Interface, methods_of};
use futures_util::future::try_join_all;
use mlua::{BString, Error, Function, Lua, Result, Table, UserData, UserDataMethods, UserDataRef};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The rig, for the kit. A double that returns it leaves the call to the real function.
pub struct Native {
    /// What the case runs on.
    pub rig: Rc<Rig>,
    /// Whether nothing real may be reached.
    pub unattended: bool,
}

impl UserData for Native {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("case", case);
        methods.add_method("machine", machine);
        methods.add_async_method("call", call);
        methods.add_method("methods", hooks);
        methods.add_method("docker", docker);
        methods.add_method("settings", settings);
        methods.add_method("stop", |_, this, ()| {
            this.rig.stop();
            Ok(())
        });
        methods.add_method("die", |_, this, ()| {
            this.rig.die();
            Ok(())
        });
        methods.add_method("is_dead", |_, this, ()| Ok(this.rig.is_dead()));
        methods.add_method("real", real);
        methods.add_method("clock", |_, this, ()| Ok(this.rig.clock()));
        methods.add_async_method("advance", advance);
        methods.add_method("log", |_, this, ()| Ok(this.rig.log()));
        methods.add_method("snapshot", snapshot);
        methods.add_method("file", file);
        methods.add_method("link", link);
        methods.add_async_method("together", together);
        methods.add_method("open_log", open_log);
        methods.add_async_method("write_log", write_log);
        methods.add_async_method("close_log", close_log);
        methods.add_async_method("read_log", read_log);
    }
}

fn case(_: &Lua, this: &Native, (name, function): (String, Function)) -> Result<()> {
    if this.rig.add_case(name.clone(), function) {
        return Ok(());
    }
    Err(Error::runtime(format!(
        "there are two cases `{name}`: give each a name of its own"
    )))
}

fn real(_: &Lua, this: &Native, (): ()) -> Result<()> {
    if this.unattended {
        return Err(Error::runtime(
            "a saved version is tested without the real machine: leave `test.real` to `moondock test`",
        ));
    }
    this.rig.follow_real_time();
    Ok(())
}

fn machine(lua: &Lua, this: &Native, functions: Table) -> Result<()> {
    this.rig.set_machine(Machine::new(lua, &functions)?);
    Ok(())
}

/// Returns the status and the body of the reply, or nothing and the reason.
async fn call(
    lua: Lua,
    this: UserDataRef<Native>,
    (method, body): (String, String),
) -> Result<(Option<u16>, mlua::LuaString)> {
    let rig = this.rig.clone();
    drop(this);
    match rig.exchange(&method, body).await {
        Ok((status, body)) => Ok((Some(status), lua.create_string(body)?)),
        Err(problem) => Ok((None, lua.create_string(problem)?)),
    }
}

/// Returns the methods of an interface by their hooks; none if there is no such interface.
fn hooks(lua: &Lua, _: &Native, interface: String) -> Result<Table> {
    let named = Interface::ALL
        .into_iter()
        .filter(|known| known.name() == interface);
    let rows = named.flat_map(methods_of);
    lua.create_table_from(rows.map(|method| (method.hook, method.wire)))
}

/// Returns the requests that Docker's client sends for a command line.
fn docker(lua: &Lua, _: &Native, command: String) -> Result<Vec<Table>> {
    let requests = requests(&command).map_err(|problem| Error::runtime(problem.to_string()))?;
    let table = |request: ApiRequest| {
        let table = lua.create_table()?;
        table.set("method", request.method)?;
        table.set("uri", request.uri)?;
        table.set("headers", lua.create_table_from(request.headers)?)?;
        table.set("body", request.body.map(|body| body.to_string()))?;
        Ok(table)
    };
    requests.into_iter().map(table).collect()
}

fn settings(_: &Lua, this: &Native, json: String) -> Result<()> {
    this.rig.set(&json).map_err(Error::runtime)
}

async fn advance(_: Lua, this: UserDataRef<Native>, seconds: f64) -> Result<()> {
    let rig = this.rig.clone();
    drop(this);
    let time = Duration::try_from_secs_f64(seconds).map_err(Error::external)?;
    rig.pass(time).await;
    Ok(())
}

/// Returns the text of a snapshot, unless it is new.
fn snapshot(_: &Lua, this: &Native, (name, text): (String, String)) -> Result<Option<String>> {
    Ok(this.rig.snapshots.borrow_mut().kept(&name, text))
}

fn file(_: &Lua, this: &Native, (path, text): (String, BString)) -> Result<()> {
    let path = Path::new(&path);
    this.rig.make_file(path, &text).map_err(Error::external)
}

fn link(_: &Lua, this: &Native, (path, target): (String, String)) -> Result<()> {
    let made = this.rig.make_link(Path::new(&path), Path::new(&target));
    made.map_err(Error::external)
}

/// Runs functions at the same time.
async fn together(_: Lua, this: UserDataRef<Native>, functions: Vec<Function>) -> Result<()> {
    drop(this);
    try_join_all(functions.iter().map(|f| f.call_async::<()>(()))).await?;
    Ok(())
}

fn open_log(_: &Lua, this: &Native, path: String) -> Result<()> {
    this.rig
        .open_feed(Path::new(&path))
        .map_err(Error::external)
}

/// Returns whether the script takes the entries, or nothing and the reason.
async fn write_log(
    _: Lua,
    this: UserDataRef<Native>,
    (path, tables): (String, Vec<Table>),
) -> Result<(Option<bool>, Option<String>)> {
    let rig = this.rig.clone();
    drop(this);
    let entries: std::result::Result<Vec<_>, _> = tables.iter().map(log_entry::of_table).collect();
    let written = match entries {
        Ok(entries) => rig.write_log(Path::new(&path), entries).await,
        Err(problem) => Err(problem),
    };
    match written {
        Ok(taken) => Ok((Some(taken), None)),
        Err(problem) => Ok((None, Some(problem))),
    }
}

async fn close_log(_: Lua, this: UserDataRef<Native>, path: String) -> Result<()> {
    let rig = this.rig.clone();
    drop(this);
    rig.close_feed(Path::new(&path))
        .await
        .map_err(Error::runtime)
}

/// Returns the entries of a log, or nothing and the reason.
async fn read_log(
    lua: Lua,
    this: UserDataRef<Native>,
    request: String,
) -> Result<(Option<Vec<Table>>, Option<String>)> {
    let rig = this.rig.clone();
    drop(this);
    match rig.read_log(request).await {
        Ok(entries) => {
            let tables = entries
                .iter()
                .map(|entry| log_entry::to_table(&lua, entry, 0));
            Ok((Some(tables.collect::<Result<_>>()?), None))
        }
        Err(problem) => Ok((None, Some(problem))),
    }
}
