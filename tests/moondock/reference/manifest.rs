//! `docs/reference/plugin-toml.md`: the keys of `plugin.toml`.

use super::methods::deadline_of;
use moondock::grants::FORMS;
use moondock::host::Limits;
use moondock::plugin::{LogSettings, MetricsSettings};
use moondock::protocol::{Interface, methods};

const INTRO: &str = "# plugin.toml

An optional file in a plugin's directory, read again when it is saved. An unknown key is an error. All keys are optional.

| key | | default |
|---|---|---|
| `description` | What the plugin is for, in a line; shown by `moondock check`. | empty |
| `settings` | A table of your own: what `require(\"@moondock/plugin\").settings()` returns. | empty |
| `grants` | What scripts may touch, as a list of strings: [see below](#grants). Must precede the first `[…]`. | empty: nothing |
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

A call that exceeds a limit ends with an error that the script cannot catch. Later calls are not affected.

## Grants

Everything else that a script could do to the machine raises, with the line to add. The [guide](../guides/grants.md) explains the risk of each.

| grant | allows |
|---|---|
";

const GRANTS: &str = "
A path is absolute, without `.` and `..`, and need not exist yet. `{settings.NAME}` stands for the value of a setting, `{settings.A.B}` for one in a table. A list of strings gives a grant
for each.

A saved file never gives scripts more than what was accepted at the start or by [`moondock reload --accept-grants`](cli.md#moondock-reload).
";

const LOG: &str = "
## Log streams

How the log of a container reaches `log.lua`. The [guide](../guides/logs.md) says more.

| key | | default |
|---|---|---|
";

fn log_rows() -> String {
    let LogSettings {
        buffer_kib,
        spill_mib,
        batch_entries,
        batch_kib,
        ..
    } = LogSettings::default();
    let rows = [
        (
            "on_slow",
            "What happens if the script fails, or is slower than the container. `block`: the container waits in its next write, for half a second; then entries are moved to disk. \
             `drop`: the oldest entries are dropped and counted.",
            "`block`".to_owned(),
        ),
        (
            "buffer_kib",
            "Size of a container's FIFO, in KiB: 64 to 16384, rounded up to a power of two. Applies to new streams.",
            buffer_kib.to_string(),
        ),
        (
            "spill_mib",
            "With `block`, how much of a container's log may be on disk, in MiB: 0 to 1048576. When it is full, the oldest entries in the FIFO are dropped and counted.",
            spill_mib.to_string(),
        ),
        (
            "batch_entries",
            "Limit of the entries in a batch: 1 to 10000.",
            batch_entries.to_string(),
        ),
        (
            "batch_kib",
            "Limit of the size of a batch, in KiB: 4 to 4096. A longer line is a batch of its own.",
            batch_kib.to_string(),
        ),
    ];
    rows.iter()
        .map(|(key, doc, default)| format!("| `log.{key}` | {doc} | {default} |\n"))
        .collect()
}

fn forms() -> String {
    FORMS
        .iter()
        .map(|(form, allows)| format!("| `{form}` | {allows} |\n"))
        .collect()
}

/// The page.
pub fn page() -> String {
    let limits = Limits::default();
    let mut page = INTRO.to_owned();
    page += &format!(
        "| `limits.cpu_ms` | CPU time that a hook may use before it yields (waits), in ms. | {} |\n",
        limits.cpu.as_millis()
    );
    page += &format!(
        "| `limits.memory_mib` | Memory of each script's state, in MiB; at least 2. Its calls may hold as much again outside of it: bodies, files, the output of programs, the answers of servers. | {} |\n",
        limits.memory >> 20
    );
    page += &format!(
        "| `limits.store_mib` | Keys and values that the plugin may store, in MiB: 1 to 16384. | {} |\n",
        limits.store.bytes >> 20
    );
    page += &format!(
        "| `limits.store_keys` | Number of keys that the plugin may store. | {} |\n",
        limits.store.keys
    );
    page += &format!(
        "| `limits.log_lines_per_s` | Lines that each script may write to the log per second, with `print` or `@moondock/log`. A line of more than 256 bytes counts as several. The log says how many were left out. | {} |\n",
        limits.log_lines
    );
    page += "| `limits.deadline_ms.\"INTERFACE.HOOK\"` | Deadline of a call, in ms. It can only be lowered; the defaults are below. | see below |\n";
    page += &metrics_rows();
    page += EXAMPLE;
    page += &forms();
    page += GRANTS;
    page += LOG;
    page += &log_rows();
    page += "\n## Deadlines\n\nThey are below the engine's own limits, so that the engine gets a reason.\n\n| hooks | ms |\n|---|---|\n";
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
            "Seconds between two calls of `metrics.collect`: 1 to 3600.",
            interval_s.to_string(),
        ),
        (
            "socket",
            "The socket of the engine's metrics, as a path inside the plugin.",
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
