//! HTTP requests to servers of others, and to sockets: a connection each, nothing is kept.

mod url;

pub use self::url::Url;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What a server is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Names and values; `Host` and the length are added.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; may be empty.
    pub body: Bytes,
    /// How many bytes the answer's body may have.
    pub most: usize,
}

/// What a server answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// Names in lower case, and values, in the order of the answer.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum HttpError {
    #[error("`{0}` cannot be used: {1}")]
    Url(String, &'static str),
    #[error("`{0}` is no method")]
    Method(String),
    #[error("`{0}` is no header that can be set, or its value is not of one line")]
    Header(String),
    #[error("cannot connect to `{0}`: {1}")]
    Connect(String, io::Error),
    #[error("no trust in `{0}`: {1}")]
    Tls(String, io::Error),
    #[error("no certificates to trust: {0}")]
    Roots(String),
    #[error("`{0}` gave no answer: {1}")]
    Broken(String, String),
    #[error("`{0}` answered with more than {1} bytes")]
    TooLarge(String, usize),
}

/// The headers that are the connection's own.
const OWN: [&str; 6] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "proxy-authorization",
];

/// The certificates that the machine trusts, read when they are first needed.
#[derive(Debug, Default)]
pub struct Client {
    trusted: OnceCell<Arc<ClientConfig>>,
}

impl Client {
    /// Sends a request and waits for the whole answer. Redirects are an answer like others.
    ///
    /// # Errors
    /// [`HttpError`]; a status of 400 and above is none.
    pub async fn send(
        &self,
        url: &Url,
        request: &Request,
        ca: Option<&[u8]>,
    ) -> Result<Answer, HttpError> {
        let name = url.to_string();
        let message = message(request, &url.authority(), &url.target)?;
        let connecting = TcpStream::connect((url.name(), url.port));
        let stream = connecting
            .await
            .map_err(|e| HttpError::Connect(name.clone(), e))?;
        if !url.tls {
            return exchange(stream, message, name, request.most).await;
        }
        let config = match ca {
            Some(pem) => trusting(&authorities(pem)?),
            None => self.trusted().await?,
        };
        let server = ServerName::try_from(url.name().to_owned())
            .map_err(|_| HttpError::Url(name.clone(), "its host is no host"))?;
        let securing = TlsConnector::from(config).connect(server, stream);
        let stream = securing
            .await
            .map_err(|e| HttpError::Tls(name.clone(), e))?;
        exchange(stream, message, name, request.most).await
    }

    async fn trusted(&self) -> Result<Arc<ClientConfig>, HttpError> {
        let reading = || async {
            let loading = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
            let found = loading.await.map_err(|e| HttpError::Roots(e.to_string()))?;
            match (found.certs.is_empty(), found.errors.first()) {
                (false, _) => Ok(trusting(&found.certs)),
                (true, Some(error)) => Err(HttpError::Roots(error.to_string())),
                (true, None) => Err(HttpError::Roots(
                    "install `ca-certificates`, or give `ca`".to_owned(),
                )),
            }
        };
        self.trusted.get_or_try_init(reading).await.cloned()
    }
}

/// Sends a request through the Unix socket `path`.
///
/// # Errors
/// As [`Client::send`].
pub async fn send_to_socket(
    path: &Path,
    target: &str,
    request: &Request,
) -> Result<Answer, HttpError> {
    let name = path.display().to_string();
    let message = message(request, "localhost", target)?;
    let stream = UnixStream::connect(path)
        .await
        .map_err(|e| HttpError::Connect(name.clone(), e))?;
    exchange(stream, message, name, request.most).await
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

fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let wrong = |what: String| HttpError::Roots(format!("`ca` {what}"));
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|e| wrong(format!("is not PEM: {e}")))?;
    if read.is_empty() {
        Err(wrong("holds no certificate".to_owned()))
    } else {
        Ok(read)
    }
}

fn message(
    request: &Request,
    host: &str,
    target: &str,
) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let method = hyper::Method::from_bytes(request.method.as_bytes());
    let method = method.map_err(|_| HttpError::Method(request.method.clone()))?;
    let target: hyper::Uri = target.parse().map_err(|_| {
        HttpError::Url(
            target.split('?').next().unwrap_or_default().to_owned(),
            "its path is no path",
        )
    })?;
    let mut message = hyper::Request::new(Full::new(request.body.clone()));
    *message.method_mut() = method;
    *message.uri_mut() = target;
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
    (!OWN.contains(&name.as_str())).then_some((name, value))
}

async fn exchange<S>(
    stream: S,
    message: hyper::Request<Full<Bytes>>,
    name: String,
    most: usize,
) -> Result<Answer, HttpError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    TokioIo<S>: Read + Write,
{
    let broken = |error: hyper::Error| broken(&name, &error);
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let answer = sender.send_request(message).await.map_err(broken)?;
        whole(answer, &name, most).await
    });
    // The answer goes on when the connection has ended, with what has come, or fails by itself.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

async fn whole(
    answer: hyper::Response<Incoming>,
    name: &str,
    most: usize,
) -> Result<Answer, HttpError> {
    let (head, mut rest) = answer.into_parts();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let mut body = BytesMut::new();
    while let Some(frame) = rest.frame().await {
        let frame = frame.map_err(|e| broken(name, &e))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if body.len() + data.len() > most {
            return Err(HttpError::TooLarge(name.to_owned(), most));
        }
        body.extend_from_slice(&data);
    }
    Ok(Answer {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: body.into(),
    })
}

fn broken(name: &str, error: &hyper::Error) -> HttpError {
    let cause = error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    HttpError::Broken(name.to_owned(), format!("{error}{cause}"))
}
