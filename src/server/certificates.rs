//! Certificates and keys of a plugin behind TLS: the administrator's, or such as Moondock makes.

use super::StateError;
use super::own_file::write;
use super::state::make_private;
use super::tls::Identities;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{self, ServerConfig};
use tracing::info;

const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// How long the authority may vouch. The engine reads it when it activates the plugin and never again, so it outlives every engine.
const AUTHORITY: Duration = YEAR.saturating_mul(30);

/// How long what it vouches for is good.
const LEAF: Duration = YEAR.saturating_mul(5);

/// How long it must still be good at a start.
const MARGIN: Duration = YEAR;

/// Where the files are, by the names that Docker's documentation gives them.
#[derive(Debug)]
pub struct Files(PathBuf);

/// Why TLS cannot be spoken.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum CertificateError {
    #[error(
        "cannot read `{}` (TLS needs ca.pem, server-cert.pem and server-key.pem, and the engine's cert.pem and key.pem)",
        path.display()
    )]
    Read { path: PathBuf, source: pem::Error },
    #[error("no certificate in `{}`", .0.display())]
    Empty(PathBuf),
    #[error("`{}` would not be accepted", path.display())]
    Unfit {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot make certificates")]
    Make(#[from] rcgen::Error),
    #[error("cannot serve with these certificates")]
    Serve(#[from] rustls::Error),
}

/// Which side of a connection a certificate is for.
struct Side {
    name: String,
    usage: ExtendedKeyUsagePurpose,
    address: Option<IpAddr>,
}

/// How much is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewal {
    Nothing,
    Leaves,
    All,
}

impl Files {
    /// The certificate of whom both sides believe.
    pub fn authority(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// Moondock's certificate.
    pub fn server_certificate(&self) -> PathBuf {
        self.0.join("server-cert.pem")
    }

    /// Moondock's key.
    pub fn server_key(&self) -> PathBuf {
        self.0.join("server-key.pem")
    }

    /// The engine's certificate.
    pub fn client_certificate(&self) -> PathBuf {
        self.0.join("cert.pem")
    }

    /// The engine's key.
    pub fn client_key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    fn authority_key(&self) -> PathBuf {
        self.0.join("ca-key.pem")
    }
}

/// The administrator's files in `dir`, which are only read.
pub fn given(dir: &Path, address: IpAddr) -> Result<(Files, Arc<ServerConfig>), CertificateError> {
    let files = Files(dir.to_owned());
    let identities = Identities::read(&files)?;
    identities.verify(&files, address, Duration::ZERO)?;
    Ok((files, identities.server()?))
}

/// Files in a plugin's `state` directory, made when they are missing, spoilt, of another address or near their end.
///
/// The authority is kept as long as it can be: an engine that runs goes on to believe it.
pub fn own(
    state: &Path,
    plugin: &str,
    address: IpAddr,
) -> Result<(Files, Arc<ServerConfig>), CertificateError> {
    let files = Files(state.join("tls"));
    make_private(&files.0)?;
    let try_with = |renewal| {
        files.renew(renewal, plugin, address)?;
        let found = Identities::read(&files)?;
        found.verify(&files, address, MARGIN)?;
        Ok::<_, CertificateError>(found)
    };
    let found = try_with(Renewal::Nothing)
        .or_else(|_| try_with(Renewal::Leaves))
        .or_else(|_| try_with(Renewal::All))?;
    Ok((files, found.server()?))
}

impl Files {
    fn renew(
        &self,
        renewal: Renewal,
        plugin: &str,
        address: IpAddr,
    ) -> Result<(), CertificateError> {
        if renewal == Renewal::Nothing {
            return Ok(());
        }
        let params = authority(plugin);
        let key = match renewal {
            Renewal::All => self.make_authority(&params)?,
            _ => read_key(&self.authority_key())?,
        };
        let issuer = Issuer::from_params(&params, key);
        let server = Side {
            name: plugin.to_owned(),
            usage: ExtendedKeyUsagePurpose::ServerAuth,
            address: Some(address),
        };
        let client = Side {
            name: "engine".into(),
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            address: None,
        };
        Self::make(
            &self.server_certificate(),
            &self.server_key(),
            server,
            &issuer,
        )?;
        Self::make(
            &self.client_certificate(),
            &self.client_key(),
            client,
            &issuer,
        )?;
        info!(plugin, dir = %self.0.display(), "made certificates for {address}");
        Ok(())
    }

    fn make_authority(&self, params: &CertificateParams) -> Result<KeyPair, CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        write_key(&self.authority_key(), &key)?;
        write_pem(&self.authority(), "CERTIFICATE", certificate.der())?;
        Ok(key)
    }

    fn make(
        certificate: &Path,
        key: &Path,
        side: Side,
        issuer: &Issuer<KeyPair>,
    ) -> Result<(), CertificateError> {
        let pair = KeyPair::generate()?;
        let made = side.params().signed_by(&pair, issuer)?;
        write_key(key, &pair)?;
        write_pem(certificate, "CERTIFICATE", made.der())
    }
}

impl Side {
    fn params(self) -> CertificateParams {
        let mut params = valid_for(LEAF, &self.name);
        params.subject_alt_names = self.address.map(SanType::IpAddress).into_iter().collect();
        params.extended_key_usages = vec![self.usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params
    }
}

fn authority(plugin: &str) -> CertificateParams {
    let mut params = valid_for(AUTHORITY, &format!("moondock {plugin}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// From a day ago, for clocks that differ.
fn valid_for(duration: Duration, name: &str) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.not_before = now - DAY;
    params.not_after = now + duration;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn read_key(path: &Path) -> Result<KeyPair, CertificateError> {
    let der = PrivateKeyDer::from_pem_file(path).map_err(|source| CertificateError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(KeyPair::try_from(&der)?)
}

fn write_key(path: &Path, key: &KeyPair) -> Result<(), CertificateError> {
    write_pem(path, "PRIVATE KEY", &key.serialize_der())
}

fn write_pem(path: &Path, kind: &str, der: &[u8]) -> Result<(), CertificateError> {
    let mut text = format!("-----BEGIN {kind}-----\n");
    let mut rest = STANDARD.encode(der);
    while !rest.is_empty() {
        let after = rest.split_off(rest.len().min(64));
        text += &rest;
        text.push('\n');
        rest = after;
    }
    text.extend(["-----END ", kind, "-----\n"]);
    write(path, &text, 0o600).map_err(|source| CertificateError::Write {
        path: path.to_owned(),
        source,
    })
}
