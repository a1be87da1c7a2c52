//! Why a request is denied before any policy is asked.

use thiserror::Error;

/// The reason of a denial by the host. Its `Display` is one line for the user of `docker`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The body is not JSON, or two decoders could read it differently (protocol 3.5).
    #[error("the request body is refused: {fault} (at byte {at})")]
    Json {
        /// What is wrong with it.
        fault: JsonFault,
        /// The offset in the decoded body.
        at: usize,
    },
    /// The engine passed on a body that is not Base64.
    #[error("the request body cannot be judged: the engine passed it on in a corrupt form")]
    Base64,
    /// The headers announce a body that the engine did not pass on (protocol 3.3, CVE-2026-34040).
    #[error(
        "the request body cannot be judged, because the engine did not pass it on: send one \
         `Content-Type` and a `Content-Length` below 1 MiB, or `Content-Length: 0`"
    )]
    Withheld,
    /// A route that reads JSON is sent a body of another type, which the engine never passes to a
    /// plugin.
    #[error(
        "`{action}` takes JSON: send its body with `Content-Type: application/json`, not `{content_type}`"
    )]
    NotJson {
        /// The route's action.
        action: &'static str,
        /// The type that the headers announce; empty when there is none.
        content_type: String,
    },
    /// A route that needs a JSON body is called without one.
    #[error("`{0}` needs a JSON body: send one with `Content-Type: application/json`")]
    MissingBody(&'static str),
    /// `POST /containers/{id}/start` with a body, which old API versions read as a host
    /// configuration.
    #[error("`{0}` takes no body: give the host configuration when the container is created")]
    UnexpectedBody(&'static str),
    /// A route that takes no body is sent one that no plugin sees. It may be a form (protocol 3.5).
    #[error(
        "`{0}` takes no body: send `Content-Length: 0`, or neither a body nor a `Content-Type`"
    )]
    NoBody(&'static str),
    /// A field of `HostConfig` that stands beside it, where only some engines read it (protocol 3.5).
    #[error("`{0}` is refused outside of `HostConfig`: some engines read it there and some do not")]
    Misplaced(String),
    /// A form-encoded body, whose fields override the query unseen (protocol 3.5).
    #[error("a body of type `{0}` is refused: send the parameters in the query")]
    Form(String),
    /// A header that describes the body is invalid.
    #[error("the header `{0}` is invalid: correct it or leave it out")]
    Header(&'static str),
    /// A query that engines built with different Go versions read differently.
    #[error("the query is refused: percent-encode `;` and `%` in it")]
    Query,
    /// The name of a driver that leads the engine out of its directories of plugins (protocol 1.1).
    #[error(
        "`{field}` may not be {name:?}: the engine would take it for a path; name a driver, as in \
         `local` or `acme/nas:1.0`"
    )]
    DriverPath {
        /// Where it stands, as in `HostConfig.VolumeDriver`; `[]` stands for an item of a list.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// A part of the body that names a host path does not have the form that the engine documents.
    #[error("the host path in `{via}` cannot be judged: {reason}")]
    HostPath {
        /// Where it stands, as in `HostConfig.Binds[0]`.
        via: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A client certificate that cannot be parsed.
    #[error("the client's certificate cannot be read: {0}")]
    Certificate(&'static str),
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonFault {
    /// It violates JSON's grammar.
    #[error("it is not valid JSON")]
    Syntax,
    /// It ends too early.
    #[error("it ends in the middle of the JSON")]
    Incomplete,
    /// Something follows the first value, which some engines ignore.
    #[error("something follows the JSON value")]
    Trailing,
    /// It holds bytes that Go would replace.
    #[error("it is not valid UTF-8")]
    Utf8,
    /// It holds half a surrogate pair, which Go would replace.
    #[error("a `\\u` escape is half of a surrogate pair")]
    Surrogate,
    /// A string holds a raw control character.
    #[error("a string holds a raw control character")]
    Control,
    /// A number violates JSON's grammar, or is too large for any decoder.
    #[error("a number is malformed or out of range")]
    Number,
    /// It is nested deeper than [`MAX_DEPTH`](super::Document::MAX_DEPTH).
    #[error("it is nested too deeply")]
    Depth,
    /// It is longer than [`MAX_BYTES`](super::Document::MAX_BYTES).
    #[error("it is too large")]
    TooLarge,
    /// Two keys of one object are the same field to the engine.
    #[error("the keys `{0}` and `{1}` of one object mean the same")]
    Duplicate(String, String),
}
