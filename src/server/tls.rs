//! The identities of both sides of a TLS connection, verified before the first client connects.

use super::tls_files::TlsFiles;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// An error of certificates or keys that cannot be used for TLS.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum TlsError {
    #[error(
        "cannot read `{}` (TLS needs ca.pem, server-cert.pem and server-key.pem, and the engine's cert.pem and key.pem)",
        path.display()
    )]
    Read { path: PathBuf, source: pem::Error },
    #[error("`{}` contains no certificate", .0.display())]
    Empty(PathBuf),
    #[error("the certificate in `{}` would be rejected", path.display())]
    Rejected {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("the certificates cannot be used by a server")]
    Config(#[from] rustls::Error),
}

/// The certificates and keys of both sides, and the CA that signed them.
pub struct Identities {
    provider: Arc<CryptoProvider>,
    ca: Arc<RootCertStore>,
    server: Identity,
    client: Identity,
}

/// A certificate with its intermediates, and its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identities {
    /// Reads all files but the CA's key.
    pub fn read(files: &TlsFiles) -> Result<Identities, TlsError> {
        let rejected = |path: &Path| {
            let path = path.to_owned();
            |source| TlsError::Rejected { path, source }
        };
        let mut ca = RootCertStore::empty();
        for certificate in read_certificates(&files.ca())? {
            ca.add(certificate).map_err(rejected(&files.ca()))?;
        }
        let provider = Arc::new(ring::default_provider());
        let read = |certificate: &Path, key: &Path| {
            let identity = Identity {
                chain: read_certificates(certificate)?,
                key: read_key(key)?,
            };
            let pair =
                CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider);
            pair.map_err(rejected(key)).map(|_| identity)
        };
        let server = read(&files.server_certificate(), &files.server_key())?;
        let client = read(&files.client_certificate(), &files.client_key())?;
        Ok(Identities {
            ca: Arc::new(ca),
            server,
            client,
            provider,
        })
    }

    /// Verifies that the engine accepts the server at `address`, and the server accepts the engine,
    /// now and until `lasting` from now.
    pub fn verify(
        &self,
        files: &TlsFiles,
        address: IpAddr,
        lasting: Duration,
    ) -> Result<(), TlsError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let at = UnixTime::since_unix_epoch(now + lasting);
        self.verify_server(address, at)
            .map_err(|source| TlsError::Rejected {
                path: files.server_certificate(),
                source,
            })?;
        self.verify_client(at).map_err(|source| TlsError::Rejected {
            path: files.client_certificate(),
            source,
        })
    }

    fn verify_server(&self, address: IpAddr, at: UnixTime) -> Result<(), rustls::Error> {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(self.ca.clone(), self.provider.clone())
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        let (leaf, intermediates) = self.server.split();
        verifier
            .verify_server_cert(leaf, intermediates, &ServerName::from(address), &[], at)
            .map(drop)
    }

    fn verify_client(&self, at: UnixTime) -> Result<(), rustls::Error> {
        let (leaf, intermediates) = self.client.split();
        self.client_verifier()?
            .verify_client_cert(leaf, intermediates, at)
            .map(drop)
    }

    fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
        WebPkiClientVerifier::builder_with_provider(self.ca.clone(), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))
    }

    /// Returns a server configuration that accepts only clients with a certificate signed by the
    /// CA.
    pub fn into_server_config(self) -> Result<Arc<ServerConfig>, TlsError> {
        let verifier = self.client_verifier()?;
        let config = ServerConfig::builder_with_provider(self.provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.server.chain, self.server.key)?;
        Ok(Arc::new(config))
    }
}

impl Identity {
    fn split(&self) -> (&CertificateDer<'static>, &[CertificateDer<'static>]) {
        (&self.chain[0], &self.chain[1..])
    }
}

/// Reads the certificates in `path`, at least one.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let found = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if found.is_empty() {
        Err(TlsError::Empty(path.to_owned()))
    } else {
        Ok(found)
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}
