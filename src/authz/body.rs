//! What is known of a request's body: that there is none, a JSON document, or that no plugin sees
//! it (protocol 3.3).

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::{BodyKind, Document, Kind, Node, Refusal, Target};

/// The body of a request, as far as a plugin can know it.
#[derive(Debug, Default)]
pub enum Body {
    /// There is no body, or none that the engine reads.
    #[default]
    None,
    /// JSON with exactly one reading.
    Json(Document),
    /// There may be a body of a kind that the engine passes to no plugin: an archive, a stream, a
    /// withheld login.
    Opaque,
}

/// The body as the engine passes it on, decoded from Base64.
#[derive(Debug, Default)]
pub enum PassedBody {
    /// The engine passed none on, or an empty one.
    #[default]
    None,
    /// The bytes of the body.
    Bytes(Vec<u8>),
    /// It is not Base64.
    Corrupt,
}

/// The request's headers that describe its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Announced<'a> {
    content_type: Option<&'a str>,
    content_length: Option<&'a str>,
}

/// Whether the client sends a body, by the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    No,
    /// Without a length the body may be chunked, and too long for the engine to pass it on.
    Perhaps,
    Yes,
}

const JSON: &str = "application/json";

impl PassedBody {
    /// Decodes the engine's `RequestBody`.
    pub fn decode(base64: &str) -> Self {
        match STANDARD.decode(base64) {
            Ok(bytes) if bytes.is_empty() => PassedBody::None,
            Ok(bytes) => PassedBody::Bytes(bytes),
            Err(_) => PassedBody::Corrupt,
        }
    }
}

impl<'de> Deserialize<'de> for PassedBody {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_option(PassedBodyVisitor)
    }
}

struct PassedBodyVisitor;

impl<'de> Visitor<'de> for PassedBodyVisitor {
    type Value = PassedBody;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<E: Error>(self) -> Result<PassedBody, E> {
        Ok(PassedBody::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<PassedBody, D::Error> {
        json.deserialize_str(self)
    }

    fn visit_str<E: Error>(self, base64: &str) -> Result<PassedBody, E> {
        Ok(PassedBody::decode(base64))
    }
}

impl<'a> Announced<'a> {
    /// Reads the headers, whose names may be of any case. Of a repeated one, the last counts, as in
    /// the engine's own map.
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

    /// Returns whether a request by `method` with these headers sends a body. The engine shows no
    /// plugin that a body is chunked.
    fn sends(&self, method: &str) -> Result<Sends, Refusal> {
        let Some(length) = self.content_length else {
            return Ok(match method {
                "POST" | "PUT" => Sends::Perhaps,
                "GET" | "HEAD" | "OPTIONS" => Sends::No,
                _ if self.content_type.is_some() => Sends::Perhaps,
                _ => Sends::No,
            });
        };
        match length.trim().parse::<u64>() {
            Ok(0) => Ok(Sends::No),
            Ok(_) => Ok(Sends::Yes),
            Err(_) => Err(Refusal::Header("Content-Length")),
        }
    }

    /// Returns the media type in lower case, without parameters. It is empty when there is none.
    fn media_type(&self) -> Result<Cow<'a, str>, Refusal> {
        let value = self.content_type.unwrap_or_default();
        // Go lowers non-ASCII letters into ASCII ones, so these could spell any type.
        if !value.is_ascii() {
            return Err(Refusal::Header("Content-Type"));
        }
        let media = value.split(';').next().unwrap_or_default();
        let media = media.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        Ok(if media.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(media.to_ascii_lowercase())
        } else {
            Cow::Borrowed(media)
        })
    }
}

impl Body {
    /// Decides what is known of the body of a request to `target`.
    ///
    /// # Errors
    /// A [`Refusal`] for each way to send the engine something that the plugin does not see or
    /// cannot judge: JSON that the engine did not pass on, JSON under another type, forms, a body
    /// where old API versions read a host configuration, a missing body, and a query that engines
    /// read differently.
    pub fn read(
        target: &Target<'_>,
        announced: &Announced<'_>,
        passed: PassedBody,
    ) -> Result<Body, Refusal> {
        if target.query.is_malformed() {
            return Err(Refusal::Query);
        }
        let media = announced.media_type()?;
        let sends = announced.sends(target.method)?;
        refuse_form(target.method, &media)?;
        match passed {
            PassedBody::None => {
                let typed = announced.content_type.is_some();
                unseen(target, &media, typed, sends)
            }
            PassedBody::Bytes(_) | PassedBody::Corrupt => seen(target, passed),
        }
    }

    /// Returns the word that policies see: `none`, `json` or `opaque`.
    pub const fn state(&self) -> &'static str {
        match self {
            Body::None => "none",
            Body::Json(_) => "json",
            Body::Opaque => "opaque",
        }
    }

    /// Returns the document, when there is one.
    pub const fn document(&self) -> Option<&Document> {
        match self {
            Body::Json(document) => Some(document),
            Body::None | Body::Opaque => None,
        }
    }
}

