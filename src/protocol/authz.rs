//! `AuthZPlugin` (protocol 3).

use super::shape::{TEXT_MAP, TEXTS, optional, required};
use super::{Answer, Field, Interface::Authz, Method, Missing, Shape, Type};

const USER:         Field = optional("User",                    Type::Text,  "The common name of the client's TLS certificate.");
const USER_METHOD:  Field = optional("UserAuthNMethod",         Type::Text,  "`TLS`, or absent.");
const METHOD:       Field = required("RequestMethod",           Type::Text,  "The HTTP method.");
const URI:          Field = required("RequestUri",              Type::Text,  "The raw request target; prefer `path` and `query`.");
const BODY:         Field = optional("RequestBody",             Type::Bytes, "The raw body; prefer `body`.");
const HEADERS:      Field = optional("RequestHeaders",          TEXT_MAP,    "The headers, with the last value of a repeated one.");
const CERTIFICATES: Field = optional("RequestPeerCertificates", TEXTS,       "The client's certificates; prefer `user.certificate`.");

const REQUEST: Shape = Shape::new("AuthzRequest", &[
    USER, USER_METHOD, METHOD, URI, BODY, HEADERS, CERTIFICATES,
]);

const RESPONSE: Shape = Shape::new("AuthzResponse", &[
    USER, USER_METHOD, METHOD, URI, BODY, HEADERS, CERTIFICATES,
    optional("ResponseStatusCode", Type::Int,   "The status; absent for failures, streams and replies over 64 KiB."),
    optional("ResponseHeaders",    TEXT_MAP,    "The headers of the reply."),
    optional("ResponseBody",       Type::Bytes, "The body of the reply, if it is small."),
]);

const DECISION: Shape = Shape::new("AuthzReply", &[
    required("Allow", Type::Bool, "True to allow the request. The hook's first value."),
    optional("Msg",   Type::Text, "The reason of a denial. The hook's second value."),
]);

/// Engines pass on bodies of up to 4 MiB, which are 5.4 MiB in Base64, and up to 64 KiB of a reply.
const BODY_LIMIT: usize = 8 << 20;

const fn row(
    wire: &'static str,
    hook: &'static str,
    request: &'static Shape,
    doc: &'static str,
) -> Method {
    Method::new(Authz, wire, hook, request, &DECISION, doc)
        .answer(Answer::Policy)
        .about("RequestUri")
        .body_limit(BODY_LIMIT)
        .deadline(10)
}

pub(super) static METHODS: &[Method] = &[
    row("AuthZPlugin.AuthZReq", "request", &REQUEST, "Allows or denies a request to the engine."),
    row("AuthZPlugin.AuthZRes", "response", &RESPONSE, "Allows or denies the engine's reply.")
        .missing(Missing::Answered(r#"{"Allow":true}"#)),
];
