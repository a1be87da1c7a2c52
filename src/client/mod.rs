//! What Docker's client would send to the engine for a command line, so that a policy can be tried without an engine.
//!
//! The model is the client of Docker 20.10.24, which speaks version 1.41 of the Engine API. Options of later clients
//! are accepted, and go where those clients put them. What differs by design:
//!
//! * `HEAD /_ping`, with which each command begins, is left out: the client ignores a denial of it.
//! * Values that the engine would have given, such as the ID of the created container, are [`ID`].
//! * Only the first request of a kind is sent where the client repeats it to show progress.
//! * Everything is on the engine's side already: a `run` does not pull, unless `--pull always` says so.
//! * No file, no variable and no credential of this machine is read.
//! * Standard input is no terminal: its size is not sent.

mod attached;
mod build;
mod commands;
mod container;
mod create;
mod exec;
mod options;
mod service;
mod uri;
mod values;

use options::Args;
use serde_json::Value;

/// What stands for an ID that the engine would have given, of 64 hexadecimal digits.
pub const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const USER_AGENT: &str = "Docker-Client/20.10.24 (linux)";

/// One request of the Engine API, as `docker` sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiRequest {
    /// The method of HTTP.
    pub method: &'static str,
    /// The path with the version of the API, and the query.
    pub uri: String,
    /// The headers that the engine shows to a policy.
    pub headers: Vec<(String, String)>,
    /// The body, if it is JSON.
    pub body: Option<Value>,
}

/// Why a command line gives no requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClientError(String);

type Result<T> = std::result::Result<T, ClientError>;

fn refused<T>(message: impl Into<String>) -> Result<T> {
    Err(ClientError(message.into()))
}

/// Returns the requests that `docker COMMAND` sends, in order.
///
/// # Errors
///
/// An unknown command or option, a value that the client itself would refuse, and a file that it would read.
pub fn requests(command: &str) -> Result<Vec<ApiRequest>> {
    let Some(words) = shlex::split(command) else {
        return refused("a quote is not closed, or the command line ends in a backslash");
    };
    let words = match words.split_first() {
        Some((first, rest)) if first == "docker" => rest,
        _ => &words[..],
    };
    let (command, rest) = commands::find(words)?;
    let args = Args::parse(command, rest)?;
    command.sends(&args)
}

/// The name nearest to one that is not known, as the end of a message.
fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = known.min_by_key(|known| distance(known));
    match nearest.filter(|near| distance(near) <= 1 + name.len() / 4) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    }
}

impl ApiRequest {
    /// A request without a body; the path lacks the version.
    fn new(method: &'static str, path: &str) -> ApiRequest {
        let mut headers = vec![("User-Agent".to_owned(), USER_AGENT.to_owned())];
        if matches!(method, "POST" | "PUT") {
            headers.push(("Content-Type".to_owned(), "text/plain".to_owned()));
        }
        if method == "POST" {
            headers.push(("Content-Length".to_owned(), "0".to_owned()));
        }
        ApiRequest {
            method,
            uri: format!("/v1.41{path}"),
            headers,
            body: None,
        }
    }

    fn with_body(mut self, body: Value) -> ApiRequest {
        let length = body.to_string().len().to_string();
        self.body = Some(body);
        self.with("Content-Type", "application/json")
            .with("Content-Length", &length)
    }

    /// The body is an archive.
    fn with_archive(self) -> ApiRequest {
        let mut request = self.with("Content-Type", "application/x-tar");
        request.headers.retain(|(name, _)| name != "Content-Length");
        request
    }

    /// The connection becomes a stream.
    fn upgraded(self) -> ApiRequest {
        self.with("Connection", "Upgrade").with("Upgrade", "tcp")
    }

    fn with(mut self, name: &str, value: &str) -> ApiRequest {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