/// Refuses a form, whose fields override the query. Go reads the form of a GET request too when it
/// is multipart.
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

/// Returns the body that the route takes. `image.create` takes one only to import it.
fn kind(target: &Target<'_>) -> Option<BodyKind> {
    let imports = || target.query.get("fromSrc").as_deref() == Some(b"-");
    let pulls = target.action() == Some("image.create") && !imports();
    let kind = target.route.map(|route| route.body);
    kind.map(|kind| if pulls { BodyKind::None } else { kind })
}

fn action(target: &Target<'_>) -> &'static str {
    target.action().unwrap_or("this call")
}

/// Decides about a body that the engine passed on.
fn seen(target: &Target<'_>, passed: PassedBody) -> Result<Body, Refusal> {
    match kind(target) {
        Some(BodyKind::Opaque) => Ok(Body::Opaque),
        Some(BodyKind::Forbidden) => match document(passed)? {
            // Some clients send `{}` with each POST, and engines accept that.
            empty if is_empty(empty.root()) => Ok(Body::Json(empty)),
            _ => Err(Refusal::UnexpectedBody(action(target))),
        },
        _ => document(passed).map(Body::Json),
    }
}

fn document(passed: PassedBody) -> Result<Document, Refusal> {
    match passed {
        PassedBody::Bytes(bytes) => Document::parse(bytes),
        PassedBody::None => Document::parse(""),
        PassedBody::Corrupt => Err(Refusal::Base64),
    }
}

fn is_empty(node: Node<'_>) -> bool {
    match node.kind() {
        Kind::Null => true,
        Kind::Object => node.entries().next().is_none(),
        _ => false,
    }
}

/// Decides about a body that the engine did not pass on, which does not mean that there is none.
///
/// | the route takes        | the client sends a body | of type     | result         |
/// |------------------------|-------------------------|-------------|----------------|
/// | any                    | perhaps, yes            | JSON        | withheld       |
/// | an opaque body         | no                      |             | none           |
/// |                        | perhaps, yes            | other       | opaque         |
/// | no body                | yes                     | other       | unexpected     |
/// |                        | perhaps                 | any other   | unexpected     |
/// |                        | perhaps                 | none        | none           |
/// |                        | no                      |             | none           |
/// | a login                | no                      |             | none           |
/// |                        | perhaps, yes            |             | opaque         |
/// | JSON, needed or not    | yes                     | other       | not JSON       |
/// | JSON, needed           | no                      |             | missing        |
/// |                        | perhaps                 | none        | missing        |
/// | JSON, not needed       | no                      |             | none           |
/// | JSON, needed or not    | perhaps                 | other       | not JSON       |
/// | unknown                | perhaps, yes            | other       | opaque         |
/// |                        | no                      |             | none           |
///
/// An engine shows a plugin only what is announced as JSON, and several old handlers read JSON
/// under any type: hence "not JSON". Engines withhold logins from all plugins.
///
/// Of two `Content-Type` headers, the engine reads the first and shows the last (protocol 16). A
/// body that is announced as JSON and not passed on is therefore a form, whose fields override the
/// query, or too long; and one of any type may be a form on a route that takes none.
#[expect(
    clippy::match_same_arms,
    reason = "the arms are the rows of the table, in its order"
)]
fn unseen(target: &Target<'_>, media: &str, typed: bool, sends: Sends) -> Result<Body, Refusal> {
    use BodyKind::{Forbidden, Json, JsonRequired, Opaque};
    use Sends::{No, Perhaps, Yes};
    let login = target.action() == Some("system.auth");
    match (kind(target), sends) {
        (_, Perhaps | Yes) if media == JSON && !login => Err(Refusal::Withheld),
        (Some(Opaque), No) => Ok(Body::None),
        (Some(Opaque), _) => Ok(Body::Opaque),
        (Some(BodyKind::None | Forbidden), Yes) => Err(Refusal::NoBody(action(target))),
        (Some(BodyKind::None | Forbidden), Perhaps) if typed => {
            Err(Refusal::NoBody(action(target)))
        }
        (Some(BodyKind::None | Forbidden), _) => Ok(Body::None),
        (Some(Json), No) if login => Ok(Body::None),
        (Some(Json), _) if login => Ok(Body::Opaque),
        (Some(Json | JsonRequired), Yes) => Err(not_json(target, media)),
        (Some(JsonRequired), No) => Err(Refusal::MissingBody(action(target))),
        (Some(JsonRequired), Perhaps) if media.is_empty() => {
            Err(Refusal::MissingBody(action(target)))
        }
        (Some(Json), No) => Ok(Body::None),
        (Some(Json | JsonRequired), Perhaps) => Err(not_json(target, media)),
        (None, Perhaps | Yes) => Ok(Body::Opaque),
        (None, No) => Ok(Body::None),
    }
}

fn not_json(target: &Target<'_>, media: &str) -> Refusal {
    Refusal::NotJson {
        action: action(target),
        content_type: media.to_owned(),
    }
}

#[cfg(test)]
mod tests;
