//! `docs/reference/control.md`: the requests of the control socket.

use moondock::server::{PARAMETERS, ROUTES};
use moondock::trace::{Rule, SECRET_NAMES};

const INTRO: &str = "# Control socket

`control.sock` in the state directory, or the socket of `moondock serve --control`. It speaks HTTP/1.1, one request a connection, and JSON; its mode is 0600. The [guide](../guides/watching.md) shows the commands that use it.

| request | |
|---|---|
";

const TRACE: &str = "
A request that fails is answered with a status of 400 or more and `{\"error\": \"…\"}`. What is added to an answer keeps the version; what breaks a client gets another.

## Trace

A line is an object with `time` (when the call ended), `plugin`, `method`, `object`, `verdict` (`ok`, `denied` or `failed`), `outcome` (with the reason), `ms`, `generation`, `request` and `reply` (`null` for an error). In the request to a policy, the bodies are JSON instead of Base64. `{\"missed\": 12}` stands for calls that passed while the client was too slow.

| parameter | selects |
|---|---|
";

const SECRETS: &str = "
## Secrets

The value of a field, header, option, variable or query parameter is shown as `***`, with everything in it, if its name matches one of these. Capitals and punctuation divide a name into words: `SigningCAKey` is `signing`, `ca` and `key`. Case makes no difference.

| | |
|---|---|
";

const AFTER: &str = "
Digits at the end of a word do not count. In any text, the value of `NAME=value` is judged by its name too, alone (`Env`) or among others (`username=u,password=***`); of a URL, all before the last `@` is hidden, and so are what stands between `name:` and `@`, and what follows `Bearer` or `Basic`. Texts that are JSON are read as such.
";

/// What the names of a rule are.
fn title(rule: Rule) -> &'static str {
    match rule {
        Rule::Word => "a word is",
        Rule::End => "the name, or a word of it, ends in",
        Rule::Name => "the name is",
        Rule::Text => "the name is, and the value is a text",
        Rule::Shown => "but not if the name is",
    }
}

/// The page.
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    for route in &ROUTES {
        page += &format!("| `{} {}` | {} |\n", route.method, route.path, route.help);
    }
    page += TRACE;
    for (name, help) in PARAMETERS {
        page += &format!("| `{name}` | {help} |\n");
    }
    page += SECRETS;
    for (rule, names) in SECRET_NAMES {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        page += &format!("| {} | {} |\n", title(rule), names.join(", "));
    }
    page + AFTER
}
