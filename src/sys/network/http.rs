//! HTTP requests to servers and to Unix sockets. Each request has a connection of its own.

mod url;

pub use self::url::Url;

use crate::sys::blocking;
use crate::sys::memory::{Allowance, Buffer, Spent};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper_util::client::legacy;
use hyper_util::rt::TokioIo;
use hyperlocal::{UnixClientExt, UnixConnector};
use std::error::Error;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A request to a server.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The headers by name and value, without `Host` and the length.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, which may be empty.
    pub body: Bytes,
    /// The limit on the answer's body, in bytes.
    pub max_body: usize,
    /// What the answer's body counts against.
    pub allowance: Allowance,
}

/// The answer of a server.
#[derive(Debug)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The headers in the order of the answer, with names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Buffer,
}

/// An error that leaves a request without an answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum HttpError {
    #[error("cannot use `{0}`: {1}")]
    Url(String, &'static str),
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    #[error("the header `{0}` cannot be set, or its value is not a single line")]
    Header(String),
    #[error("cannot connect to `{0}`: {1}")]
    Connect(String, io::Error),
    #[error("cannot trust `{0}`: {1}")]
    Tls(String, io::Error),
    #[error("cannot load CA certificates: {0}")]
    Roots(String),
    #[error("the request to `{0}` failed: {1}")]
    Broken(String, String),
    #[error("the answer of `{0}` exceeds {1} bytes")]
    TooLarge(String, usize),
    #[error("the answer of `{0}` was not read: {1}")]
    Memory(String, Spent),
}

/// The headers that only the connection sets.
const CONNECTION_HEADERS: [&str; 6] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "proxy-authorization",
];

/// The longest path of a Unix socket, in bytes.
const SOCKET_PATH_MAX: usize = 107;

/// A client over TCP and TLS.
#[derive(Debug, Default)]
pub struct Client {
    /// The CA certificates of the machine, which are loaded when they are first needed.
    trusted: OnceCell<Arc<ClientConfig>>,
}

impl Client {
    /// Sends a request and waits for the whole answer. Does not follow redirects.
    ///
    /// With `ca`, trusts only the certificates in that PEM text.
    ///
    /// # Errors
    /// Fails if there is no answer, or if it exceeds its limit. A status of 400 and above is an
    /// answer.
    pub async fn send(
        &self,
        url: &Url,
        request: &Request,
        ca: Option<&[u8]>,
    ) -> Result<Answer, HttpError> {
        let name = url.to_string();
        let message = message(request, &url.authority(), url.target.clone().into())?;
        let stream = TcpStream::connect((url.name(), url.port))
            .await
            .map_err(|e| HttpError::Connect(name.clone(), e))?;
        if !url.tls {
            return exchange(stream, message, name, request).await;
        }
        let config = match ca {
            Some(pem) => trusting(&parse_certificates(pem)?),
            None => self.trusted().await?,
        };
        let server = ServerName::try_from(url.name().to_owned())
            .map_err(|_| HttpError::Url(name.clone(), "its host is not a host name"))?;
        let stream = TlsConnector::from(config)
            .connect(server, stream)
            .await
            .map_err(|e| HttpError::Tls(name.clone(), e))?;
        exchange(stream, message, name, request).await
    }

    async fn trusted(&self) -> Result<Arc<ClientConfig>, HttpError> {
        let load = || async {
            let found = blocking(|| io::Result::Ok(rustls_native_certs::load_native_certs()))
                .await
                .map_err(|e| HttpError::Roots(e.to_string()))?;
            match (found.certs.is_empty(), found.errors.first()) {
                (false, _) => Ok(trusting(&found.certs)),
                (true, Some(error)) => Err(HttpError::Roots(error.to_string())),
                (true, None) => Err(HttpError::Roots(
                    "the machine has none; install `ca-certificates`, or pass `ca`".to_owned(),
                )),
            }
        };
        self.trusted.get_or_try_init(load).await.cloned()
    }
}

