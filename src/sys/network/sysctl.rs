//! Network parameters of the kernel, below `/proc/sys/net`.

use crate::sys::blocking;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of parameters, which is read-only in a container.
const PARAMETERS: &str = "/proc/sys/net";
/// A writable mount of the same directory in a managed plugin.
pub const WRITABLE: &str = "/run/moondock/proc-sys-net";

/// An error of a parameter.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// The key is not a network parameter.
    #[error(
        "`{0}` is not a network sysctl: it must begin with `net.`, as in `net.ipv4.ip_forward`"
    )]
    Key(String),
    /// The kernel rejected the request.
    #[error("sysctl `{key}`: {}", reason(.source))]
    Refused {
        /// The parameter.
        key: String,
        /// The kernel's error.
        source: io::Error,
    },
}

/// The key of a parameter below `net`, such as `net.ipv4.ip_forward`. With slashes
/// (`net/ipv4/conf/eth0.100/forwarding`), its parts may contain dots.
#[derive(Debug, Clone)]
pub struct Key {
    text: String,
    path: PathBuf,
}

impl std::str::FromStr for Key {
    type Err = SysctlError;

    fn from_str(text: &str) -> Result<Self, SysctlError> {
        let separator = if text.contains('/') { '/' } else { '.' };
        let parts: Vec<&str> = text.split(separator).collect();
        let plain = |part: &&str| !matches!(*part, "" | "." | "..") && !part.contains(['/', '\0']);
        if parts.len() < 2 || parts[0] != "net" || !parts.iter().all(plain) {
            return Err(SysctlError::Key(text.to_owned()));
        }
        let path = ["/proc/sys"].into_iter().chain(parts).collect();
        Ok(Self {
            text: text.to_owned(),
            path,
        })
    }
}

/// Returns the value of a parameter, without the line end.
pub async fn get(key: &Key) -> Result<String, SysctlError> {
    let read = tokio::fs::read_to_string(&key.path).await;
    read.map(|text| text.trim_end().to_owned())
        .map_err(|source| key.refused(source))
}

/// Sets a parameter.
pub async fn set(key: &Key, value: &str) -> Result<(), SysctlError> {
    let (path, text) = (key.path.clone(), value.to_owned());
    let elsewhere = Path::new(WRITABLE).join(path.strip_prefix(PARAMETERS).unwrap_or(&path));
    // Without `O_CREAT`, which proc rejects with a misleading error.
    let write = move || {
        let open = |path| std::fs::OpenOptions::new().write(true).open(path);
        let mut file = match open(&path) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                open(&elsewhere).map_err(|_| error)?
            }
            opened => opened?,
        };
        io::Write::write_all(&mut file, text.as_bytes())
    };
    blocking(write).await.map_err(|source| key.refused(source))
}

impl Key {
    fn refused(&self, source: io::Error) -> SysctlError {
        SysctlError::Refused {
            key: self.text.clone(),
            source,
        }
    }
}

fn reason(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => {
            "no such parameter (is the module loaded, does the link exist?)".to_owned()
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("{source}; moondock needs CAP_NET_ADMIN and a writable /proc/sys")
        }
        _ => source.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_net() {
        let path = |key: &str| {
            key.parse::<Key>()
                .ok()
                .map(|key| key.path.display().to_string())
        };
        assert_eq!(
            path("net.ipv4.ip_forward").as_deref(),
            Some("/proc/sys/net/ipv4/ip_forward")
        );
        assert_eq!(
            path("net/ipv4/conf/eth0.100/forwarding").as_deref(),
            Some("/proc/sys/net/ipv4/conf/eth0.100/forwarding")
        );
        for bad in [
            "",
            "net",
            "net.",
            "kernel.panic",
            "net..ipv4",
            "net/../kernel/panic",
            "/net/ipv4",
            "net/./x",
            "net.a\0",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}
