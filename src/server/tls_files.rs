//! The certificate and key files of a plugin behind TLS.

use std::path::{Path, PathBuf};

/// A directory of PEM files, under the names that Docker's documentation gives them.
#[derive(Debug)]
pub struct TlsFiles(PathBuf);

impl TlsFiles {
    /// The files in `dir`.
    pub fn new(dir: PathBuf) -> TlsFiles {
        TlsFiles(dir)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// The CA certificate, trusted by both sides.
    pub fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The CA's key. Only a CA that Moondock made has one here.
    pub fn ca_key(&self) -> PathBuf {
        self.0.join("ca-key.pem")
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
}
