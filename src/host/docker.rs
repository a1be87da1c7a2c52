//! `@moondock/docker`: the engine's own API.

use super::record::{Record, RecordError, typed};
use super::{Function, Host, Module, Needs, values};
use crate::sys::network::http::{HttpError, Request, send_to_socket};
use mlua::{Lua, Table, Value};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// The module's table.
pub const MODULE: Module = Module {
    name: "docker",
    summary: "Requests to the engine: through `/run/docker.sock`, or the socket that `DOCKER_HOST` names in Moondock's environment. Whoever may do that is root on the machine.\n\n\
              **Mind who waits for whom**: while the engine calls a driver it may hold a lock on the very object, and a request about it waits for ever (until the \
              deadline of the call). From `authz.lua` it cannot be used at all, as the engine would ask the policy about the policy's own request.",
    types: "\
export type Request = { path: string, method: string?, body: any?, timeout: number? }
export type Response = { status: number, body: any }",
    functions: &[Function {
        name: "request",
        signature: "(request: Request) -> Response",
        doc: "\
Sends a request and returns the answer, whatever its status is.

* `path`: path and query, such as `/v1.41/containers/json?all=1`.
* `method`: `GET` by default.
* `body`: sent as JSON.
* `timeout`: seconds; 10 by default, 600 at most.

The answer's body is decoded when it is JSON, and a string when it is not; at most 16 MiB.

```lua
local answer = docker.request({ path = \"/v1.41/info\" })
log.info(`{answer.body.Containers} containers`)
```",
        needs: Needs::Docker,
        make: |lua, binding| binding.waiting(lua, request),
    }],
};

const SOCKET: &str = "/run/docker.sock";
const HOST: &str = "DOCKER_HOST";
const FIELDS: &[&str] = &["path", "method", "body", "timeout"];
const LONGEST: Duration = Duration::from_mins(10);
const MOST: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a policy cannot ask the engine, which would ask the policy first")]
    Policy,
    #[error("`path` must begin with `/`")]
    Path,
    #[error("`{HOST}` is `{0}`, and only a socket `unix:///PATH` can be asked")]
    Host(String),
    #[error("the engine did not answer within {0} s")]
    Late(f64),
    #[error("`body` cannot be sent: {0}")]
    Body(#[from] values::EncodeError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

async fn request(lua: Lua, host: Rc<Host>, argument: Value) -> Result<Table, Failure> {
    if host.script == "authz.lua" {
        return Err(Failure::Policy);
    }
    let record = Record::new(typed("the request", &argument)?, FIELDS)?;
    let path: String = record.required("path")?;
    let patience = record.timeout(Duration::from_secs(10), LONGEST)?;
    if !path.starts_with('/') {
        return Err(Failure::Path);
    }
    let request = message(&lua, &host, &record)?;
    let socket = socket()?;
    let asking = send_to_socket(&socket, &path, &request);
    let answer = tokio::time::timeout(patience, asking).await;
    let answer = answer.map_err(|_| Failure::Late(patience.as_secs_f64()))??;
    let body = match values::decode(&lua, &host.budget, &answer.body) {
        Ok(body) => body,
        Err(_) => Value::String(lua.create_string(&answer.body)?),
    };
    let table = lua.create_table()?;
    table.raw_set("status", answer.status)?;
    table.raw_set("body", body)?;
    Ok(table)
}

fn socket() -> Result<PathBuf, Failure> {
    let Some(host) = std::env::var_os(HOST).filter(|host| !host.is_empty()) else {
        return Ok(SOCKET.into());
    };
    let host = host.to_string_lossy();
    match host.strip_prefix("unix://") {
        Some(path) => Ok(path.into()),
        None => Err(Failure::Host(host.into_owned())),
    }
}

fn message(lua: &Lua, host: &Host, record: &Record) -> Result<Request, Failure> {
    let mut request = Request {
        method: record
            .optional("method")?
            .unwrap_or_else(|| "GET".to_owned()),
        max_body: MOST,
        ..Request::default()
    };
    if let Some(body) = record.optional::<Value>("body")? {
        request
            .headers
            .push(("content-type".to_owned(), b"application/json".to_vec()));
        request.body = values::encode(lua, &host.budget, &body, false)?.into();
    }
    Ok(request)
}
