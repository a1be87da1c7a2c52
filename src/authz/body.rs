//! What is known of a request's body: nothing, a JSON document, or that it cannot be seen (protocol 3.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{BodyKind, Document, Kind, Node, Refusal, Target};

/// The body of a request, as far as a plugin can know it.
#[derive(Debug)]
pub enum Body {
    /// There is none, or none that the engine reads.
    None,
    /// JSON with one reading.
    Json(Document),
    /// There may be one, of a kind that the engine shows to no plugin: an archive, a stream, a withheld login.
    Opaque,
}

/// What the request's headers say of its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Announced<'a> {
    content_type: Option<&'a str>,
    content_length: Option<&'a str>,
}

impl<'a> Announced<'a> {
    /// Reads the headers, whose names may be of any case; of several, the last counts, as in the engine's own map.
    pub fn of(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut announced = Announced::default();
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("Content-Type") {
                announced.content_type = Some(value);
            } else if name.eq_ignore_ascii_case("Content-Length") {
                announced.content_length = Some(value);
            }
        }
        announced
    }

    fn length(&self) -> Result<Option<u64>, Refusal> {
        let number = |text: &str| {
            text.trim()
                .parse()
                .map_err(|_| Refusal::Header("Content-Length"))
        };
        self.content_length.map(number).transpose()
    }

    /// The media type in lower case, without parameters; empty when there is none.
    fn media_type(&self) -> Result<String, Refusal> {
        let value = self.content_type.unwrap_or_default();
        // Go lowers non-ASCII letters into ASCII ones, so these could spell any type.
        if !value.is_ascii() {
            return Err(Refusal::Header("Content-Type"));
        }
        let media = value.split(';').next().unwrap_or_default();
        Ok(media
            .trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
            .to_ascii_lowercase())
    }
}

impl Body {
    /// Settles the state of the body of a request to `target`; `base64` is the engine's `RequestBody`.
    ///
    /// # Errors
    /// A [`Refusal`] for each way to give the engine something that the plugin does not see or cannot judge: JSON
    /// that the engine did not pass on, JSON under another type, forms, a body where old API versions read a host
    /// configuration, a missing body, and a query that engines read differently.
    pub fn read(
        target: &Target<'_>,
        announced: &Announced<'_>,
        base64: Option<&str>,
    ) -> Result<Body, Refusal> {
        if target.query.is_malformed() {
            return Err(Refusal::Query);
        }
        let media = announced.media_type()?;
        let length = announced.length()?;
        refuse_form(target.method, &media)?;
        match base64.filter(|body| !body.is_empty()) {
            Some(body) => passed(target, body),
            None => unseen(target, media, length),
        }
    }

    /// The word that policies see: `none`, `json` or `opaque`.
    pub const fn state(&self) -> &'static str {
        match self {
            Body::None => "none",
            Body::Json(_) => "json",
            Body::Opaque => "opaque",
        }
    }

    /// The document itself, when there is one.
    pub fn into_document(self) -> Option<Document> {
        match self {
            Body::Json(document) => Some(document),
            Body::None | Body::Opaque => None,
        }
    }

    /// The document, when there is one.
    pub const fn document(&self) -> Option<&Document> {
        match self {
            Body::Json(document) => Some(document),
            Body::None | Body::Opaque => None,
        }
    }
}

/// Go reads a form of a GET too when it is multipart.
fn refuse_form(method: &str, media: &str) -> Result<(), Refusal> {
    let read = !matches!(method, "GET" | "HEAD");
    let form =
        media.starts_with("multipart/") || read && media == "application/x-www-form-urlencoded";
    if form {
        Err(Refusal::Form(media.to_owned()))
    } else {
        Ok(())
    }
}

fn kind(target: &Target<'_>) -> Option<BodyKind> {
    target.route.map(|route| route.body)
}

