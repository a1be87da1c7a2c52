//! One HTTP exchange: bytes in, bytes out. What they mean is [`crate::plugin`]'s business.

use super::stream::{Peer, Streamed};
use crate::plugin::{Plugin, Reply};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::spawn_local;
use tokio::time::timeout;

/// What the engine names in `Accept` (protocol 1.3).
const PLUGIN_JSON: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.plugins.v1.2+json");

/// How long the next part of a body may take, so that nobody holds memory by not going on.
const PAUSE: Duration = Duration::from_secs(30);

/// How much of a refused body is read and thrown away, so that its sender gets to read the refusal.
const DISCARD: usize = 64 << 20;

/// What a body is that goes on for as long as it likes, as Docker's own libraries have it.
const STREAM: HeaderValue = HeaderValue::from_static("application/x-json-stream");

type Answer = Response<Either<Full<Bytes>, Streamed>>;

/// Why a request gets no answer, and its connection is closed.
#[derive(Debug, Error)]
pub enum Abandoned {
    /// The connection ended within the body.
    #[error("the body of a request is cut off")]
    Cut(#[from] hyper::Error),
    /// The client stopped sending, and did not go on.
    #[error("the body of a request did not go on for {} s", PAUSE.as_secs())]
    Stuck,
    /// The plugin cannot tell, and any answer would be taken for one (protocol 5.5).
    #[error("a call is left unanswered, so that the engine asks again")]
    Unanswered,
}

/// Answers one request.
///
/// `peer` is the connection that it came over, for noticing that the client of a stream has gone.
pub async fn answer(
    plugin: &Rc<Plugin>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Result<Answer, Abandoned> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path();
    let limit = match admit(plugin, &head.method, path, &body) {
        Ok(limit) => limit,
        Err(refusal) => return refuse(refusal, peer, &head.headers, body),
    };
    match read(&mut body, limit).await? {
        Some(bytes) => respond(call(plugin, path, bytes).await, peer),
        None => refuse(plugin.too_large(path), peer, &head.headers, body),
    }
}

/// The limit on the body of a request that may go on.
fn admit(plugin: &Plugin, method: &Method, path: &str, body: &Incoming) -> Result<usize, Reply> {
    if method != Method::POST {
        return Err(failure(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("`{method}` is not allowed: use `POST`"),
        ));
    }
    let limit = plugin.body_limit(path)?;
    if body.size_hint().lower() > limit as u64 {
        Err(plugin.too_large(path))
    } else {
        Ok(limit)
    }
}

/// The whole body, or nothing when it has more than `limit` bytes.
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
    // No more than the limit, as `admit` has seen to; and what is never sent takes no memory.
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

/// The next part of the body that has bytes in it.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Abandoned> {
    while let Some(frame) = timeout(PAUSE, body.frame())
        .await
        .map_err(|_| Abandoned::Stuck)?
    {
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// A dropped connection makes the engine repeat the call with an empty body (protocol 1.6), so even
/// a fault of our own is answered.
async fn call(plugin: &Rc<Plugin>, path: &str, body: Bytes) -> Reply {
    let call = AssertUnwindSafe(plugin.call(path, body));
    call.catch_unwind().await.unwrap_or_else(|_| {
        let message = format!(
            "{}: a fault in moondock itself (its log says more)",
            method_of(path)
        );
        failure(StatusCode::INTERNAL_SERVER_ERROR, message)
    })
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

/// Answers at once and reads the body to its end meanwhile: a Go client that cannot write all of its
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
    while seen < DISCARD {
        match next(&mut body).await {
            Ok(Some(part)) => seen += part.len(),
            _ => return,
        }
    }
}

fn method_of(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// An error in the two fields that the engine's decoders look at (protocol 0.6).
fn failure(status: StatusCode, message: String) -> Reply {
    let body = json!({ "Err": &message, "Error": &message });
    Reply::Answer {
        status: status.as_u16(),
        body: body.to_string().into_bytes(),
    }
}
