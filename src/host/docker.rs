//! `@moondock/docker`: the Docker Engine API.

use super::record::{Record, RecordError};
use super::{Host, Module, Needs, function, values};
use crate::sys::memory::Spent;
use crate::sys::network::http::{HttpError, Request, send_to_socket};
use mlua::{FromLuaMulti, Lua, Table, Value};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "docker",
    functions: &[
        function("request", Needs::Docker, |lua, bind| bind.waiting(lua, request)),
    ],
};

const SOCKET: &str = "/run/docker.sock";
const HOST: &str = "DOCKER_HOST";
const FIELDS: &[&str] = &["path", "method", "body", "timeout"];
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_mins(10);
const MAX_BODY: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
enum DockerFailure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(
        "a policy cannot send requests to the engine, as the engine would ask the policy first"
    )]
    Policy,
    #[error("`path` must begin with `/`")]
    Path,
    #[error("`{HOST}` is `{0}`: only `unix:///PATH` is supported")]
    Host(String),
    #[error("the engine did not answer within {0} s")]
    Late(f64),
    #[error("`body` cannot be sent: {0}")]
    Body(#[from] values::EncodeError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Spent(#[from] Spent),
    #[error("{0}")]
    Played(String),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

async fn request(lua: Lua, host: Rc<Host>, argument: Value) -> Result<Table, DockerFailure> {
    if host.script == "authz.lua" {
        return Err(DockerFailure::Policy);
    }
    let record = Record::of("the request", &argument, FIELDS)?;
    let path: String = record.required("path")?;
    let timeout = record.timeout(DEFAULT_TIMEOUT, MAX_TIMEOUT)?;
    if !path.starts_with('/') {
        return Err(DockerFailure::Path);
    }
    let request = message(&lua, &host, &record)?;
    let _body = host.allowance.hold(request.body.len())?;
    if let Some(answer) = host.played(&lua, ("docker", "request"), &argument).await {
        let answer = answer.map_err(DockerFailure::Played)?;
        return Ok(Table::from_lua_multi(answer, &lua)?);
    }
    let socket = socket()?;
    let sending = send_to_socket(&socket, &path, &request);
    let answer = tokio::time::timeout(timeout, sending).await;
    let answer = answer.map_err(|_| DockerFailure::Late(timeout.as_secs_f64()))??;
    let body = match values::decode(&lua, &host.budget, &answer.body) {
        Ok(body) => body,
        Err(_) => Value::String(lua.create_string(&*answer.body)?),
    };
    let table = lua.create_table()?;
    table.raw_set("status", answer.status)?;
    table.raw_set("body", body)?;
    Ok(table)
}

fn socket() -> Result<PathBuf, DockerFailure> {
    let Some(host) = std::env::var_os(HOST).filter(|host| !host.is_empty()) else {
        return Ok(SOCKET.into());
    };
    let host = host.to_string_lossy();
    match host.strip_prefix("unix://") {
        Some(path) => Ok(path.into()),
        None => Err(DockerFailure::Host(host.into_owned())),
    }
}

fn message(lua: &Lua, host: &Host, record: &Record) -> Result<Request, DockerFailure> {
    let mut request = Request {
        method: record
            .optional("method")?
            .unwrap_or_else(|| "GET".to_owned()),
        max_body: MAX_BODY,
        allowance: host.allowance.clone(),
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
