//! `@moondock/process`: programs.

use super::record::{MAX_TEXT, Record, RecordError, typed};
use super::{Host, Module, Needs, function};
use crate::grants::{Grant, Refused};
use crate::sys::memory::{Buffer, Held, Spent};
use crate::sys::processes::{Command, Output, ProcessError};
use mlua::{BString, FromLuaMulti, Lua, Table, Value};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::Duration;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "process",
    functions: &[
        function("run",   Needs::Exec, |lua, bind| bind.waiting(lua, run)),
        function("check", Needs::Exec, |lua, bind| bind.waiting(lua, check)),
    ],
};

const FIELDS: &[&str] = &["argv", "stdin", "timeout", "env", "cwd", "max_output"];
const MAX_TIMEOUT: Duration = Duration::from_hours(24);
const MAX_OUTPUT: u32 = 64 << 20;

#[derive(Debug, thiserror::Error)]
enum ProcessFailure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`max_output` must be from 1 to {MAX_OUTPUT} bytes")]
    MaxOutput,
    #[error("`{0}` cannot be granted: use a name, or an absolute path without `.` and `..`")]
    Ungrantable(String),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Spent(#[from] Spent),
    #[error("{0}")]
    Played(String),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

async fn run(lua: Lua, host: Rc<Host>, argument: Value) -> Result<Table, ProcessFailure> {
    let (command, _input) = command(&host, &argument)?;
    let output = output(&lua, &host, command, &argument).await?;
    Ok(table(&lua, &output)?)
}

async fn check(
    lua: Lua,
    host: Rc<Host>,
    argument: Value,
) -> Result<mlua::LuaString, ProcessFailure> {
    let (command, _input) = command(&host, &argument)?;
    let program = command.program();
    let output = output(&lua, &host, command, &argument).await?;
    Ok(lua.create_string(&*output.checked(program)?)?)
}

/// Runs the command, or lets the double of a test do so.
async fn output(
    lua: &Lua,
    host: &Host,
    command: Command,
    argument: &Value,
) -> Result<Output, ProcessFailure> {
    match host.played(lua, ("process", "run"), argument).await {
        Some(answer) => {
            let answer = answer.map_err(ProcessFailure::Played)?;
            played(host, &Table::from_lua_multi(answer, lua)?)
        }
        None => Ok(command.run().await?),
    }
}

fn played(host: &Host, answer: &Table) -> Result<Output, ProcessFailure> {
    let text = |name: &str| {
        let text: Option<BString> = answer.raw_get(name)?;
        let mut buffer = Buffer::new(&host.allowance);
        buffer.extend(&text.unwrap_or_default())?;
        Ok::<_, ProcessFailure>(buffer)
    };
    Ok(Output {
        code: answer.raw_get::<Option<i32>>("code")?.unwrap_or_default(),
        signal: answer.raw_get("signal")?,
        stdout: text("stdout")?,
        stderr: text("stderr")?,
    })
}

/// Returns the command, and what its input holds.
fn command(host: &Host, argument: &Value) -> Result<(Command, Held), ProcessFailure> {
    let record = Record::of("the command", argument, FIELDS)?;
    let argv: Vec<Vec<u8>> = record.required("argv")?;
    let mut command = Command::new(argv.into_iter().map(OsString::from_vec));
    command.stdin = record.optional("stdin")?;
    let input = host
        .allowance
        .hold(command.stdin.as_ref().map_or(0, Vec::len))?;
    command.allowance = host.allowance.clone();
    command.env = record
        .optional("env")?
        .map_or(Ok(Vec::new()), |env| variables(&env))?;
    command.cwd = record
        .optional::<Vec<u8>>("cwd")?
        .map(|cwd| OsString::from_vec(cwd).into());
    command.timeout = record.timeout(command.timeout, MAX_TIMEOUT)?;
    if let Some(limit) = record.optional::<u32>("max_output")? {
        command.max_output = output_limit(limit)?;
    }
    command.validate()?;
    require_grant(host, &command.argv[0])?;
    Ok((command, input))
}

/// Checks the grant for a program. Every program passes through here before it is run, under the
/// name that is then looked up.
fn require_grant(host: &Host, program: &OsStr) -> Result<(), ProcessFailure> {
    let wanted = program.to_str().map(|name| Grant::Exec(name.to_owned()));
    match wanted.filter(|wanted| wanted.to_string().parse().as_ref() == Ok(wanted)) {
        Some(wanted) => Ok(host.shared.granted().require(&wanted)?),
        None => Err(ProcessFailure::Ungrantable(
            program.to_string_lossy().into_owned(),
        )),
    }
}

fn variables(env: &Table) -> Result<Vec<(OsString, OsString)>, RecordError> {
    let mut left = MAX_TEXT;
    let mut text = |value: &Value| {
        let text: Vec<u8> = typed("a name or value in env", value)?;
        left = left
            .checked_sub(text.len())
            .ok_or(RecordError::TooLarge("env"))?;
        Ok(OsString::from_vec(text))
    };
    env.pairs::<Value, Value>()
        .flatten()
        .map(|(name, value)| Ok((text(&name)?, text(&value)?)))
        .collect()
}

fn output_limit(bytes: u32) -> Result<usize, ProcessFailure> {
    if (1..=MAX_OUTPUT).contains(&bytes) {
        Ok(bytes as usize)
    } else {
        Err(ProcessFailure::MaxOutput)
    }
}

fn table(lua: &Lua, output: &Output) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("code", output.code)?;
    table.raw_set("signal", output.signal)?;
    table.raw_set("stdout", lua.create_string(&*output.stdout)?)?;
    table.raw_set("stderr", lua.create_string(&*output.stderr)?)?;
    Ok(table)
}
