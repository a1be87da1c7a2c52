//! `docs/reference/`: methods, std modules, the authorization request, the command line, `plugin.toml`.

use super::Generated;
use clap::{Command, CommandFactory};
use moondock::authz::{BodyKind, routes};
use moondock::cli::Cli;
use moondock::host::{Limits, MODULES, Module};
use moondock::metrics::{Kind, METRICS};
use moondock::plugin::{LogSettings, MetricsSettings, REQUEST_FIELDS, REQUEST_TYPES};
use moondock::protocol::{Interface, Method, Missing, Shape, Type, methods, methods_of};

const MADE: &str =
    "<!-- Made from the tables in src/ by tests/moondock/reference.rs: change those. -->\n\n";

/// All pages.
pub fn all() -> Vec<Generated> {
    let page =
        |name: &str, text: String| (format!("docs/reference/{name}.md"), MADE.to_owned() + &text);
    vec![
        page("methods", methods_page()),
        page("std", std_page()),
        page("authz-request", authz_page()),
        page("cli", cli_page()),
        page("plugin-toml", manifest_page()),
        page("bundle", super::bundle_page::page()),
        page("metrics", metrics_page()),
    ]
}

const METHODS: &str = "# Methods and hooks

A script answers Docker's remote calls (*methods*) by functions (*hooks*) in the table that it returns. A hook gets the
request as a table and returns the reply as a table, with Docker's own names of the fields. It reports failure with `error`.

* A field that is marked `?` may be absent (`nil`), the others are always there; in a reply they must be given.
* A reply with a field that Docker does not read is refused, with the near name: it would be a typo without effect.
* A call must be answered within its deadline, which `plugin.toml` can shorten (see [plugin.toml](plugin-toml.md)).
* *Without the hook* says what happens when the script has no such function: it **must** have it, Docker is told *not
  implemented* (404), or Moondock answers by itself.
* Bodies larger than the limit are refused.

The same shapes as Luau types are in [scripts/types/hooks.d.luau](../../scripts/types/hooks.d.luau).
";

const UNANNOUNCED: &str = ", in a managed plugin only: Docker hangs when a plugin that it finds by its socket announces that.";

fn methods_page() -> String {
    let mut page = METHODS.to_owned();
    page += "\n| script | by its socket | in a managed plugin | hooks |\n|---|---|---|---|\n";
    Interface::ALL
        .into_iter()
        .for_each(|interface| page += &interface_row(interface));
    for interface in Interface::ALL {
        let announced = interface.implements();
        page += &format!(
            "\n## {}\n\nAnnounced to Docker as `{announced}`",
            interface.file()
        );
        page += if interface.is_announced() {
            "."
        } else {
            UNANNOUNCED
        };
        page +=
            "\n\n| hook | method | deadline | body | without the hook |\n|---|---|---|---|---|\n";
        methods_of(interface)
            .iter()
            .for_each(|method| page += &method_row(method));
        let mut shown = Vec::new();
        methods_of(interface)
            .iter()
            .for_each(|method| page += &method_section(method, &mut shown));
    }
    page
}

fn interface_row(interface: Interface) -> String {
    let file = interface.file();
    let by_socket = if interface.is_announced() {
        "yes"
    } else {
        "no"
    };
    let hooks = methods_of(interface)
        .iter()
        .filter(|method| method.has_hook());
    let hooks: Vec<_> = hooks
        .map(|method| format!("[`{}`](#{})", method.hook, anchor(method)))
        .collect();
    format!(
        "| [`{file}`](#{}) | {by_socket} | yes | {} |\n",
        file.replace('.', ""),
        hooks.join(", ")
    )
}

fn method_row(method: &Method) -> String {
    let deadline = deadline_of(method).map_or("none".to_owned(), |deadline| {
        format!("{} s", deadline.as_secs())
    });
    let (wire, limit) = match method.is_called_by_engine() {
        false => ("Moondock calls it".to_owned(), "–".to_owned()),
        true => (
            format!("`{}`", method.wire),
            format!("{} MiB", method.body_limit >> 20),
        ),
    };
    format!(
        "| [`{}`](#{}) | {wire} | {deadline} | {limit} | {} |\n",
        method.hook,
        anchor(method),
        missing(method)
    )
}

fn deadline_of(method: &Method) -> Option<std::time::Duration> {
    (method.deadline != std::time::Duration::MAX).then_some(method.deadline)
}

/// As forges make it of the heading: dots go.
fn anchor(method: &Method) -> String {
    method.key().replace('.', "")
}

fn missing(method: &Method) -> String {
    match method.missing {
        _ if !method.has_hook() => "Moondock answers; a script has no such hook".to_owned(),
        Missing::Instead(other) => format!("must have it, or `{other}`"),
        Missing::Refused => "must have it".to_owned(),
        Missing::NotFound => "not implemented".to_owned(),
        Missing::Answered(reply) => format!("answers `{reply}`"),
    }
}

