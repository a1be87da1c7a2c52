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
    /// A word of the name is this: `API_KEY`, `X-Registry-Auth`.
    Word(&'static str),
    /// A word of the name ends like this: `identitytoken`.
    End(&'static str),
    /// The whole name is this, and its value is a text.
    Text(&'static str),
    /// The whole name is this.
    Name(&'static str),
    /// The whole name is this, and its value is no secret, whatever the other rules say.
    Shown(&'static str),
}

/// The names of fields, headers, options, variables and query parameters whose values are hidden,
/// with everything in them. Case makes no difference.
pub const SECRET_NAMES: &[Rule] = &[
    Rule::Word("auth"),
    Rule::Word("auths"),
    Rule::Word("authorization"),
    Rule::Word("cookie"),
    Rule::Word("credential"),
    Rule::Word("credentials"),
    Rule::Word("key"),
    Rule::Word("keys"),
    Rule::Word("pass"),
    Rule::Word("passphrase"),
    Rule::Word("pin"),
    Rule::Word("private"),
    Rule::Word("pwd"),
    Rule::Word("tokens"),
    Rule::End("apikey"),
    Rule::End("passwd"),
    Rule::End("password"),
    Rule::End("secret"),
    Rule::End("token"),
    // Of secrets and configs, as the engine's API and its secret drivers have them.
    Rule::Text("Data"),
    Rule::Text("Value"),
    Rule::Name("X-Registry-Config"),
    Rule::Name("RequestPeerCertificates"),
    Rule::Shown("SecretID"),
    Rule::Shown("SecretName"),
    Rule::Shown("UserAuthNMethod"),
];

/// A name and a password before the `@` of a URL or of an `sshcmd`.
static LOGIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([^\s/:@=]+):([^\s/@]+)@").ok());

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
    let masked = match serde_json::from_str::<Value>(&plain) {
        Ok(mut document) if document.is_object() || document.is_array() => {
            mask(&mut document);
            document.to_string()
        }
        _ => mask_text(&plain),
    };
    if masked == plain {
        return parameter.to_owned();
    }
    format!("{name}={}", utf8_percent_encode(&masked, NON_ALPHANUMERIC))
}

/// Hides the value of `NAME=value`, and what stands between a name and its `@`.
fn mask_text(text: &str) -> String {
    if let Some((name, _)) = text.split_once('=')
        && is_secret(name.trim_start_matches('-'), false)
    {
        return format!("{name}={MASK}");
    }
    let Some(login) = LOGIN.as_ref() else {
        return MASK.to_owned();
    };
    let masked = login.replace_all(text, |found: &Captures| {
        let end = found.get(0).map_or(0, |whole| whole.end());
        if text[end..].starts_with("sha256:") {
            // The tag and the digest of an image.
            found[0].to_owned()
        } else {
            format!("{}:{MASK}@", &found[1])
        }
    });
    masked.into_owned()
}

/// Replaces a value, unless it says nothing.
fn hide(value: &mut Value) {
    if !matches!(value, Value::Null | Value::Bool(_)) {
        *value = Value::String(MASK.to_owned());
    }
}

fn is_secret(name: &str, is_text: bool) -> bool {
    let is_name = |whole: &str| name.eq_ignore_ascii_case(whole);
    let words = words(name);
    let is_shown = |rule: &Rule| matches!(rule, Rule::Shown(whole) if is_name(whole));
    let is_hidden = |rule: &Rule| match rule {
        Rule::Word(secret) => words.iter().any(|word| word == secret),
        Rule::End(secret) => words.iter().any(|word| word.ends_with(secret)),
        Rule::Text(whole) => is_text && is_name(whole),
        Rule::Name(whole) => is_name(whole),
        Rule::Shown(_) => false,
    };
    SECRET_NAMES.iter().any(is_hidden) && !SECRET_NAMES.iter().any(is_shown)
}

/// Splits a name at its capitals and punctuation: `SigningCAKey` is `signing`, `ca` and `key`.
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
                json!({"Opts": {"device": "https://u:***@host/x"}}),
            ),
            (
                json!({"Image": "redis:7@sha256:12ab"}),
                json!({"Image": "redis:7@sha256:12ab"}),
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
                "/build?remote=https%3A%2F%2Fu%3A%2A%2A%2A%40h%2Fr",
            ),
        ] {
            assert_eq!(mask_target(target), masked);
        }
    }
}
