use thiserror::Error;

/// Why a request is denied before any policy is asked. Its `Display` is one line for the user of `docker`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The body is not JSON, or two decoders could read it differently (protocol 3.5).
    #[error("the request body is refused: {fault} (at byte {at})")]
    Json {
        /// What is wrong with it.
        fault: JsonFault,
        /// Offset in the decoded body.
        at: usize,
    },
    /// The engine handed over a body that is not base64.
    #[error("the request body cannot be judged: the engine passed it on in a broken form")]
    Base64,
    /// A body was announced, but the engine withheld it (protocol 3.3, CVE-2026-34040).
    #[error(
        "the request body cannot be judged, as the engine did not pass it on: send it in less than 1 MiB, \
         with Content-Length"
    )]
    Withheld,
    /// A route that reads JSON is sent a body of another type, which the engine never shows to a plugin.
    #[error(
        "`{action}` takes JSON: send its body with `Content-Type: application/json`, not `{content_type}`"
    )]
    NotJson {
        /// The route's action.
        action: &'static str,
        /// What the request announced; empty when nothing.
        content_type: String,
    },
    /// A route that needs a JSON body came without one.
    #[error("`{0}` needs a JSON body, and none was sent")]
    MissingBody(&'static str),
    /// `POST /containers/{id}/start` with a body, which old API versions read as a host configuration.
    #[error("`{0}` takes no body: give the host configuration when the container is created")]
    UnexpectedBody(&'static str),
    /// A form-encoded body, whose fields override the query unseen (protocol 3.5).
    #[error("a body of type `{0}` is refused: send the parameters in the query")]
    Form(String),
    /// A header that decides about the body cannot be understood.
    #[error("the header `{0}` cannot be understood")]
    Header(&'static str),
    /// A query that engines built with different Go versions read differently.
    #[error("the query is refused: percent-encode `;` and `%` in it")]
    Query,
    /// A part of the body that names a host path is not of the form that the engine documents.
    #[error("the host path in `{via}` cannot be judged: {reason}")]
    HostPath {
        /// Where it stands, as in `HostConfig.Binds[0]`.
        via: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A client certificate that cannot be read.
    #[error("the client's certificate cannot be read: {0}")]
    Certificate(&'static str),
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonFault {
    /// Not JSON's grammar.
    #[error("it is not valid JSON")]
    Syntax,
    /// The text ends too early.
    #[error("it ends in the middle of the JSON")]
    Incomplete,
    /// Something follows the first value, which some engines ignore.
    #[error("something follows the JSON value")]
    Trailing,
    /// Bytes that Go would replace.
    #[error("it is not valid UTF-8")]
    Utf8,
    /// Half a surrogate pair, which Go would replace.
    #[error("a `\\u` escape is half of a surrogate pair")]
    Surrogate,
    /// A raw control character in a string.
    #[error("a string holds a raw control character")]
    Control,
    /// A number that is no JSON number, or too large for any decoder.
    #[error("a number is malformed or out of range")]
    Number,
    /// Deeper than [`MAX_DEPTH`](super::Document::MAX_DEPTH).
    #[error("it is nested too deeply")]
    Depth,
    /// Longer than [`MAX_BYTES`](super::Document::MAX_BYTES).
    #[error("it is too large")]
    TooLarge,
    /// One object has two keys that the engine takes for the same.
    #[error("the keys `{0}` and `{1}` of one object mean the same")]
    Duplicate(String, String),
}