fn method_section(method: &Method, shown: &mut Vec<&'static str>) -> String {
    let mut section = format!("\n### {}\n\n{}", method.key(), method.doc);
    if let Some(message) = method.absent {
        section += &format!(" Returning nothing means “{message}”.");
    }
    if method.hang_up_on_failure {
        section += " A failure closes the connection without an answer, as Docker would take any other for absence.";
    }
    section += "\n\n";
    if method.interface == Interface::Authz {
        section += "Its request is the [authorization request](authz-request.md); it returns `true`, or `false` and the reason.\n";
        return section;
    }
    if method.has_hook() && method.parameters() != "req" {
        return section + &arguments_section(method, shown);
    }
    section += &fields_table("request", method.request);
    section.push('\n');
    section + &fields_table("reply", method.reply)
}

/// A hook with arguments of its own: its type, and the tables that were not shown before.
fn arguments_section(method: &Method, shown: &mut Vec<&'static str>) -> String {
    let arguments: Vec<_> = method
        .arguments
        .iter()
        .map(|(name, ty)| format!("{name}: {ty}"))
        .collect();
    let mut section = format!(
        "```luau\n{}: ({}) -> ()\n```\n",
        method.key(),
        arguments.join(", ")
    );
    for field in method.request.fields {
        if let Type::Record(shape) | Type::List(&Type::Record(shape)) = field.ty
            && !shown.contains(&shape.name)
        {
            shown.push(shape.name);
            section += &format!("\n{}", fields_table(&format!("`{}`", shape.name), shape));
        }
    }
    section
}

fn fields_table(title: &str, shape: &'static Shape) -> String {
    if shape.fields.is_empty() {
        return format!("The {title} has no fields.\n");
    }
    let mut table = format!("| {title} | type | |\n|---|---|---|\n");
    field_rows("", shape, &mut table);
    table
}

fn field_rows(prefix: &str, shape: &'static Shape, table: &mut String) {
    for field in shape.fields {
        let optional = if field.required { "" } else { "?" };
        let name = format!("{prefix}{}", field.name);
        *table += &format!(
            "| `{name}`{optional} | {} | {} |\n",
            type_name(field.ty),
            field.doc
        );
        match field.ty {
            Type::Record(inner) => field_rows(&format!("{name}."), inner, table),
            Type::List(Type::Record(inner)) => field_rows(&format!("{name}[]."), inner, table),
            _ => {}
        }
    }
}

fn type_name(ty: Type) -> String {
    match ty {
        Type::Bool => "boolean".to_owned(),
        Type::Int => "whole number".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Text => "string".to_owned(),
        ty if ty.is_text() => ty.form().map_or("string", |form| form.name).to_owned(),
        Type::Time => "time, `2026-01-31T12:00:00Z`".to_owned(),
        Type::Bytes | Type::BytesUpTo(_) => "string of bytes".to_owned(),
        Type::Any => "anything".to_owned(),
        Type::List(Type::Record(_)) => "list of tables".to_owned(),
        Type::List(inner) => format!("list of {}s", type_name(*inner)),
        Type::Map(inner) => format!("map to {}", type_name(*inner)),
        _ => "table".to_owned(),
    }
}

const STD: &str = "# Std modules

What a script gets from `require(\"@moondock/NAME\")`, beside the [kits](kits.md). Functions raise when they fail, with their name in
front; `nil` only ever means that something is absent. Those that wait (for a disk, a program, the kernel) let other calls of the plugin go on
meanwhile. While a script loads, only those may be used that reach nothing outside. Those that touch the machine need a [grant](../guides/grants.md), and raise without it.

";

fn std_page() -> String {
    let mut page = STD.to_owned();
    for module in MODULES {
        let functions: Vec<_> = module
            .functions
            .iter()
            .map(|f| format!("`{}`", f.name))
            .collect();
        page += &format!("* [{0}](#{0}): {1}\n", module.name, functions.join(", "));
    }
    MODULES
        .iter()
        .for_each(|module| page += &module_section(module));
    page
}

fn module_section(module: &Module) -> String {
    let mut section = format!("\n## {}\n\n{}\n", module.name, module.summary);
    if !module.types.is_empty() {
        section += &format!("\n```luau\n{}\n```\n", module.types.replace('\t', "    "));
    }
    for function in module.functions {
        let name = format!("{}.{}", module.name, function.name);
        section += &format!(
            "\n### {name}\n\n```luau\n{name}: {}\n```\n\n{}\n",
            function.signature, function.doc
        );
        if let Some(needs) = function.needs.in_words() {
            section += &format!("\nNeeds the [grant](../guides/grants.md) {needs}.\n");
        }
    }
    section
}