fn action(target: &Target<'_>) -> &'static str {
    target.action().unwrap_or("this call")
}

/// The engine passed a body on.
fn passed(target: &Target<'_>, base64: &str) -> Result<Body, Refusal> {
    match kind(target) {
        Some(BodyKind::Opaque) => Ok(Body::Opaque),
        Some(BodyKind::Forbidden) => match document(base64)? {
            // Some clients send `{}` with each POST, and engines let that pass.
            empty if says_nothing(empty.root()) => Ok(Body::Json(empty)),
            _ => Err(Refusal::UnexpectedBody(action(target))),
        },
        _ => document(base64).map(Body::Json),
    }
}

fn document(base64: &str) -> Result<Document, Refusal> {
    Document::parse(STANDARD.decode(base64).map_err(|_| Refusal::Base64)?)
}

fn says_nothing(node: Node<'_>) -> bool {
    match node.kind() {
        Kind::Null => true,
        Kind::Object => node.entries().next().is_none(),
        _ => false,
    }
}

/// The engine passed none on, which does not mean that there is none.
fn unseen(target: &Target<'_>, media: String, length: Option<u64>) -> Result<Body, Refusal> {
    let json = media == "application/json";
    let sends = matches!(target.method, "POST" | "PUT");
    // Without a length the body may be chunked and too long to be passed on: the engine tells nobody.
    let maybe_sent = length.map_or(sends, |length| length > 0);
    match kind(target) {
        Some(BodyKind::Opaque) => Ok(if length == Some(0) {
            Body::None
        } else {
            Body::Opaque
        }),
        _ if target.action() == Some("system.auth") => {
            Ok(if maybe_sent { Body::Opaque } else { Body::None })
        }
        Some(BodyKind::Forbidden) => forbidden(target, length, json && maybe_sent),
        Some(BodyKind::JsonRequired | BodyKind::Json) => {
            expected(target, media, length, maybe_sent)
        }
        Some(BodyKind::None) if json && length.is_some_and(|length| length > 0) => {
            Err(Refusal::Withheld)
        }
        None if json && maybe_sent => Err(Refusal::Withheld),
        Some(BodyKind::None) if length.is_none() => Ok(Body::None),
        Some(BodyKind::None) | None => Ok(if maybe_sent { Body::Opaque } else { Body::None }),
    }
}

fn forbidden(target: &Target<'_>, length: Option<u64>, maybe_json: bool) -> Result<Body, Refusal> {
    if maybe_json || length.is_some_and(|length| length > 0) {
        return Err(Refusal::UnexpectedBody(action(target)));
    }
    Ok(Body::None)
}

fn expected(
    target: &Target<'_>,
    media: String,
    length: Option<u64>,
    maybe_sent: bool,
) -> Result<Body, Refusal> {
    let optional = kind(target) == Some(BodyKind::Json);
    if media == "application/json" && maybe_sent {
        return Err(Refusal::Withheld);
    }
    // Several old handlers read JSON under any type, and the engine shows a plugin only what calls itself JSON.
    if length.is_some_and(|length| length > 0) || maybe_sent && (optional || !media.is_empty()) {
        return Err(Refusal::NotJson {
            action: action(target),
            content_type: media,
        });
    }
    if optional {
        Ok(Body::None)
    } else {
        Err(Refusal::MissingBody(action(target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";

    fn state(call: &str, media: &str, length: &str, body: Option<&str>) -> String {
        let (method, uri) = call.split_once(' ').unwrap();
        let headers = [("content-type", media), ("Content-Length", length)];
        let announced = Announced::of(headers.into_iter().filter(|(_, value)| !value.is_empty()));
        let body = body.map(|body| STANDARD.encode(body));
        match Body::read(&Target::parse(method, uri), &announced, body.as_deref()) {
            Ok(body) => body.state().to_owned(),
            Err(refusal) => format!("{refusal:?}")
                .split([' ', '('])
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }

    #[test]
    fn states() {
        let table = [
            ("GET /version", "", "", None, "none"),
            (
                "POST /v1.41/containers/create",
                JSON,
                "2",
                Some("{}"),
                "json",
            ),
            (
                "POST /containers/create",
                "application/json; charset=utf-8",
                "",
                Some("{}"),
                "json",
            ),
            ("POST /containers/c/stop", "", "", None, "none"),
            ("POST /containers/c/stop", JSON, "", None, "none"),
            ("POST /containers/c/stop", JSON, "2", Some("{}"), "json"),
            ("POST /containers/c/start", "", "0", None, "none"),
            ("POST /containers/c/start", "text/plain", "", None, "none"),
            ("POST /containers/c/start", JSON, "2", Some("{}"), "json"),
            (
                "PUT /containers/c/archive?path=/",
                "text/plain",
                "",
                None,
                "opaque",
            ),
            ("POST /build", JSON, "", Some("{}"), "opaque"),
            ("POST /images/create?fromImage=x", "", "0", None, "none"),
            ("POST /session", "", "0", None, "none"),
            ("POST /auth", JSON, "70", None, "opaque"),
            ("POST /auth", JSON, "2", Some("{}"), "json"),
            ("POST /commit?container=c", "", "0", None, "none"),
            ("POST /what/ever", "", "", None, "opaque"),
            ("POST /what/ever", JSON, "2", Some("{}"), "json"),
            ("GET /what/ever", "", "", None, "none"),
        ];
        for (call, media, length, body, want) in table {
            assert_eq!(
                state(call, media, length, body),
                want,
                "{call} {media} {length} {body:?}"
            );
        }
    }

    #[test]
    fn refusals() {
        let table = [
            ("POST /containers/create", JSON, "2000000", None, "Withheld"),
            ("POST /containers/create", JSON, "", None, "Withheld"),
            ("POST /commit", JSON, "", None, "Withheld"),
            ("POST /what/ever", JSON, "", None, "Withheld"),
            ("POST /containers/c/stop", JSON, "3", None, "Withheld"),
            (
                "POST /containers/create?x=/auth",
                JSON,
                "3",
                None,
                "Withheld",
            ),
            ("POST /swarm/init", "text/plain", "3", None, "NotJson"),
            ("POST /swarm/init", "text/plain", "", None, "NotJson"),
            ("POST /commit", "", "", None, "NotJson"),
            ("POST /containers/create", "", "0", None, "MissingBody"),
            ("POST /containers/create", "", "", None, "MissingBody"),
            ("POST /v1.45/volumes/create", JSON, "0", None, "MissingBody"),
            (
                "POST /v1.20/containers/c/start",
                JSON,
                "18",
                Some("{\"Binds\":[]}"),
                "UnexpectedBody",
            ),
            (
                "POST /v1.20/containers/c/start",
                JSON,
                "",
                None,
                "UnexpectedBody",
            ),
            ("POST /containers/c/start", "", "9", None, "UnexpectedBody"),
            (
                "POST /images/create?fromImage=good",
                FORM,
                "14",
                None,
                "Form",
            ),
            (
                "POST /containers/create",
                "Application/X-WWW-form-urlencoded ; a=b",
                "14",
                None,
                "Form",
            ),
            (
                "DELETE /containers/c",
                "multipart/form-data; boundary=x",
                "",
                None,
                "Form",
            ),
            (
                "GET /containers/c/logs",
                "multipart/form-data; boundary=x",
                "",
                None,
                "Form",
            ),
            (
                "POST /build",
                "appl\u{130}cation/x-www-form-urlencoded",
                "",
                None,
                "Header",
            ),
            ("POST /containers/create", JSON, "-1", None, "Header"),
            (
                "POST /containers/create?a;b",
                JSON,
                "2",
                Some("{}"),
                "Query",
            ),
            ("POST /containers/create", JSON, "2", Some("{} {}"), "Json"),
            ("POST /containers/c/stop", JSON, "2", Some("{"), "Json"),
        ];
        for (call, media, length, body, want) in table {
            assert_eq!(
                state(call, media, length, body),
                want,
                "{call} {media} {length} {body:?}"
            );
        }
    }

    #[test]
    fn broken_base64_is_refused() {
        let target = Target::parse("POST", "/containers/create");
        let error = Body::read(&target, &Announced::default(), Some("{}")).unwrap_err();
        assert_eq!(error, Refusal::Base64);
    }

    #[test]
    fn messages_are_one_line_for_the_user() {
        let target = Target::parse("POST", "/containers/create");
        let body = STANDARD.encode("{\"Name\\n\":1,\"name\\n\":2}");
        let error = Body::read(&target, &Announced::default(), Some(&body))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the request body is refused: the keys `Name\\n` and `name\\n` of one object mean the same (at byte 13)"
        );
    }
}
