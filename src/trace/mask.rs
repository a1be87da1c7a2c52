//! The rules by which secrets are hidden in what is shown of a call.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex_lite::{Captures, Regex};
use serde_json::Value;
use std::sync::LazyLock;

/// What is shown in the place of a secret.
const MASK: &str = "***";

/// When a name means that its value is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A word of the name is listed: `Registry-Auths`.
    Word,
    /// The name, or a word of it, ends as listed: `API_KEY`, `identitytoken`, `PASSWORD2`.
    End,
    /// The whole name is listed.
    Name,
    /// The whole name is listed, and its value is a text.
    Text,
    /// The whole name is listed, and its value is no secret, whatever the other rules say.
    Shown,
}

/// The names of fields, headers, options, variables and query parameters whose values are hidden,
/// with everything in them. Case makes no difference, and neither do digits at the end of a word. Of
/// the rules that fit a name, the last decides.
pub const SECRET_NAMES: [(Rule, &[&str]); 5] = [
    (
        Rule::Word,
        &[
            "auths",
            "cookie",
            "credentials",
            "keys",
            "pin",
            "private",
            "pwd",
        ],
    ),
    (
        Rule::End,
        &[
            "auth",
            "authorization",
            "credential",
            "key",
            "pass",
            "passphrase",
            "passwd",
            "password",
            "passwords",
            "secret",
            "token",
            "tokens",
        ],
    ),
    (
        Rule::Name,
        &["RequestPeerCertificates", "session", "X-Registry-Config"],
    ),
    (
        Rule::Text,
        &[
            // Of secrets and configs, as the engine's API and its secret drivers have them.
            "Data", "Value",
        ],
    ),
    (
        Rule::Shown,
        &[
            "DetachKeys",
            "SandboxKey",
            "SecretID",
            "SecretName",
            "UserAuthNMethod",
        ],
    ),
];

/// What is hidden in a text, whatever its name: the pattern, and what is shown in its place.
const SECRET_TEXTS: [(&str, &str); 3] = [
    // All of a URL before the last `@`.
    (r"(?i)([a-z][a-z0-9+.-]*://)\S*@", "${1}***@"),
    // A name and a password, as in `sshcmd`.
    (r"([^\s/:@=,;]+):[^\s/]\S*@", "${1}:***@"),
    (r"(?i)\b(bearer|basic) +\S+", "${1} ***"),
];

/// A pair within a text, such as a list of mount options.
const PAIR: &str = r"([A-Za-z0-9_.-]+)=([^,;&\s]+)";

/// The patterns, compiled.
struct Patterns {
    texts: Vec<(Regex, &'static str)>,
    pair: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let texts = SECRET_TEXTS.map(|(pattern, shown)| Some((Regex::new(pattern).ok()?, shown)));
    Some(Patterns {
        texts: texts.into_iter().collect::<Option<_>>()?,
        pair: Regex::new(PAIR).ok()?,
    })
});

/// Hides the secrets in a document, wherever they are.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_secret(name, value.is_string()) {
                    hide(value);
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => *text = mask_text(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Hides the secrets in the query of a request target.
pub fn mask_target(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return mask_text(target);
    };
    let parameters: Vec<_> = query.split('&').map(mask_parameter).collect();
    format!("{path}?{}", parameters.join("&"))
}

fn mask_parameter(parameter: &str) -> String {
    let Some((name, value)) = parameter.split_once('=') else {
        return parameter.to_owned();
    };
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    if is_secret(&decode(name), true) {
        return format!("{name}={MASK}");
    }
    let plain = decode(value);
    let masked = if is_document(&plain) {
        mask_document(&plain).unwrap_or_else(|| MASK.to_owned())
    } else {
        mask_text(&plain)
    };
    if masked == plain {
        return parameter.to_owned();
    }
    format!("{name}={}", utf8_percent_encode(&masked, NON_ALPHANUMERIC))
}

/// Whether a text is JSON with names in it.
fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// Hides the secrets in JSON that is a text. Returns nothing if it cannot be read.
fn mask_document(text: &str) -> Option<String> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    mask(&mut document);
    Some(document.to_string())
}

