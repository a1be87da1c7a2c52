//! One connection of the engine: kept open for as long as the engine does, and closed between calls.

use super::head_timeout::{HEAD_TIMEOUT, HeadClock, Timed};
use super::http::answer;
use super::stream::Peer;
use crate::plugin::Plugin;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::debug;

/// The limit on a request's head, and on what a connection buffers of a body.
const BUFFER_SIZE: usize = 64 * 1024;

/// How long an idle connection may take to close during a shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// The connections of one plugin.
pub struct Connections {
    plugin: Rc<Plugin>,
    http: http1::Builder,
    end: watch::Sender<bool>,
    alive: mpsc::Sender<()>,
    all_gone: mpsc::Receiver<()>,
}

impl Connections {
    /// Creates an empty set of connections.
    pub fn new(plugin: Rc<Plugin>) -> Connections {
        let (alive, all_gone) = mpsc::channel(1);
        Connections {
            plugin,
            http: protocol(),
            end: watch::Sender::new(false),
            alive,
            all_gone,
        }
    }

    /// Serves the connection of `peer` over the stream that `opening` yields, in a task of its own.
    pub fn serve<S>(&self, peer: Peer, opening: impl Future<Output = Option<S>> + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (plugin, http) = (self.plugin.clone(), self.http.clone());
        let (mut end, alive) = (self.end.subscribe(), self.alive.clone());
        spawn_local(async move {
            let opened = tokio::select! {
                biased;
                opened = opening => opened,
                _ = end.wait_for(|end| *end) => None,
            };
            if let Some(stream) = opened {
                converse(stream, &peer, plugin, http, end).await;
            }
            drop(alive);
        });
    }

    /// Closes every connection after the call that it carries, and waits for the last.
    pub async fn drain(mut self) {
        drop(self.alive);
        self.end.send_replace(true);
        self.all_gone.recv().await;
    }
}

/// Returns the settings of HTTP/1 that the engine needs (protocol 1.3 and 1.4): no idle timeout, and a
/// call goes on when its client hangs up, because a driver must not be cut in the middle of its work.
fn protocol() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.half_close(true)
        .max_buf_size(BUFFER_SIZE)
        .auto_date_header(false);
    http
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: &Peer,
    plugin: Rc<Plugin>,
    http: http1::Builder,
    mut end: watch::Receiver<bool>,
) {
    let _counted = plugin.meters().connected();
    let clock = HeadClock::default();
    let service = service_fn(async |request| {
        clock.stop();
        let answer = answer(&plugin, peer, request).await;
        clock.reset();
        answer
    });
    let stream = TokioIo::new(Timed::new(stream, clock.clone()));
    let mut connection = pin!(http.serve_connection(stream, service));
    let finished = tokio::select! {
        biased;
        result = connection.as_mut() => Some(result),
        () = clock.run_out(HEAD_TIMEOUT) => {
            return debug!("connection closed: the head of a request did not arrive in time");
        }
        _ = end.wait_for(|end| *end) => None,
    };
    let result = if let Some(result) = finished {
        result
    } else {
        connection.as_mut().graceful_shutdown();
        if !clock.is_answering() {
            let _ = timeout(CLOSE_TIMEOUT, connection).await;
            return;
        }
        connection.await
    };
    if let Err(error) = result {
        let cause = error.source().map(ToString::to_string);
        debug!(cause, "connection ended early: {error}");
    }
}
