//! HTTP besides the plugins' own sockets, for the metrics and for the control socket: served by the
//! main thread, so that no plugin waits for it.

use super::acceptor::ACCEPT_BACKOFF;
use super::stream::AnyStream;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// The limit on concurrent clients of one listener; others wait.
const MAX_CLIENTS: usize = 16;

/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Where clients connect.
pub enum Listener {
    /// A Unix socket.
    Unix(UnixListener),
    /// A TCP port.
    Tcp(TcpListener),
}

/// What is served.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// What the log calls a connection: `a metrics connection`.
    pub name: &'static str,
    /// The time limit on a request and its answer together, if there is one.
    pub limit: Option<Duration>,
}

impl Listener {
    async fn accept(&self) -> io::Result<Box<dyn AnyStream>> {
        Ok(match self {
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Answers one request of each connection, for as long as the process runs.
pub async fn serve<F, A>(listener: Listener, service: Service, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(stream) => {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let conversation = converse(stream, answer);
                    // A client that is too slow, or hangs up, asks again.
                    match service.limit {
                        Some(limit) => drop(timeout(limit, conversation).await),
                        None => drop(conversation.await),
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                warn!("cannot accept {}: {error}", service.name);
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn converse<F, A>(stream: Box<dyn AnyStream>, answer: F) -> hyper::Result<()>
where
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Makes an answer of one text.
pub fn plain(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Makes the answer to a method that the path does not have.
pub fn not_allowed(content_type: &'static str, text: String, allowed: &'static str) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, content_type, text);
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// Whether a request only reads.
pub fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