/// Hides the secrets in a text: the value of `NAME=value`, alone or among others, and logins.
pub fn mask_text(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if let Some((name, _)) = text.split_once('=')
        && name.chars().all(is_plain)
        && is_secret(name, false)
    {
        return format!("{name}={MASK}");
    }
    if is_document(text)
        && let Some(masked) = mask_document(text)
    {
        return masked;
    }
    let Some(patterns) = PATTERNS.as_ref() else {
        return MASK.to_owned();
    };
    let pairs = patterns.pair.replace_all(text, |pair: &Captures| {
        if is_secret(&pair[1], false) {
            format!("{}={MASK}", &pair[1])
        } else {
            pair[0].to_owned()
        }
    });
    let logins = patterns.texts.iter();
    logins.fold(pairs.into_owned(), |text, (pattern, shown)| {
        hide_logins(&text, pattern, shown)
    })
}

fn hide_logins(text: &str, pattern: &Regex, shown: &str) -> String {
    let hidden = pattern.replace_all(text, |found: &Captures| {
        let rest = found.get(0).map_or("", |whole| &text[whole.end()..]);
        let mut replaced = String::new();
        if rest.starts_with("sha256:") {
            // The tag and the digest of an image.
            replaced.push_str(&found[0]);
        } else {
            found.expand(shown, &mut replaced);
        }
        replaced
    });
    hidden.into_owned()
}

/// Replaces a value, unless it says nothing.
fn hide(value: &mut Value) {
    if !matches!(value, Value::Null | Value::Bool(_)) {
        *value = Value::String(MASK.to_owned());
    }
}

fn is_secret(name: &str, is_text: bool) -> bool {
    let words = words(name);
    let whole = words.concat();
    let fits = |rule, listed: &str| match rule {
        Rule::Word => words.iter().any(|word| word == listed),
        Rule::End => whole.ends_with(listed) || words.iter().any(|word| word.ends_with(listed)),
        Rule::Text if !is_text => false,
        Rule::Name | Rule::Text | Rule::Shown => name.eq_ignore_ascii_case(listed),
    };
    let rules = SECRET_NAMES.iter().rev();
    let mut fitting = rules.filter(|(rule, names)| names.iter().any(|listed| fits(*rule, listed)));
    fitting.next().is_some_and(|(rule, _)| *rule != Rule::Shown)
}

