//! `@moondock/http`: requests to servers.

use super::record::{MAX_TEXT, Record, RecordError, typed};
use super::{Host, Module, Needs, function};
use crate::grants::{Grant, HttpHost, Refused};
use crate::sys::memory::{Allowance, Buffer, Spent};
use crate::sys::network::http::{Answer, HttpError, Request, Url};
use mlua::{FromLuaMulti, Lua, MultiValue, Table, Value};
use std::rc::Rc;
use std::time::Duration;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "http",
    functions: &[
        function("request", Needs::Http, |lua, bind| bind.waiting(lua, request)),
    ],
};

const FIELDS: &[&str] = &[
    "url",
    "method",
    "headers",
    "body",
    "timeout",
    "redirects",
    "max_body",
    "ca",
];
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT: Duration = Duration::from_mins(10);
const DEFAULT_REDIRECTS: u32 = 5;
const MAX_REDIRECTS: u32 = 20;

/// Headers that a redirect keeps when it leads to another server. None of them holds a secret.
const PUBLIC: [&str; 3] = ["accept", "content-type", "user-agent"];
const PUBLIC_PREFIX: &str = "accept-";

#[derive(Debug, thiserror::Error)]
enum HttpFailure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`redirects` must be at most {MAX_REDIRECTS}")]
    Redirects,
    #[error("`max_body` must be at most {MAX_TEXT}")]
    MaxBody,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Spent(#[from] Spent),
    #[error("`{0}` did not answer within {1} s")]
    Late(Url, f64),
    #[error("`{0}` redirects from `https` to `http`")]
    Downgrade(Url),
    #[error("`{0}`: more than {1} redirects")]
    TooFar(Url, u32),
    #[error("{0}")]
    Played(String),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

/// A request with its limits.
struct Exchange {
    url: Url,
    request: Request,
    timeout: Duration,
    redirects: u32,
    ca: Option<Vec<u8>>,
}

async fn request(lua: Lua, host: Rc<Host>, argument: Value) -> Result<Table, HttpFailure> {
    let exchange = exchange(&argument, &host.allowance)?;
    let _body = host.allowance.hold(exchange.request.body.len())?;
    let (url, timeout) = (exchange.url.clone(), exchange.timeout);
    let answer = tokio::time::timeout(timeout, run(&lua, &host, exchange)).await;
    let answer = answer.map_err(|_| HttpFailure::Late(url, timeout.as_secs_f64()))??;
    Ok(table(&lua, &answer)?)
}

fn exchange(argument: &Value, allowance: &Allowance) -> Result<Exchange, HttpFailure> {
    let record = Record::of("the request", argument, FIELDS)?;
    let request = message(&record, allowance)?;
    let redirects = record.optional("redirects")?.unwrap_or(DEFAULT_REDIRECTS);
    if redirects > MAX_REDIRECTS {
        return Err(HttpFailure::Redirects);
    }
    Ok(Exchange {
        url: Url::parse(&record.required::<String>("url")?)?,
        request,
        timeout: record.timeout(DEFAULT_TIMEOUT, MAX_TIMEOUT)?,
        redirects,
        ca: record.optional("ca")?,
    })
}

fn message(record: &Record, allowance: &Allowance) -> Result<Request, HttpFailure> {
    let method: Option<String> = record.optional("method")?;
    let headers: Option<Table> = record.optional("headers")?;
    let body: Option<Vec<u8>> = record.optional("body")?;
    let max_body: Option<u32> = record.optional("max_body")?;
    let limit = max_body.map_or(MAX_TEXT, |limit| limit as usize);
    if limit > MAX_TEXT {
        return Err(HttpFailure::MaxBody);
    }
    Ok(Request {
        method: method.unwrap_or_else(|| "GET".to_owned()),
        headers: headers.map_or(Ok(Vec::new()), |headers| lines(&headers))?,
        body: body.unwrap_or_default().into(),
        max_body: limit,
        allowance: allowance.clone(),
    })
}

fn lines(headers: &Table) -> Result<Vec<(String, Vec<u8>)>, RecordError> {
    let mut left = MAX_TEXT;
    let mut line = |name: &Value, value: &Value| {
        let line: (String, Vec<u8>) = (
            typed("a name in headers", name)?,
            typed("a value in headers", value)?,
        );
        left = left
            .checked_sub(line.0.len() + line.1.len())
            .ok_or(RecordError::TooLarge("headers"))?;
        Ok(line)
    };
    headers
        .pairs::<Value, Value>()
        .flatten()
        .map(|(name, value)| line(&name, &value))
        .collect()
}

async fn run(lua: &Lua, host: &Host, exchange: Exchange) -> Result<Answer, HttpFailure> {
    let Exchange {
        mut url,
        mut request,
        redirects,
        ca,
        ..
    } = exchange;
    let client = &host.shared.http;
    for _ in 0..=redirects {
        let server = HttpHost {
            host: url.host.clone(),
            port: Some(url.port),
        };
        host.shared.granted().require(&Grant::Http(server))?;
        let answer = match host
            .played(lua, ("http", "request"), asked(lua, &url, &request)?)
            .await
        {
            Some(answer) => played(lua, host, answer)?,
            None => client.send(&url, &request, ca.as_deref()).await?,
        };
        let Some(location) = location(&answer).filter(|_| redirects > 0) else {
            return Ok(answer);
        };
        let next = url.join(&location)?;
        if url.tls && !next.tls {
            return Err(HttpFailure::Downgrade(url));
        }
        redirect(&mut request, answer.status, next.is_same_server(&url));
        url = next;
    }
    Err(HttpFailure::TooFar(url, redirects))
}

/// Returns a request for the double of a test.
fn asked(lua: &Lua, url: &Url, request: &Request) -> mlua::Result<Table> {
    let headers = lua.create_table()?;
    for (name, value) in &request.headers {
        headers.raw_set(name.to_ascii_lowercase(), lua.create_string(value)?)?;
    }
    let table = lua.create_table()?;
    table.raw_set("url", url.to_string())?;
    table.raw_set("method", request.method.as_str())?;
    table.raw_set("headers", headers)?;
    table.raw_set("body", lua.create_string(&request.body)?)?;
    Ok(table)
}

/// Reads the answer of a test's double.
fn played(
    lua: &Lua,
    host: &Host,
    answer: Result<MultiValue, String>,
) -> Result<Answer, HttpFailure> {
    let table = Table::from_lua_multi(answer.map_err(HttpFailure::Played)?, lua)?;
    let mut body = Buffer::new(&host.allowance);
    if let Some(text) = table.raw_get::<Option<mlua::LuaString>>("body")? {
        body.extend(&text.as_bytes())?;
    }
    let headers: Option<Table> = table.raw_get("headers")?;
    let headers = headers.map_or(Ok(Vec::new()), |headers| lines(&headers))?;
    let in_lower_case = |(name, value): (String, _)| (name.to_ascii_lowercase(), value);
    Ok(Answer {
        status: table.raw_get::<Option<u16>>("status")?.unwrap_or(200),
        headers: headers.into_iter().map(in_lower_case).collect(),
        body,
    })
}

fn location(answer: &Answer) -> Option<String> {
    let is_redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
    let (_, location) = answer
        .headers
        .iter()
        .find(|(name, _)| is_redirect && name == "location")?;
    String::from_utf8(location.clone()).ok()
}

/// Changes a request for a redirect as browsers do: all but 307 and 308 continue with `GET`.
fn redirect(request: &mut Request, status: u16, to_same_server: bool) {
    if !matches!(status, 307 | 308) && request.method != "HEAD" {
        "GET".clone_into(&mut request.method);
        request.body = bytes::Bytes::new();
        request
            .headers
            .retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
    }
    if !to_same_server {
        request
            .headers
            .retain(|(name, _)| is_public(&name.to_ascii_lowercase()));
    }
}

fn is_public(header: &str) -> bool {
    PUBLIC.contains(&header) || header.starts_with(PUBLIC_PREFIX)
}

fn table(lua: &Lua, answer: &Answer) -> mlua::Result<Table> {
    let headers = lua.create_table()?;
    for (name, value) in &answer.headers {
        let joined = match headers.raw_get::<Option<mlua::LuaString>>(name.as_str())? {
            Some(first) => [&*first.as_bytes(), b", ", value].concat(),
            None => value.clone(),
        };
        headers.raw_set(name.as_str(), lua.create_string(joined)?)?;
    }
    let table = lua.create_table()?;
    table.raw_set("status", answer.status)?;
    table.raw_set("headers", headers)?;
    table.raw_set("body", lua.create_string(&*answer.body)?)?;
    Ok(table)
}
