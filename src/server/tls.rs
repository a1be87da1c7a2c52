//! What both sides prove to each other, checked before the first client comes.

use super::certificates::{CertificateError, Files};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// Certificates and keys that fit together.
pub struct Identities {
    provider: Arc<CryptoProvider>,
    authority: Arc<RootCertStore>,
    server: Identity,
    client: Identity,
}

/// A certificate, those that vouch for it, and its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identities {
    /// Reads the files.
    pub fn read(files: &Files) -> Result<Identities, CertificateError> {
        let unfit = |path: &Path| {
            let path = path.to_owned();
            |source| CertificateError::Unfit { path, source }
        };
        let mut authority = RootCertStore::empty();
        for certificate in read_certificates(&files.authority())? {
            authority
                .add(certificate)
                .map_err(unfit(&files.authority()))?;
        }
        let provider = Arc::new(ring::default_provider());
        let read = |certificate: &Path, key: &Path| {
            let identity = Identity {
                chain: read_certificates(certificate)?,
                key: read_key(key)?,
            };
            let pair =
                CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider);
            pair.map_err(unfit(key)).map(|_| identity)
        };
        let server = read(&files.server_certificate(), &files.server_key())?;
        let client = read(&files.client_certificate(), &files.client_key())?;
        Ok(Identities {
            authority: Arc::new(authority),
            server,
            client,
            provider,
        })
    }

    /// That the engine accepts the server at `address`, and the server the engine, for so long from now on.
    pub fn verify(
        &self,
        files: &Files,
        address: IpAddr,
        lasting: Duration,
    ) -> Result<(), CertificateError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let at = UnixTime::since_unix_epoch(now + lasting);
        self.verify_server(address, at)
            .map_err(|source| CertificateError::Unfit {
                path: files.server_certificate(),
                source,
            })?;
        self.verify_client(at)
            .map_err(|source| CertificateError::Unfit {
                path: files.client_certificate(),
                source,
            })
    }

    fn verify_server(&self, address: IpAddr, at: UnixTime) -> Result<(), rustls::Error> {
        let verifier = WebPkiServerVerifier::builder_with_provider(
            self.authority.clone(),
            self.provider.clone(),
        )
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
        let (end, between) = self.server.split();
        verifier
            .verify_server_cert(end, between, &ServerName::from(address), &[], at)
            .map(drop)
    }

    fn verify_client(&self, at: UnixTime) -> Result<(), rustls::Error> {
        let (end, between) = self.client.split();
        self.client_verifier()?
            .verify_client_cert(end, between, at)
            .map(drop)
    }

    fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
        WebPkiClientVerifier::builder_with_provider(self.authority.clone(), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))
    }

    /// How a server speaks that lets in only whom the authority vouches for.
    pub fn server(self) -> Result<Arc<ServerConfig>, rustls::Error> {
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

/// At least one certificate.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let unreadable = |source| CertificateError::Read {
        path: path.to_owned(),
        source,
    };
    let found = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if found.is_empty() {
        Err(CertificateError::Empty(path.to_owned()))
    } else {
        Ok(found)
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| CertificateError::Read {
        path: path.to_owned(),
        source,
    })
}