const AUTHZ: &str = "# The authorization request

What `authz.request(req)` and `authz.response(req)` get. The engine's message is read as the engine itself reads the request, before the
script is asked; what cannot be read in one way only is refused by Moondock. The [guide to policies](../guides/policies.md) says more.

Fields are made when they are first read, so what a policy does not look at costs nothing. Reading a field that does not exist raises, with the
near name. The tables mean nothing once the request is answered: keep the values that you need.

| field | type | |
|---|---|---|
";

const ROUTES: &str = "
## Actions

What the engine's routes are called. A `HEAD` request has the action of the `GET`. A request whose route is not here has `action == nil` and `effect == \"unknown\"`.

*Body*: `none`, the engine reads none; `forbidden`, one with anything in it is refused by Moondock, since old API versions read it; `json`, JSON or nothing; `needed`,
JSON, and without it Moondock refuses; `opaque`, bytes that the engine shows to no plugin.

| action | effect | request | body |
|---|---|---|---|
";

fn authz_page() -> String {
    let mut page = AUTHZ.to_owned();
    for field in REQUEST_FIELDS {
        page += &format!(
            "| `{}` | `{}` | {} |\n",
            field.name,
            field.ty.replace('|', "\\|"),
            field.doc
        );
    }
    page += &format!("\n```luau\n{REQUEST_TYPES}\n```\n{ROUTES}");
    let mut rows: Vec<_> = routes().collect();
    rows.sort_by_key(|route| (route.action, route.pattern));
    for route in rows {
        let (effect, body) = (route.effect.as_str(), body_kind(route.body));
        page += &format!(
            "| `{}` | {effect} | `{} {}` | {body} |\n",
            route.action, route.method, route.pattern
        );
    }
    page
}

fn body_kind(kind: BodyKind) -> &'static str {
    match kind {
        BodyKind::None => "none",
        BodyKind::Forbidden => "forbidden",
        BodyKind::Json => "json",
        BodyKind::JsonRequired => "needed",
        BodyKind::Opaque => "opaque",
    }
}

fn cli_page() -> String {
    let mut moondock = Cli::command().term_width(100).max_term_width(100);
    moondock.build();
    let verbs: Vec<String> = moondock
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    let mut page = format!("# Command line\n\n{}", help_block(&mut moondock));
    for verb in verbs {
        let command = moondock.find_subcommand_mut(&verb).unwrap();
        page += &format!("\n## moondock {verb}\n\n{}", help_block(command));
    }
    page
}

fn help_block(command: &mut Command) -> String {
    let help = command
        .clone()
        .term_width(100)
        .max_term_width(100)
        .render_long_help()
        .to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n").trim_end())
}

const METRICS_HEAD: &str = "# Metrics

What `GET /metrics` shows at the address of `moondock serve --metrics`, in the text format of Prometheus. The [guide](../guides/metrics.md) says how to ask for it.

* Counters begin at zero when the process starts.
* `plugin` is the plugin's name, `script` the file of an interface (`volume.lua`), `method` the name of the engine's call (`VolumeDriver.Mount`).
* A plugin is shown once its scripts are loaded, with all methods of the interfaces that it has, called or not. A method without a hook counts as answered.
* *Denied* is for policies only. A request that a policy failed on is denied too, and counts as *failed*.
* A body that is larger than allowed counts as failed, and has no duration.

| metric | type | labels | |
|---|---|---|---|
";

fn metrics_page() -> String {
    let mut page = METRICS_HEAD.to_owned();
    for metric in METRICS {
        let histogram = if metric.kind == Kind::Histogram {
            " and `le`"
        } else {
            ""
        };
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind, help) = (metric.name, metric.kind.name(), metric.help);
        page += &format!(
            "| `{name}` | {kind} | {}{histogram} | {help} |\n",
            labels.join(", ")
        );
    }
    page
}

const MANIFEST: &str = "# plugin.toml

An optional file in a plugin's directory, read again when it is saved. What Moondock does not know in it is an error. All keys are optional.

