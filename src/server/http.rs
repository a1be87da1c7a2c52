//! One HTTP exchange: bytes in, bytes out. [`crate::plugin`] knows what they mean.

use super::stream::{Peer, Streamed};
use crate::plugin::{CallError, Plugin, Reply};
use crate::protocol::Call;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use std::rc::Rc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::spawn_local;
use tokio::time::timeout;

/// Content type of a reply; the engine names it in `Accept` (protocol 1.3).
const PLUGIN_JSON: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.plugins.v1.2+json");

/// How long the next part of a body may take, so that a client that stalls holds no memory.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a rejected body is read and dropped, so that its sender gets to read the rejection.
const DISCARD_LIMIT: usize = 64 << 20;

/// Content type of a streamed body; the one that Docker's own libraries use.
const STREAM: HeaderValue = HeaderValue::from_static("application/x-json-stream");

type Answer = Response<Either<Full<Bytes>, Streamed>>;

/// Why a request is not answered, and its connection is closed.
#[derive(Debug, Error)]
pub enum Abandoned {
    /// The connection ended in the middle of the body.
    #[error("the body of a request was cut off")]
    Cut(#[from] hyper::Error),
    /// The client stopped sending.
    #[error("the body of a request did not go on for {} s", BODY_TIMEOUT.as_secs())]
    Stuck,
    /// The plugin cannot tell, and the engine would take any answer for one (protocol 5.5).
    #[error("a call is left unanswered, so that the engine asks again")]
    Unanswered,
}

/// Answers one request.
///
/// `peer` is its connection, which shows when the client of a stream is gone.
pub async fn answer(
    plugin: &Rc<Plugin>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Result<Answer, Abandoned> {
    let (head, mut body) = request.into_parts();
    let call = match admit(plugin, &head, &body) {
        Ok(call) => call,
        Err(refusal) => return refuse(refusal, peer, &head.headers, body),
    };
    match read(&mut body, call.body_limit()).await? {
        Some(bytes) => respond(plugin.call(call, bytes).await, peer),
        None => refuse(plugin.too_large(call), peer, &head.headers, body),
    }
}

/// Returns the call that a request makes, if it may go on.
fn admit(plugin: &Plugin, head: &Parts, body: &Incoming) -> Result<Call, Reply> {
    if head.method != Method::POST {
        let status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
        let message = format!("`{}` is not allowed: use `POST`", head.method);
        return Err(Reply::error(status, &message));
    }
    let path = head.uri.path();
    let unknown = || Reply::from(&CallError::UnknownMethod(name_of(path)));
    let call = Call::of(path).ok_or_else(unknown)?;
    if body.size_hint().lower() > call.body_limit() as u64 {
        return Err(plugin.too_large(call));
    }
    Ok(call)
}

/// Reads the whole body. Returns `None` if it has more than `limit` bytes.
async fn read(body: &mut Incoming, limit: usize) -> Result<Option<Bytes>, Abandoned> {
    let Some(first) = next(body).await? else {
        return Ok(Some(Bytes::new()));
    };
    if first.len() > limit {
        return Ok(None);
    }
    if body.is_end_stream() {
        return Ok(Some(first));
    }
    // `admit` has checked the announced length; nothing is reserved for what is never sent.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
    let mut whole = BytesMut::with_capacity(first.len() + announced);
    whole.extend_from_slice(&first);
    while let Some(part) = next(body).await? {
        if whole.len() + part.len() > limit {
            return Ok(None);
        }
        whole.extend_from_slice(&part);
    }
    Ok(Some(whole.freeze()))
}

/// Reads the next part of the body that is not empty.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Abandoned> {
    while let Some(frame) = timeout(BODY_TIMEOUT, body.frame())
        .await
        .map_err(|_| Abandoned::Stuck)?
    {
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn respond(reply: Reply, peer: &Peer) -> Result<Answer, Abandoned> {
    let (status, body, content_type) = match reply {
        Reply::Answer { status, body } => (
            status,
            Either::Left(Full::new(Bytes::from(body))),
            PLUGIN_JSON,
        ),
        Reply::Stream(parts) => (200, Either::Right(Streamed::new(parts, peer)), STREAM),
        Reply::HangUp => return Err(Abandoned::Unanswered),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(answer)
}

/// Answers at once, and reads the body to its end meanwhile: a Go client that cannot write all of its
/// request does not read the answer, and tries again.
fn refuse(
    reply: Reply,
    peer: &Peer,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Answer, Abandoned> {
    if !body.is_end_stream() && !headers.contains_key(EXPECT) {
        spawn_local(discard(body));
    }
    let mut answer = respond(reply, peer)?;
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    Ok(answer)
}

async fn discard(mut body: Incoming) {
    let mut seen = 0;
    while seen < DISCARD_LIMIT {
        match next(&mut body).await {
            Ok(Some(part)) => seen += part.len(),
            _ => return,
        }
    }
}

fn name_of(path: &str) -> String {
    path.strip_prefix('/').unwrap_or(path).to_owned()
}
