//! Descriptions of grants for administrators.

use super::{Grant, HttpHost};

/// The forms of grants, and what they allow, in Markdown.
#[rustfmt::skip]
pub const FORMS: &[(&str, &str)] = &[
    ("fs.read:PATH",      "Reading PATH and everything below it."),
    ("fs.write:PATH",     "Changing PATH and everything below it, and reading it."),
    ("exec:NAME",         "Running the program NAME from `/usr/local/sbin`, `/usr/local/bin`, `/usr/sbin`, `/usr/bin`, `/sbin` or `/bin`."),
    ("exec:/PATH",        "Running the program with this path."),
    ("net",               "Reading and changing links, addresses, routes, neighbours, network sysctls, and the plugin's firewall rules."),
    ("mount",             "Mounting and unmounting on paths that `fs.write` covers, and listing all mounts."),
    ("http:HOST[:PORT]",  "Requests to a host."),
    ("docker",            "Requests to the engine's own API."),
    ("env:NAME",          "Reading a variable of the environment."),
];

/// How many letters of a kind of grant may be wrong.
const EDITS: usize = 2;

/// Returns what to write instead of an unknown grant.
pub(super) fn expected(text: &str) -> String {
    let kind = |text: &str| {
        text.split([':', ' ', '='])
            .next()
            .unwrap_or_default()
            .to_lowercase()
    };
    let given = kind(text);
    let distance = |form: &str| strsim::osa_distance(&given, &kind(form));
    let near = FORMS
        .iter()
        .map(|(form, _)| *form)
        .min_by_key(|form| distance(form));
    if let Some(near) = near.filter(|form| distance(form) <= EDITS.min(given.len() / 2)) {
        return format!("did you mean `{near}`?");
    }
    let forms = FORMS.iter().map(|(form, _)| format!("`{form}`"));
    format!("write one of {}", forms.collect::<Vec<_>>().join(", "))
}

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
