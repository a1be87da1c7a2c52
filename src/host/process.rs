//! `@moondock/process`: programs.

use super::record::{MOST_TEXT, Record, RecordError, typed};
use super::{Function, Module, Needs};
use crate::grants::{Grant, Refused};
use crate::host::Host;
use crate::sys::processes::{Command, Output, ProcessError};
use mlua::{Lua, Table, Value};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::Duration;

/// The module's table.
pub const MODULE: Module = Module {
    name: "process",
    summary: "Runs programs: an argument list and no shell, so that nothing a user of Docker types is ever \
              interpreted. While a program runs, other calls of the plugin go on.",
    types: "\
export type Command = {
    argv: {string},
    stdin: string?,
    timeout: number?,
    env: {[string]: string}?,
    cwd: string?,
    max_output: number?,
}
export type Output = {
    code: number,
    signal: number?,
    stdout: string,
    stderr: string,
}",
    functions: &[
        Function {
            name: "run",
            signature: "(command: Command) -> Output",
            doc: "\
Runs a program to its end and returns how it ended. A code other than 0 is no error: see `check`.

* `argv`: the program and its arguments. A name is looked up in `/usr/local/sbin`, `/usr/local/bin`, `/usr/sbin`, `/usr/bin`, `/sbin` and `/bin`, in this order, whatever \
`PATH` says, and needs the grant `exec:NAME`; an absolute path needs `exec:/that/path`. No shell reads them.
* `stdin`: what it reads, any bytes. Without it, it reads nothing (`/dev/null`).
* `timeout`: seconds it may take, a fraction too; 30 by default, 86400 at most. The deadline of the call itself holds as well.
* `env`: variables on top of Moondock's own environment. Those that would have the program run other code (`PATH`, `LD_PRELOAD`, `BASH_ENV`, `PYTHONPATH`, …) raise.
* `cwd`: its working directory; by default Moondock's.
* `max_output`: bytes that it may write to stdout, and as many to stderr; 1 MiB by default, 64 MiB at most.

`code` is the exit code. When a signal ended the program, `signal` is its number and `code` 128 plus it, as in a shell.

Raises when the program cannot be started, on timeout, and on too much output.

A program is a process group of its own. The **whole group is killed** (SIGKILL) on timeout, on too much output, and when the call is given up: its \
deadline passes, its budget is used up, Moondock stops. When Moondock itself is killed by `kill -9`, what runs goes on to its end. What a program leaves \
in the background when it ends by itself (a FUSE daemon) goes on too, and its output is not waited for.

```lua
local out = process.run({ argv = { \"blkid\", \"-o\", \"value\", \"-s\", \"TYPE\", path } })
if out.code == 2 then return nil end -- no file system on it
```",
            needs: Needs::Exec,
            make: |lua, binding| binding.waiting(lua, run),
        },
        Function {
            name: "check",
            signature: "(command: Command) -> string",
            doc: "\
Like `run`, for programs that are expected to succeed: returns stdout.

Raises whatever `run` raises, and also when the program exits with a code other than 0 or by a signal; the message holds the last line of its stderr.

```lua
process.check({ argv = { \"mkfs.ext4\", \"-q\", image }, timeout = 120 })
```",
            needs: Needs::Exec,
            make: |lua, binding| binding.waiting(lua, check),
        },
    ],
};

const FIELDS: &[&str] = &["argv", "stdin", "timeout", "env", "cwd", "max_output"];
const LONGEST: Duration = Duration::from_hours(24);
const MOST_OUTPUT: u32 = 64 << 20;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`max_output` must be from 1 to {MOST_OUTPUT} bytes")]
    MaxOutput,
    #[error(
        "`{0}` is nothing that can be granted: give a name, or an absolute path without `.` and `..`"
    )]
    Ungrantable(String),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

async fn run(lua: Lua, host: Rc<Host>, argument: Value) -> Result<Table, Failure> {
    let output = command(&host, &argument)?.run().await?;
    Ok(table(&lua, output)?)
}

async fn check(lua: Lua, host: Rc<Host>, argument: Value) -> Result<mlua::LuaString, Failure> {
    let stdout = command(&host, &argument)?.check().await?;
    Ok(lua.create_string(stdout)?)
}

fn command(host: &Host, argument: &Value) -> Result<Command, Failure> {
    let record = Record::new(typed("the command", argument)?, FIELDS)?;
    let argv: Vec<Vec<u8>> = record.required("argv")?;
    let mut command = Command::new(argv.into_iter().map(OsString::from_vec));
    command.stdin = record.optional("stdin")?;
    command.env = record
        .optional("env")?
        .map_or(Ok(Vec::new()), |env| variables(&env))?;
    command.cwd = record
        .optional::<Vec<u8>>("cwd")?
        .map(|cwd| OsString::from_vec(cwd).into());
    command.timeout = record.timeout(command.timeout, LONGEST)?;
    if let Some(most) = record.optional::<u32>("max_output")? {
        command.max_output = bytes(most)?;
    }
    command.validate()?;
    granted(host, &command.argv[0])?;
    Ok(command)
}

/// Every program passes here before it is run. The name that is looked up is the name that was granted.
fn granted(host: &Host, program: &OsStr) -> Result<(), Failure> {
    let wanted = program.to_str().map(|name| Grant::Exec(name.to_owned()));
    match wanted.filter(|wanted| wanted.to_string().parse().as_ref() == Ok(wanted)) {
        Some(wanted) => Ok(host.shared.granted().require(&wanted)?),
        None => Err(Failure::Ungrantable(program.to_string_lossy().into_owned())),
    }
}

fn variables(env: &Table) -> Result<Vec<(OsString, OsString)>, RecordError> {
    let mut room = MOST_TEXT;
    let mut text = |value: &Value| {
        let text: Vec<u8> = typed("a name or value in env", value)?;
        room = room
            .checked_sub(text.len())
            .ok_or(RecordError::TooLarge("env"))?;
        Ok(OsString::from_vec(text))
    };
    env.pairs::<Value, Value>()
        .flatten()
        .map(|(name, value)| Ok((text(&name)?, text(&value)?)))
        .collect()
}

fn bytes(most: u32) -> Result<usize, Failure> {
    if (1..=MOST_OUTPUT).contains(&most) {
        Ok(most as usize)
    } else {
        Err(Failure::MaxOutput)
    }
}

fn table(lua: &Lua, output: Output) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("code", output.code)?;
    table.raw_set("signal", output.signal)?;
    table.raw_set("stdout", lua.create_string(output.stdout)?)?;
    table.raw_set("stderr", lua.create_string(output.stderr)?)?;
    Ok(table)
}
