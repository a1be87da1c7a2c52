//! `@moondock/http`: requests to servers.

use super::record::{MOST_TEXT, Record, RecordError, typed};
use super::{Function, Host, Module, Needs};
use crate::grants::{Grant, HttpHost, Refused};
use crate::sys::network::http::{Answer, HttpError, Request, Url};
use mlua::{Lua, Table, Value};
use std::rc::Rc;
use std::time::Duration;

/// The module's table.
pub const MODULE: Module = Module {
    name: "http",
    summary: "HTTP and HTTPS requests. Other calls of the plugin go on while one waits for its answer.",
    types: "\
export type Request = {
    url: string,
    method: string?,
    headers: { [string]: string }?,
    body: string?,
    timeout: number?,
    redirects: number?,
    max_body: number?,
    ca: string?,
}
export type Response = { status: number, headers: { [string]: string }, body: string }",
    functions: &[Function {
        name: "request",
        signature: "(request: Request) -> Response",
        doc: "\
Sends a request and returns the whole answer, whatever its status is.

* `url`: `https://HOST[:PORT]/PATH` or `http://…`, in ASCII; what is special in it is encoded with `%`. A user in front of the host is refused: send an `Authorization` header.
* `method`: `GET` by default.
* `headers`: on top of `Host` and `Content-Length`, which cannot be set.
* `timeout`: seconds for all of it, redirects included; 30 by default, 600 at most. The deadline of the call itself holds as well.
* `redirects`: how many are followed; 5 by default, 20 at most, 0 for none: then the redirect is the answer. Each hop needs its own grant, leads never from `https` to `http`, and takes headers that may hold a secret along only to the same server: to another one go `Accept`, `Content-Type`, `User-Agent` and what begins with `Accept-`.
* `max_body`: bytes that the answer may have; 16 MiB by default and at most.
* `ca`: certificates (PEM) to trust instead of the machine's own.

Names of the answer's headers are in lower case; several of one name are joined by `, `.

Raises when there is no answer, on timeout, on too large an answer, and on a certificate that is not trusted.

```lua
local answer = http.request({ url = \"https://vault.example.com/v1/secret/\" .. name, headers = { [\"X-Vault-Token\"] = token } })
if answer.status ~= 200 then error(`vault: {answer.status}`, 0) end
```",
        needs: Needs::Http,
        make: |lua, binding| binding.waiting(lua, request),
    }],
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
const LONGEST: Duration = Duration::from_mins(10);
const MOST_REDIRECTS: u32 = 20;

/// What a redirect takes along to another server: no service has its tokens in these, and each has its own name for them else.
const PUBLIC: [&str; 3] = ["accept", "content-type", "user-agent"];
const PUBLIC_PREFIX: &str = "accept-";

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`redirects` must be at most {MOST_REDIRECTS}")]
    Redirects,
    #[error("`max_body` must be at most {MOST_TEXT}")]
    MaxBody,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("`{0}` did not answer within {1} s")]
    Late(Url, f64),
    #[error("`{0}` leads from `https` to `http`")]
    Downgrade(Url),
    #[error("`{0}` leads on and on: more than {1} redirects")]
    TooFar(Url, u32),
    #[error(transparent)]
    Lua(#[from] mlua::Error),
}

/// A request with all that it may use.
struct Errand {
    url: Url,
    request: Request,
    timeout: Duration,
    redirects: u32,
    ca: Option<Vec<u8>>,
}

async fn request(lua: Lua, host: Rc<Host>, argument: Value) -> Result<Table, Failure> {
    let errand = errand(&argument)?;
    let (url, patience) = (errand.url.clone(), errand.timeout);
    let answer = tokio::time::timeout(patience, run(&host, errand)).await;
    let answer = answer.map_err(|_| Failure::Late(url, patience.as_secs_f64()))??;
    Ok(table(&lua, &answer)?)
}

fn errand(argument: &Value) -> Result<Errand, Failure> {
    let record = Record::new(typed("the request", argument)?, FIELDS)?;
    let request = Request {
        method: record
            .optional("method")?
            .unwrap_or_else(|| "GET".to_owned()),
        headers: record
            .optional("headers")?
            .map_or(Ok(Vec::new()), |headers| lines(&headers))?,
        body: record
            .optional::<Vec<u8>>("body")?
            .unwrap_or_default()
            .into(),
        max_body: record
            .optional::<u32>("max_body")?
            .map_or(MOST_TEXT, |most| most as usize),
    };
    let errand = Errand {
        url: Url::parse(&record.required::<String>("url")?)?,
        request,
        timeout: record.timeout(Duration::from_secs(30), LONGEST)?,
        redirects: record.optional("redirects")?.unwrap_or(5),
        ca: record.optional("ca")?,
    };
    match errand {
        Errand { redirects, .. } if redirects > MOST_REDIRECTS => Err(Failure::Redirects),
        Errand { ref request, .. } if request.max_body > MOST_TEXT => Err(Failure::MaxBody),
        errand => Ok(errand),
    }
}

fn lines(headers: &Table) -> Result<Vec<(String, Vec<u8>)>, RecordError> {
    let mut room = MOST_TEXT;
    let mut line = |name: &Value, value: &Value| {
        let line: (String, Vec<u8>) = (
            typed("a name in headers", name)?,
            typed("a value in headers", value)?,
        );
        room = room
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

async fn run(host: &Host, errand: Errand) -> Result<Answer, Failure> {
    let Errand {
        mut url,
        mut request,
        redirects,
        ca,
        ..
    } = errand;
    let client = &host.shared.http;
    for _ in 0..=redirects {
        let server = HttpHost {
            host: url.host.clone(),
            port: Some(url.port),
        };
        host.shared.granted().require(&Grant::Http(server))?;
        let answer = client.send(&url, &request, ca.as_deref()).await?;
        let Some(location) = location(&answer).filter(|_| redirects > 0) else {
            return Ok(answer);
        };
        let next = url.join(&location)?;
        if url.tls && !next.tls {
            return Err(Failure::Downgrade(url));
        }
        lead_on(&mut request, answer.status, next.is_same_server(&url));
        url = next;
    }
    Err(Failure::TooFar(url, redirects))
}

fn location(answer: &Answer) -> Option<String> {
    let leads_on = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
    let (_, location) = answer
        .headers
        .iter()
        .find(|(name, _)| leads_on && name == "location")?;
    String::from_utf8(location.clone()).ok()
}

/// What becomes of a request that is redirected: as browsers do, all but 307 and 308 ask with `GET` from there on.
fn lead_on(request: &mut Request, status: u16, to_same_server: bool) {
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
    table.raw_set("body", lua.create_string(&answer.body)?)?;
    Ok(table)
}
