//! `GET /v1/trace`: calls as they pass, a line of JSON each.

use super::{LINES, refusal};
use crate::metrics::Verdict;
use crate::protocol::named;
use crate::server::side::{self, Answer};
use crate::trace::{MAX_WATCHERS, PassedCall, Seen, Tap, Watcher};
use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use percent_encoding::percent_decode_str;
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::timeout;

/// How long a client goes without a line. An empty one shows whether it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The parameters of the query, and what each selects.
pub const PARAMETERS: [(&str, &str); 4] = [
    ("plugin", "Calls of this plugin."),
    ("method", "Calls of this method: `VolumeDriver.Create`."),
    (
        "verdict",
        "Calls that ended so: `ok`, `denied` or `failed`.",
    ),
    (
        "slow_ms",
        "Calls that took at least this many milliseconds.",
    ),
];

/// The calls that a client asks for.
#[derive(Debug, Default, PartialEq)]
struct Filter {
    plugin: Option<String>,
    method: Option<String>,
    verdict: Option<String>,
    slow_ms: Option<f64>,
}

/// Answers with the calls that pass from now on.
pub fn answer(tap: &Tap, query: &str) -> Answer {
    let filter = match Filter::parse(query) {
        Ok(filter) => filter,
        Err(problem) => return refusal(StatusCode::BAD_REQUEST, &problem),
    };
    let Some(watcher) = tap.watch() else {
        let problem = format!("{MAX_WATCHERS} clients watch already");
        return refusal(StatusCode::SERVICE_UNAVAILABLE, &problem);
    };
    let lines = unfold((watcher, filter), async |(mut watcher, filter)| {
        let next = timeout(SIGN_OF_LIFE, next_line(&mut watcher, &filter)).await;
        let line = next.unwrap_or_else(|_| Some(String::new()))?;
        let frame = Frame::data(Bytes::from(line + "\n"));
        Some((Ok::<_, Infallible>(frame), (watcher, filter)))
    });
    let mut answer = side::plain(StatusCode::OK, LINES, String::new());
    *answer.body_mut() = StreamBody::new(lines).boxed_unsync();
    answer
}

async fn next_line(watcher: &mut Watcher, filter: &Filter) -> Option<String> {
    loop {
        match watcher.next().await? {
            Seen::Missed(calls) => return Some(json!({ "missed": calls }).to_string()),
            Seen::Call(call) if filter.selects(&call) => return Some(call.to_json().to_string()),
            Seen::Call(_) => {}
        }
    }
}

/// Returns the value if a call can end so.
fn verdict(value: String) -> Result<String, String> {
    let names = Verdict::ALL.map(Verdict::name);
    if names.contains(&value.as_str()) {
        return Ok(value);
    }
    Err(format!("`verdict` is `{value}`: use {}", names.join(", ")))
}

/// Returns the name of a method that the engine calls, given that or the name of its hook.
fn method(value: &str) -> Result<String, String> {
    match named(value) {
        Some(method) => Ok(method.wire.to_owned()),
        None => Err(format!(
            "unknown method `{value}`: write `interface.hook`, such as `volume.create`"
        )),
    }
}

impl Filter {
    fn parse(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "plugin" => filter.plugin = Some(value),
                "method" => filter.method = Some(method(&value)?),
                "verdict" => filter.verdict = Some(verdict(value)?),
                "slow_ms" => {
                    let ms = value
                        .parse()
                        .map_err(|_| format!("`slow_ms` is `{value}`, and must be a number"))?;
                    filter.slow_ms = Some(ms);
                }
                _ => {
                    let names = PARAMETERS.map(|(name, _)| name).join(", ");
                    return Err(format!("there is no parameter `{name}`: use {names}"));
                }
            }
        }
        Ok(filter)
    }

    fn selects(&self, call: &PassedCall) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        is(&self.plugin, &call.plugin)
            && is(&self.method, call.method.wire)
            && is(&self.verdict, call.verdict)
            && self
                .slow_ms
                .is_none_or(|ms| call.took.as_secs_f64() * 1e3 >= ms)
    }
}
