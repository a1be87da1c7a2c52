//! Descriptions of grants for administrators.

use super::{Grant, HttpHost};

impl Grant {
    /// Describes the grant as the end of a sentence about the plugin: `may read /srv and everything
    /// below it`.
    pub fn in_words(&self) -> String {
        match self {
            Self::FsRead(path) => format!("may read {} and everything below it", path.display()),
            Self::FsWrite(path) => {
                format!(
                    "may read and change {} and everything below it",
                    path.display()
                )
            }
            Self::Exec(program) => format!("may run {program}"),
            Self::Http(HttpHost {
                host,
                port: Some(port),
            }) => {
                format!("may send HTTP requests to {host}, port {port}")
            }
            Self::Http(HttpHost { host, port: None }) => {
                format!("may send HTTP requests to {host}, ports 80 and 443")
            }
            Self::Net => "may change links, addresses, routes and firewall rules".to_owned(),
            Self::Mount => {
                "may mount and unmount file systems where it may change files".to_owned()
            }
            Self::Docker => "may use the engine's API, which is equivalent to root".to_owned(),
            Self::Env(variable) => format!("may read the environment variable {variable}"),
        }
    }
}
