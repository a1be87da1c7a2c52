//! The control socket: HTTP and JSON, by which commands ask the running process.
//!
//! The socket is in the state directory, so its client has found the right process, in whatever
//! namespace.

mod client;
mod watched;

pub use self::client::{Control, ControlError};
pub use self::watched::PARAMETERS;

use super::order::{Event, Request};
use super::own_file::OwnFile;
use super::side::{self, Answer, Listener, Service};
use super::socket::{SocketError, listen_privately, make_directory};
use crate::config::{Config, STATE_CONTROL};
use crate::trace::Tap;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request as HttpRequest, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A request of the control socket.
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// What it answers.
    pub help: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Status,
    Reload,
    Trace,
}

/// All requests of the control socket, in the order of their kinds. A change that breaks a client gets another version.
pub const ROUTES: [Route; 3] = [
    Route {
        method: "GET",
        path: "/v1/status",
        help: "What the process and its plugins are doing now.",
        kind: Kind::Status,
    },
    Route {
        method: "POST",
        path: "/v1/reload",
        help: "Looks for plugins, loads all scripts again, and reports what became of them. The body may be `{\"accept_grants\": true}`.",
        kind: Kind::Reload,
    },
    Route {
        method: "GET",
        path: "/v1/trace",
        help: "The calls that pass from now on, a line of JSON each, until the client hangs up.",
        kind: Kind::Trace,
    },
];

impl Kind {
    fn route(self) -> &'static Route {
        &ROUTES[self as usize]
    }
}

/// The content types of answers.
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// The limit on the body of a request, in bytes.
const BODY_LIMIT: usize = 4 << 10;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The service in the log. A trace lasts as long as its client likes.
const SERVICE: Service = Service {
    name: "a control connection",
    limit: None,
};

/// The body of a request to reload.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReloadBody {
    accept_grants: bool,
}

/// What requests are answered from.
#[derive(Clone)]
struct Desk {
    report: UnboundedSender<Event>,
    tap: Tap,
}

/// Takes requests for as long as the returned file lives.
///
/// # Errors
/// Fails if the socket cannot be bound.
pub fn listen(
    config: &Config,
    report: UnboundedSender<Event>,
    tap: Tap,
) -> Result<OwnFile, SocketError> {
    let (path, option) = match &config.control {
        Some(path) => (path.clone(), "--control"),
        None => (config.places.state.join(STATE_CONTROL), "--state"),
    };
    if let Some(dir) = path.parent().filter(|_| config.control.is_some()) {
        make_directory(dir, option)?;
    }
    let (listener, file) = listen_privately(&path, option)?;
    let desk = Desk { report, tap };
    tokio::spawn(side::serve(
        Listener::Unix(listener),
        SERVICE,
        move |request| desk.clone().answer(request),
    ));
    Ok(file)
}

impl Desk {
    async fn answer(self, request: HttpRequest<Incoming>) -> Answer {
        let path = request.uri().path();
        let Some(route) = ROUTES.iter().find(|route| route.path == path) else {
            let paths: Vec<_> = ROUTES.iter().map(|route| route.path).collect();
            let problem = format!("there is no `{path}`: use {}", paths.join(", "));
            return refusal(StatusCode::NOT_FOUND, &problem);
        };
        if request.method().as_str() != route.method {
            let problem = format!("use `{} {path}`", route.method);
            return side::not_allowed(JSON, error(&problem), route.method);
        }
        match route.kind {
            Kind::Status => self.status().await,
            Kind::Reload => self.reload(request).await,
            Kind::Trace => watched::answer(&self.tap, request.uri().query().unwrap_or_default()),
        }
    }

    async fn status(self) -> Answer {
        let (answer, answered) = oneshot::channel();
        // While the process ends, nobody receives it.
        let _ = self.report.send(Event::Examined(answer));
        reply(answered).await
    }

    async fn reload(self, request: HttpRequest<Incoming>) -> Answer {
        let reading = Limited::new(request.into_body(), BODY_LIMIT).collect();
        let Ok(body) = timeout(BODY_TIMEOUT, reading).await else {
            return refusal(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            );
        };
        let body = match body.map(http_body_util::Collected::to_bytes) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(ReloadBody::default()),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let ReloadBody { accept_grants } = match body {
            Ok(body) => body,
            Err(problem) => {
                let problem = format!("the body cannot be read: {problem}");
                return refusal(StatusCode::BAD_REQUEST, &problem);
            }
        };
        let (answer, answered) = oneshot::channel();
        let request = Request {
            accept_grants,
            answer: Some(answer),
        };
        // While the process ends, nobody receives it.
        let _ = self.report.send(Event::Asked(request));
        reply(answered).await
    }
}

/// Waits for the main thread's answer.
async fn reply<T: Serialize>(answered: oneshot::Receiver<T>) -> Answer {
    match answered.await.map(|answer| serde_json::to_string(&answer)) {
        Ok(Ok(text)) => side::plain(StatusCode::OK, JSON, text),
        Ok(Err(error)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "moondock is ending"),
    }
}

fn refusal(status: StatusCode, problem: &str) -> Answer {
    side::plain(status, JSON, error(problem))
}

fn error(problem: &str) -> String {
    json!({ "error": problem }).to_string()
}
