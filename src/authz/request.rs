//! The engine's message about a request, or about its reply, and what it asks for.

use std::fmt;
use std::mem::take;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::body::PassedBody;
use super::drivers::refuse_paths;
use super::fields::refuse_misplaced;
use super::{Announced, Body, Effect, HostMount, Refusal, Target, host_paths};

/// A request to the engine: what the engine's message says, and what follows from it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// The common name of the client's certificate.
    pub user: Option<String>,
    /// How the client was authenticated: `TLS`, or not at all.
    #[serde(rename = "UserAuthNMethod")]
    pub user_method: Option<String>,
    /// The client's certificates, each the Base64 of a PEM text.
    #[serde(rename = "RequestPeerCertificates")]
    pub certificates: Option<Vec<String>>,
    /// The HTTP method.
    #[serde(rename = "RequestMethod", default)]
    pub method: String,
    /// The request target as it was sent.
    #[serde(rename = "RequestUri", default)]
    pub uri: String,
    /// The request's headers.
    #[serde(rename = "RequestHeaders", default)]
    pub headers: Headers,
    #[serde(rename = "RequestBody", default)]
    passed: PassedBody,
    /// The status of the reply; `None` before there is one.
    #[serde(rename = "ResponseStatusCode")]
    pub status: Option<u16>,
    /// The headers of the reply.
    pub response_headers: Option<Headers>,
    /// The body of the reply in Base64.
    pub response_body: Option<String>,

    /// The route's action, as in `container.create`; `None` when the route is unknown.
    #[serde(skip)]
    pub action: Option<&'static str>,
    /// What the request can do.
    #[serde(skip)]
    pub effect: Effect,
    /// What is known of the body.
    #[serde(skip)]
    pub body: Body,
    /// The host paths that the body reaches, unresolved until [`resolve`](super::resolve) is called
    /// on them.
    #[serde(skip)]
    pub mounts: Vec<HostMount>,
}

/// Headers in the order of the message.
#[derive(Debug, Default)]
pub struct Headers {
    /// Names and values, one after the other.
    text: String,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Request {
    /// Reads the engine's message and looks up the route. [`Request::examine`] is to follow.
    ///
    /// # Errors
    /// A line that says why the message cannot be read.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let mut request: Request = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        match (request.method.as_str(), request.uri.as_str()) {
            ("", _) => return Err("`RequestMethod` is missing or empty".to_owned()),
            (_, "") => return Err("`RequestUri` is missing or empty".to_owned()),
            _ => {}
        }
        let target = request.target();
        (request.action, request.effect) = (target.action(), target.effect());
        Ok(request)
    }

    /// Decides what is known of the body, and lists the host paths in it.
    ///
    /// # Errors
    /// The [`Refusal`] of a request that the host denies, whatever the policy.
    pub fn examine(&mut self) -> Result<(), Refusal> {
        let passed = take(&mut self.passed);
        let announced = Announced::of(self.headers.iter());
        self.body = Body::read(&self.target(), &announced, passed)?;
        if let (Some(action), Some(document)) = (self.action, self.body.document()) {
            refuse_misplaced(action, document)?;
            refuse_paths(action, document)?;
            self.mounts = host_paths(action, document)?;
        }
        Ok(())
    }

    /// Parses the target.
    pub fn target(&self) -> Target<'_> {
        Target::parse(&self.method, &self.uri)
    }

    /// The path of the target, without the query, which may hold secrets.
    pub fn path_as_sent(&self) -> &str {
        self.uri.split('?').next().unwrap_or_default()
    }
}

impl Headers {
    /// Returns the names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let mut texts = starts
            .zip(&self.ends)
            .map(|(start, end)| &self.text[start..*end]);
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_option(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_none<E: Error>(self) -> Result<Headers, E> {
        Ok(Headers::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<Headers, D::Error> {
        json.deserialize_map(self)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Headers, M::Error> {
        let mut headers = Headers::default();
        while map.next_key_seed(Append(&mut headers))?.is_some() {
            map.next_value_seed(Append(&mut headers))?;
        }
        Ok(headers)
    }
}

/// Adds a name or a value.
struct Append<'h>(&'h mut Headers);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Append<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text.push_str(text);
        self.0.ends.push(self.0.text.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &str) -> Result<Request, String> {
        let text = format!(r#"{{"RequestMethod":"GET","RequestUri":"/v1.41/info?a=b"{more}}}"#);
        Request::read(text.as_bytes())
    }

    #[test]
    fn headers_keep_their_order_and_null_is_none() {
        let request = read(r#","RequestHeaders":{"B":"1","A":"\u0026 2","":""}"#).unwrap();
        let headers: Vec<_> = request.headers.iter().collect();
        assert_eq!(headers, [("B", "1"), ("A", "& 2"), ("", "")]);
        for none in [
            "",
            r#","RequestHeaders":null,"RequestBody":null,"User":null"#,
        ] {
            let request = read(none).unwrap();
            assert_eq!(request.headers.iter().count(), 0, "{none}");
        }
    }

    #[test]
    fn a_message_of_another_form_is_an_error() {
        for wrong in [
            r#","RequestHeaders":{"A":1}"#,
            r#","RequestHeaders":[]"#,
            r#","RequestBody":7"#,
            r#","RequestUri":"/twice""#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(Request::read(br#"{"RequestMethod":"GET"}"#).is_err());
        assert!(Request::read(br#"{"RequestMethod":"","RequestUri":"/info"}"#).is_err());
    }

    #[test]
    fn the_route_is_known_before_the_body_is_examined() {
        let mut request = read(r#","RequestBody":"!""#).unwrap();
        assert_eq!(request.action, Some("system.info"));
        assert_eq!(request.path_as_sent(), "/v1.41/info");
        assert_eq!(request.examine(), Err(Refusal::Base64));
    }
}