| key | | default |
|---|---|---|
| `description` | What the plugin is for, in a line; shown by `moondock check`. | empty |
| `settings` | A table of your own: what scripts get from `require(\"@moondock/plugin\").settings()`. | empty |
| `grants` | What scripts may touch, as a list of strings: [see below](#grants). Stands above the first `[…]`. | empty: nothing |
";

const EXAMPLE: &str = "
```toml
# example/plugin.toml
description = \"Volumes on the big disk\"
grants = [\"fs.write:{settings.root}\"]

[settings]
root = \"/srv/big\"

[limits]
cpu_ms = 100
memory_mib = 32

[limits.deadline_ms]
\"volume.mount\" = 5000
```

A limit that is used up ends the call with an error that the script cannot catch; the next call is not harmed.

## Grants

Everything else that a script could do to the machine raises, with the line to add. The [guide](../guides/grants.md) says what each means for whom.

| grant | allows |
|---|---|
| `fs.read:PATH` | Reading PATH and all below it. |
| `fs.write:PATH` | Changing PATH and all below it, and reading it. |
| `exec:NAME` | Running the program NAME from `/usr/local/sbin`, `/usr/local/bin`, `/usr/sbin`, `/usr/bin`, `/sbin` or `/bin`. |
| `exec:/PATH` | Running the program with this path. |
| `net` | Seeing and changing links, addresses, routes, neighbours, sysctls of the network, and the plugin's firewall rules. |
| `mount` | Mounting and unmounting, on paths that `fs.write` covers, and seeing all mounts. |
| `http:HOST[:PORT]`, `docker`, `env:NAME` | Requests to a host, the engine's own API, a variable of the environment. No function asks for these yet. |

A path is absolute, without `.` and `..`; it need not exist yet. `{settings.NAME}` stands for the value of a setting, `{settings.A.B}` for one in a table; a list of strings gives a grant
for each.

A saved file never gives scripts more than what was accepted, at the start or by [`moondock reload --accept-grants`](cli.md#moondock-reload).
";

const LOG: &str = "
## Log streams

How the log of a container reaches `log.lua`; the [guide](../guides/logs.md) says more.

| key | | default |
|---|---|---|
";

fn log_rows() -> String {
    let LogSettings {
        buffer_kib,
        batch_entries,
        batch_kib,
        ..
    } = LogSettings::default();
    let rows = [
        (
            "on_slow",
            "What gives way when the script is slower than the container, or fails: `block`, the container waits in its next write and nothing is lost; \
             `drop`, the oldest entries are given up, and counted.",
            "`block`".to_owned(),
        ),
        (
            "buffer_kib",
            "How much of a container's log may wait in its FIFO, in KiB: 64 to 16384, rounded up to a power of two. For streams that begin.",
            buffer_kib.to_string(),
        ),
        (
            "batch_entries",
            "How many entries are handed over at once, at most: 1 to 10000.",
            batch_entries.to_string(),
        ),
        (
            "batch_kib",
            "How much is handed over at once, at most, in KiB: 4 to 4096. A longer line is handed over alone.",
            batch_kib.to_string(),
        ),
    ];
    rows.iter()
        .map(|(key, doc, default)| format!("| `log.{key}` | {doc} | {default} |\n"))
        .collect()
}

fn manifest_page() -> String {
    let limits = Limits::default();
    let mut page = MANIFEST.to_owned();
    page += &format!(
        "| `limits.cpu_ms` | Processor time that a hook may use before it gives way (waits), in ms. | {} |\n",
        limits.cpu.as_millis()
    );
    page += &format!(
        "| `limits.memory_mib` | Memory of the state of each script, in MiB; at least 2. | {} |\n",
        limits.memory >> 20
    );
    page += "| `limits.deadline_ms.\"INTERFACE.HOOK\"` | How long a call may take, in ms; at most the default. | see below |\n";
    page += &metrics_rows();
    page += EXAMPLE;
    page += LOG;
    page += &log_rows();
    page += "\n## Deadlines\n\nBelow the engine's own limits, so that it hears a reason.\n\n| hooks | ms |\n|---|---|\n";
    for interface in Interface::ALL {
        page += &deadline_rows(interface);
    }
    page
}

fn metrics_rows() -> String {
    let MetricsSettings { interval_s, socket } = MetricsSettings::default();
    let rows = [
        (
            "interval_s",
            "How many seconds lie between two calls of `metrics.collect`: 1 to 3600.",
            interval_s.to_string(),
        ),
        (
            "socket",
            "Where the engine shows its metrics, as the plugin sees it.",
            format!("`{}`", socket.display()),
        ),
    ];
    rows.iter()
        .map(|(key, doc, default)| format!("| `metrics.{key}` | {doc} | {default} |\n"))
        .collect()
}

fn deadline_rows(interface: Interface) -> String {
    let asked = || methods().filter(|method| method.interface == interface && method.has_hook());
    let mut deadlines: Vec<_> = asked().filter_map(deadline_of).collect();
    deadlines.sort();
    deadlines.dedup();
    let row = |deadline: &std::time::Duration| {
        let hooks = asked().filter(|method| method.deadline == *deadline);
        let hooks: Vec<_> = hooks.map(|method| format!("`{}`", method.key())).collect();
        format!("| {} | {} |\n", hooks.join(", "), deadline.as_millis())
    };
    deadlines.iter().map(row).collect()
}
