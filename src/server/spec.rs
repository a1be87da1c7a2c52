//! The files that tell the engine a plugin's address (protocol 1.2): never taken from a living plugin.

#![expect(
    clippy::disallowed_methods,
    reason = "the files that name an address, found before they are replaced"
)]

use super::own_file::OwnFile;
use super::tls_files::TlsFiles;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How long is waited for an answer at the address that a file names.
const ANSWER: Duration = Duration::from_secs(2);

/// What the engine looks for, in its order.
const KINDS: [&str; 2] = ["spec", "json"];

/// Why a plugin's address cannot be told to the engine.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum SpecError {
    #[error("cannot make the directory of spec files `{}`", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot remove `{}`, which names an address that nobody answers", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("`{}` is in the way: moondock would not have written it, so it is left alone", .0.display())]
    Foreign(PathBuf),
    #[error("`{}` is in the way: {address} {state}; end that plugin, or remove the file", path.display())]
    Live {
        path: PathBuf,
        address: SocketAddr,
        state: &'static str,
    },
}

/// Makes the directory of spec files when it is missing, which the engine would not.
pub fn make_directory(dir: &Path) -> Result<(), SpecError> {
    fs::create_dir_all(dir).map_err(|source| SpecError::Directory {
        path: dir.to_owned(),
        source,
    })
}

/// Removes what was left of a killed process, and refuses to touch anything else.
pub fn clear(dir: &Path, plugin: &str) -> Result<(), SpecError> {
    for kind in KINDS {
        let path = dir.join(format!("{plugin}.{kind}"));
        if refuse_to_steal(&path, kind)? {
            fs::remove_file(&path).map_err(|source| SpecError::Remove { path, source })?;
        }
    }
    Ok(())
}

/// Says that a plugin speaks HTTP at `address`.
pub fn write_tcp(dir: &Path, plugin: &str, address: SocketAddr) -> Result<OwnFile, SpecError> {
    write(
        dir.join(format!("{plugin}.spec")),
        &format!("tcp://{address}\n"),
        0o644,
    )
}

/// Says that a plugin speaks TLS at `address`, and by what the engine knows it and is known to it.
///
/// Without a `CAFile` the engine would not ask who answers.
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

/// Whether there is a file, which names an address that nobody answers.
fn refuse_to_steal(path: &Path, kind: &str) -> Result<bool, SpecError> {
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
    match alive(address) {
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

/// What can be said of the address, unless there is surely nobody.
fn alive(address: SocketAddr) -> Option<&'static str> {
    match TcpStream::connect_timeout(&address, ANSWER) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        Err(_) => Some("cannot be asked whether it is in use"),
        Ok(stream) if is_an_echo(&stream) => None,
        Ok(_) => Some("is answered by another process"),
    }
}

/// A connection may come to itself, when nobody listens and the kernel chose that very port for it.
fn is_an_echo(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(here), Ok(there)) if here == there)
}
