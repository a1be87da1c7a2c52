//! The server to compare with: hyper, one thread, the body read, a constant answered.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use std::path::Path;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{LocalSet, spawn_local};

/// What tells this binary to be the bare server.
pub const ARGUMENT: &str = "bare-hyper";

/// Serves until killed.
pub fn serve(socket: &Path, body: String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let body = Bytes::from(body);
    LocalSet::new().block_on(&runtime, async move {
        let listener = UnixListener::bind(socket).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            spawn_local(converse(stream, body.clone()));
        }
    });
}

async fn converse(stream: UnixStream, body: Bytes) {
    let service = service_fn(async |request: Request<Incoming>| {
        request.into_body().collect().await?;
        Ok::<_, hyper::Error>(Response::new(Full::new(body.clone())))
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
