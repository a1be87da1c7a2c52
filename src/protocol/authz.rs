//! `AuthZPlugin` (protocol 3).

use super::shape::{TEXT_MAP, TEXTS, optional, required};
use super::{Answer, Field, Interface::Authz, Method, Missing, Shape, Type};

const USER: Field = optional(
    "User",
    Type::Text,
    "The common name of the client's TLS certificate.",
);
const USER_METHOD: Field = optional("UserAuthNMethod", Type::Text, "`TLS`, or absent.");
const METHOD: Field = required("RequestMethod", Type::Text, "The HTTP method.");
const URI: Field = required(
    "RequestUri",
    Type::Text,
    "The raw request target; prefer `path` and `query`.",
);
const BODY: Field = optional("RequestBody", Type::Bytes, "The raw body; prefer `body`.");
const HEADERS: Field = optional(
    "RequestHeaders",
    TEXT_MAP,
    "The headers; of a repeated one, the last value.",
);
const CERTIFICATES: Field = optional(
    "RequestPeerCertificates",
    TEXTS,
    "The client's certificates; prefer `user.certificate`.",
);

const REQUEST: Shape = Shape {
    name: "AuthzRequest",
    fields: &[USER, USER_METHOD, METHOD, URI, BODY, HEADERS, CERTIFICATES],
};

const RESPONSE: Shape = Shape {
    name: "AuthzResponse",
    fields: &[
        USER,
        USER_METHOD,
        METHOD,
        URI,
        BODY,
        HEADERS,
        CERTIFICATES,
        optional(
            "ResponseStatusCode",
            Type::Int,
            "Absent for failures, streams and replies over 64 KiB.",
        ),
        optional("ResponseHeaders", TEXT_MAP, "The reply's headers."),
        optional(
            "ResponseBody",
            Type::Bytes,
            "The reply's body, if it is small.",
        ),
    ],
};

const DECISION: Shape = Shape {
    name: "AuthzReply",
    fields: &[
        required(
            "Allow",
            Type::Bool,
            "Only `true` allows. A hook returns it first.",
        ),
        optional(
            "Msg",
            Type::Text,
            "The reason of a denial. A hook returns it second.",
        ),
    ],
};

/// A body of 4 MiB, the most that engines pass on, is 5.4 MiB of Base64; a reply adds 64 KiB.
const BODY_LIMIT: usize = 8 << 20;

pub(super) static METHODS: &[Method] = &[
    Method::new(
        Authz,
        "AuthZPlugin.AuthZReq",
        "request",
        &REQUEST,
        &DECISION,
        "Decides on a request to the engine.",
    )
    .answer(Answer::Policy)
    .about("RequestUri")
    .body_limit(BODY_LIMIT)
    .deadline(10),
    Method::new(
        Authz,
        "AuthZPlugin.AuthZRes",
        "response",
        &RESPONSE,
        &DECISION,
        "Decides on the engine's reply.",
    )
    .answer(Answer::Policy)
    .about("RequestUri")
    .body_limit(BODY_LIMIT)
    .deadline(10)
    .missing(Missing::Answered(r#"{"Allow":true}"#)),
];