/// Splits a name at its capitals and punctuation: `SigningCAKey2` is `signing`, `ca` and `key`.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let starts = letter.is_uppercase()
            && (before.is_some_and(char::is_lowercase)
                || letters.get(at + 1).is_some_and(|next| next.is_lowercase()));
        if starts || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    for word in &mut words {
        word.truncate(word.trim_end_matches(|c: char| c.is_ascii_digit()).len());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_wherever_they_are() {
        for (mut shown, masked) in [
            (
                json!({"password": "x", "user": "u"}),
                json!({"password": "***", "user": "u"}),
            ),
            (
                json!({"identitytoken": "x", "serveraddress": "s"}),
                json!({"identitytoken": "***", "serveraddress": "s"}),
            ),
            (
                json!({"Env": ["API_KEY=x", "MODE=prod", "DB_PASSWORD=a=b"]}),
                json!({"Env": ["API_KEY=***", "MODE=prod", "DB_PASSWORD=***"]}),
            ),
            (
                json!({"Cmd": ["serve", "--token=x", "--port=80"]}),
                json!({"Cmd": ["serve", "--token=***", "--port=80"]}),
            ),
            (
                json!({"Opts": {"sshcmd": "u:pw@host:/dir"}}),
                json!({"Opts": {"sshcmd": "u:***@host:/dir"}}),
            ),
            (
                json!({"Opts": {"device": "https://u:pw@host/x"}}),
                json!({"Opts": {"device": "https://***@host/x"}}),
            ),
            (
                json!({"Image": "redis:7@sha256:12ab"}),
                json!({"Image": "redis:7@sha256:12ab"}),
            ),
            (
                json!({"o": "username=u,password=x,vers=3.0"}),
                json!({"o": "username=u,password=***,vers=3.0"}),
            ),
            (
                json!({"Env": ["DSN=host=h user=u password=x", "REDIS_URL=redis://:x@h:6379"]}),
                json!({"Env": ["DSN=host=h user=u password=***", "REDIS_URL=redis://***@h:6379"]}),
            ),
            (
                json!({"Env": ["URL=https://x@github.com/o/r.git", "DSN=https://u:p/x@h"]}),
                json!({"Env": ["URL=https://***@github.com/o/r.git", "DSN=https://***@h"]}),
            ),
            (
                json!({"Env": ["S3FS_SECRETKEY=x", "DB_PASSWORD2=x", "DBPASS=x"]}),
                json!({"Env": ["S3FS_SECRETKEY=***", "DB_PASSWORD2=***", "DBPASS=***"]}),
            ),
            (
                json!({"PassworD": "x", "X-Meta": "Bearer x", "traefik.basicauth.users": "x"}),
                json!({"PassworD": "***", "X-Meta": "Bearer ***", "traefik.basicauth.users": "***"}),
            ),
            (
                json!({"config": "{\"password\":\"x\"}", "SandboxKey": "/run/x"}),
                json!({"config": "{\"password\":\"***\"}", "SandboxKey": "/run/x"}),
            ),
            (
                json!({"JoinTokens": {"Worker": "SWMTKN"}}),
                json!({"JoinTokens": "***"}),
            ),
            (
                json!({"SigningCAKey": "x", "UnlockKey": ""}),
                json!({"SigningCAKey": "***", "UnlockKey": "***"}),
            ),
            (
                json!({"Data": "c2VjcmV0", "Name": "n"}),
                json!({"Data": "***", "Name": "n"}),
            ),
            (
                json!({"GraphDriver": {"Data": {"LowerDir": "/l"}}}),
                json!({"GraphDriver": {"Data": {"LowerDir": "/l"}}}),
            ),
            (
                json!({"Secrets": [{"SecretID": "i", "SecretName": "n"}]}),
                json!({"Secrets": [{"SecretID": "i", "SecretName": "n"}]}),
            ),
            (
                json!({"UserAuthNMethod": "TLS", "X-Registry-Auth": "e30="}),
                json!({"UserAuthNMethod": "TLS", "X-Registry-Auth": "***"}),
            ),
            (
                json!({"AutoRemove": true, "Tty": false, "Author": "a", "Keyboard": "k"}),
                json!({"AutoRemove": true, "Tty": false, "Author": "a", "Keyboard": "k"}),
            ),
        ] {
            mask(&mut shown);
            assert_eq!(shown, masked);
        }
    }

    #[test]
    fn secrets_are_hidden_in_a_query() {
        for (target, masked) in [
            ("/v1.41/info", "/v1.41/info"),
            ("/build?t=a&token=x", "/build?t=a&token=***"),
            (
                "/build?buildargs=%7B%22A%22%3A%22b%22%7D",
                "/build?buildargs=%7B%22A%22%3A%22b%22%7D",
            ),
            (
                "/build?buildargs=%7B%22NPM_TOKEN%22%3A%22b%22%7D",
                "/build?buildargs=%7B%22NPM%5FTOKEN%22%3A%22%2A%2A%2A%22%7D",
            ),
            (
                "/build?remote=https%3A%2F%2Fu%3Apw%40h%2Fr",
                "/build?remote=https%3A%2F%2F%2A%2A%2A%40h%2Fr",
            ),
            (
                "/build?buildargs={%22NPM_TOKEN%22:%22x%22,}",
                "/build?buildargs=%2A%2A%2A",
            ),
            (
                "/containers/my-token/logs?stdout=1&stderr=1",
                "/containers/my-token/logs?stdout=1&stderr=1",
            ),
        ] {
            assert_eq!(mask_target(target), masked);
        }
    }
}
