//! A client of plugins behind TLS: what the `.json` file says, and connections by it.

use crate::harness::http::{Connection, Wire, dial};
use crate::harness::process::Setup;
use serde_json::Value;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A plugin's `.json` file, as the engine reads it.
pub struct Spec {
    pub address: SocketAddr,
    pub authority: PathBuf,
    /// The client's certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Spec {
    pub fn read(setup: &Setup, plugin: &str) -> Option<Spec> {
        let spec: Value =
            serde_json::from_slice(&fs::read(setup.specs().join(format!("{plugin}.json"))).ok()?)
                .unwrap();
        assert_eq!(spec["TLSConfig"]["InsecureSkipVerify"], false);
        let path = |key| PathBuf::from(spec["TLSConfig"][key].as_str().unwrap());
        let address = spec["Addr"]
            .as_str()
            .unwrap()
            .strip_prefix("https://")
            .unwrap();
        Some(Spec {
            address: address.parse().unwrap(),
            authority: path("CAFile"),
            identity: Some((path("CertFile"), path("KeyFile"))),
        })
    }

    /// A connection whose handshake is done, as far as the client can tell.
    pub fn connect(&self) -> io::Result<Connection> {
        let name = ServerName::from(self.address.ip());
        let session =
            ClientConnection::new(Arc::new(self.client()), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, dial(self.address)?);
        stream.flush()?;
        Ok(Connection::over(stream))
    }

    fn client(&self) -> ClientConfig {
        let certificates = |path: &Path| -> Vec<_> {
            CertificateDer::pem_file_iter(path)
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        let mut authority = RootCertStore::empty();
        authority.add_parsable_certificates(certificates(&self.authority));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(authority);
        match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                builder
                    .with_client_auth_cert(certificates(certificate), key)
                    .unwrap()
            }
        }
    }
}

impl Wire for StreamOwned<ClientConnection, TcpStream> {
    fn finish_sending(&mut self) {
        self.conn.send_close_notify();
        self.flush().unwrap();
    }
}
