//! Spec files, which name a plugin's address to the engine (protocol 1.2). A file of a running
//! plugin is never replaced.

#![expect(
    clippy::disallowed_methods,
    reason = "the files that name an address, found before they are replaced"
)]

use super::cure::cure;
use super::own_file::OwnFile;
use super::tls_files::TlsFiles;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The timeout of connecting to the address in an existing file.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The extensions of spec files, in the engine's order.
const KINDS: [&str; 2] = ["spec", "json"];

/// An error that prevents a spec file.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum SpecError {
    #[error("cannot create the directory of spec files `{}`: {}", path.display(), cure(source, "--spec-dir"))]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`: {}", path.display(), cure(source, "--spec-dir"))]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot remove the stale spec file `{}`", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("`{}` is in the way: moondock did not write it, so it is left unchanged", .0.display())]
    Foreign(PathBuf),
    #[error("`{}` is in the way: {address} {state}; stop that plugin, or remove the file", path.display())]
    Live {
        path: PathBuf,
        address: SocketAddr,
        state: &'static str,
    },
}

/// Creates the directory of spec files if it is missing; the engine does not.
pub fn make_directory(dir: &Path) -> Result<(), SpecError> {
    fs::create_dir_all(dir).map_err(|source| SpecError::Directory {
        path: dir.to_owned(),
        source,
    })
}

/// Removes stale spec files of a killed process.
///
/// # Errors
/// Fails if a file belongs to a running plugin, or if Moondock did not write it.
pub fn clear(dir: &Path, plugin: &str) -> Result<(), SpecError> {
    for kind in KINDS {
        let path = dir.join(format!("{plugin}.{kind}"));
        if is_stale(&path, kind)? {
            fs::remove_file(&path).map_err(|source| SpecError::Remove { path, source })?;
        }
    }
    Ok(())
}

/// Writes the `.spec` file of a plugin that serves HTTP at `address`.
pub fn write_tcp(dir: &Path, plugin: &str, address: SocketAddr) -> Result<OwnFile, SpecError> {
    write(
        dir.join(format!("{plugin}.spec")),
        &format!("tcp://{address}\n"),
        0o644,
    )
}

/// Writes the `.json` spec of a TLS plugin: its address, its CA, and the engine's client
/// certificate and key.
///
/// Without a `CAFile`, the engine would not verify the server.
pub fn write_tls(
    dir: &Path,
    plugin: &str,
    address: SocketAddr,
    files: &TlsFiles,
) -> Result<OwnFile, SpecError> {
    let spec = json!({
        "Addr": format!("https://{address}"),
        "TLSConfig": {
            "InsecureSkipVerify": false,
            "CAFile": files.ca(),
            "CertFile": files.client_certificate(),
            "KeyFile": files.client_key(),
        },
    });
    write(
        dir.join(format!("{plugin}.json")),
        &format!("{spec:#}\n"),
        0o600,
    )
}

fn write(path: PathBuf, text: &str, mode: u32) -> Result<OwnFile, SpecError> {
    OwnFile::write(&path, text, mode).map_err(|source| SpecError::Write { path, source })
}

/// Returns whether a stale file exists at `path`.
fn is_stale(path: &Path, kind: &str) -> Result<bool, SpecError> {
    let foreign = || SpecError::Foreign(path.to_owned());
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other.map_err(|_| foreign())?,
    };
    let address = if kind == "json" {
        json_address(&text)
    } else {
        url_address(&text)
    };
    let address = address.ok_or_else(foreign)?;
    match listener_state(address) {
        None => Ok(true),
        Some(state) => Err(SpecError::Live {
            path: path.to_owned(),
            address,
            state,
        }),
    }
}

fn json_address(text: &str) -> Option<SocketAddr> {
    let spec: Value = serde_json::from_str(text).ok()?;
    url_address(spec.get("Addr")?.as_str()?)
}

fn url_address(text: &str) -> Option<SocketAddr> {
    let (scheme, address) = text.trim().split_once("://")?;
    if matches!(scheme, "tcp" | "https") {
        address.parse().ok()
    } else {
        None
    }
}

/// Returns the state of `address`, or `None` if certainly nothing listens there.
fn listener_state(address: SocketAddr) -> Option<&'static str> {
    match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        Err(_) => Some("cannot be checked for use"),
        Ok(stream) if is_self_connection(&stream) => None,
        Ok(_) => Some("is in use by another process"),
    }
}

/// Returns whether the kernel has connected the socket to itself, which happens if nothing listens
/// and the kernel chooses the very same local port.
fn is_self_connection(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(here), Ok(there)) if here == there)
}
