//! `docker build` with the classic builder, whose context is an archive.

use super::options::Args;
use super::uri::Query;
use super::values::ulimit;
use super::{ApiRequest, Result, refused};
use serde_json::{Map, Value, json};

/// What the client asks for if nothing is said.
const DEFAULTS: &[(&str, &str)] = &[
    ("cgroupparent", ""),
    ("cpuperiod", "0"),
    ("cpuquota", "0"),
    ("cpusetcpus", ""),
    ("cpusetmems", ""),
    ("cpushares", "0"),
    ("dockerfile", "Dockerfile"),
    ("memory", "0"),
    ("memswap", "0"),
    ("networkmode", "default"),
    ("rm", "1"),
    ("shmsize", "0"),
    ("target", ""),
    ("version", "1"),
];

pub fn build(args: &Args) -> Result<Vec<ApiRequest>> {
    let mut query = Query::of(DEFAULTS);
    args.ask(&mut query);
    if args.has("rm") && !args.flag("rm") {
        query.set("rm", "0");
    }
    if args.flag("force-rm") {
        query.set("forcerm", "1");
    }
    query.set("buildargs", &pairs(args, "build-arg", &Value::Null));
    query.set("labels", &pairs(args, "label", &"".into()));
    let caches: Vec<_> = args
        .all("cache-from")
        .flat_map(|text| text.split(','))
        .collect();
    query.set("cachefrom", &json!(caches).to_string());
    let mut limits = Vec::new();
    for limit in args.all("ulimit") {
        limits.push(ulimit(limit).or_else(refused)?);
    }
    let limits = if limits.is_empty() {
        Value::Null
    } else {
        json!(limits)
    };
    query.set("ulimits", &limits.to_string());
    let context = args.name(1);
    let is_remote = ["http://", "https://", "git://"]
        .iter()
        .any(|scheme| context.starts_with(scheme));
    let request = ApiRequest::new("POST", &query.on("/build"));
    if is_remote {
        return refused(
            "contexts from the network are fetched by the client, which is not done here: write a directory",
        );
    }
    Ok(vec![request.with_archive()])
}

/// Returns pairs as an object; a key alone has a value of its own.
fn pairs(args: &Args, option: &'static str, alone: &Value) -> String {
    let pair = |text: &str| match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Value::from(value)),
        None => (text.to_owned(), alone.clone()),
    };
    let pairs: Map<_, _> = args.all(option).map(pair).collect();
    Value::Object(pairs).to_string()
}