/// Sends a request to the Unix socket `socket` and waits for the whole answer. `target` is the path
/// with the query.
///
/// # Errors
/// Fails as [`Client::send`] does.
pub async fn send_to_socket(
    socket: &Path,
    target: &str,
    request: &Request,
) -> Result<Answer, HttpError> {
    let name = socket.display().to_string();
    let message = message(request, "localhost", socket_uri(socket, target)?)?;
    // A client that is dropped with the request keeps no connection for the next one.
    let client: legacy::Client<UnixConnector, Full<Bytes>> = legacy::Client::unix();
    let answer = client.request(message).await.map_err(|error| {
        let cause = cause_of(&error);
        if error.is_connect() {
            HttpError::Connect(name.clone(), io::Error::other(cause))
        } else {
            HttpError::Broken(name.clone(), cause)
        }
    })?;
    read_answer(answer, &name, request).await
}

/// Returns the URI by which hyperlocal knows a socket and a target.
fn socket_uri(socket: &Path, target: &str) -> Result<Uri, HttpError> {
    let refuse = |text: &str, reason| Err(HttpError::Url(text.to_owned(), reason));
    let Some(path) = socket.to_str().filter(|path| !path.is_empty()) else {
        return refuse(
            &socket.display().to_string(),
            "the socket's path is not text",
        );
    };
    if path.len() > SOCKET_PATH_MAX {
        return refuse(path, "the socket's path is too long");
    }
    let Ok(target) = target.parse::<PathAndQuery>() else {
        return refuse(without_query(target), "its path is not valid");
    };
    let mut parts = Uri::from(hyperlocal::Uri::new(socket, "/")).into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).or_else(|_| refuse(path, "its path is not valid"))
}

/// Returns `target` without its query, which may contain secrets.
fn without_query(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

fn trusting(certificates: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    Arc::new(
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

fn parse_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| HttpError::Roots(format!("`ca` is not PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(HttpError::Roots("`ca` contains no certificate".to_owned()));
    }
    Ok(certificates)
}

fn message(
    request: &Request,
    host: &str,
    uri: Uri,
) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let method = hyper::Method::from_bytes(request.method.as_bytes())
        .map_err(|_| HttpError::Method(request.method.clone()))?;
    let mut message = hyper::Request::new(Full::new(request.body.clone()));
    *message.method_mut() = method;
    *message.uri_mut() = uri;
    let host = HeaderValue::from_str(host).map_err(|_| HttpError::Header("host".to_owned()))?;
    message.headers_mut().insert(HOST, host);
    for (name, value) in &request.headers {
        let (name, value) = header(name, value).ok_or_else(|| HttpError::Header(name.clone()))?;
        message.headers_mut().append(name, value);
    }
    Ok(message)
}

fn header(name: &str, value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let value = HeaderValue::from_bytes(value).ok()?;
    (!CONNECTION_HEADERS.contains(&name.as_str())).then_some((name, value))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    message: hyper::Request<Full<Bytes>>,
    name: String,
    request: &Request,
) -> Result<Answer, HttpError> {
    let broken = |error: hyper::Error| HttpError::Broken(name.clone(), cause_of(&error));
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let answer = sender.send_request(message).await.map_err(broken)?;
        read_answer(answer, &name, request).await
    });
    // When the connection ends first, the answer still yields what has arrived, or fails by itself.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

async fn read_answer(
    answer: hyper::Response<Incoming>,
    name: &str,
    request: &Request,
) -> Result<Answer, HttpError> {
    let (head, mut incoming) = answer.into_parts();
    let mut body = Buffer::new(&request.allowance);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|e| HttpError::Broken(name.to_owned(), cause_of(&e)))?;
        // A frame without data carries trailers, which nothing reads.
        let data = frame.into_data().unwrap_or_default();
        if body.len() + data.len() > request.max_body {
            return Err(HttpError::TooLarge(name.to_owned(), request.max_body));
        }
        body.extend(&data)
            .map_err(|spent| HttpError::Memory(name.to_owned(), spent))?;
    }
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    Ok(Answer {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body,
    })
}

/// Returns the messages of an error's sources, or its own when it has none.
fn cause_of(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |&source| source.source());
    let texts: Vec<_> = sources.map(ToString::to_string).collect();
    if texts.is_empty() {
        error.to_string()
    } else {
        texts.join(": ")
    }
}
