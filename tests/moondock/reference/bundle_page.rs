//! `docs/reference/bundle.md`: what `moondock bundle` derives.

use moondock::bundle::{BINARY, FixedMount, NEEDS, Need, PROPAGATED, VARIABLES, Value, type_of};
use moondock::protocol::Interface;

const INTRO: &str = "# What is in a bundle

`moondock bundle` makes `config.json` and `rootfs/` of a plugin's directory. All of it follows from the files there and from `plugin.toml`;
the [guide](../guides/managed-plugin.md) shows how it is used.

## Interfaces

| file | type |
|---|---|
";

const GRANTS: &str = "
## Grants

What each grant asks of the engine, and so of the administrator who installs the plugin. Everything else stays as Docker has it for plugins:
the default capabilities, no device, no network, no directory of the host.

| grant | capabilities | network | devices | mounts | in the root file system | |
|---|---|---|---|---|---|---|
";

const MOUNTS: &str = "
The mounts whose name stands in the table can be found by it in `docker plugin inspect`:

| mount | host | plugin | options | can be set | |
|---|---|---|---|---|---|
";

const PATHS: &str = "
Paths of `fs.read` and `fs.write` are mounted at the same place. The mount's name is the path with `-` for all that is no letter or digit, without the first `/`:
`docker plugin set NAME srv-big.source=/mnt/big` mounts another directory of the host there. Not where the plugin has a policy, which must see the host's own
paths. No mount is made for a path below `/proc` and `/sys`, of which a plugin has its own, and below the propagated mount. A path that would hide what the plugin needs, such as `/` or `/etc`, is refused.

";

/// The page.
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    for interface in Interface::ALL {
        page += &format!("| `{}` | `{}` |\n", interface.file(), type_of(interface));
    }
    page += GRANTS;
    NEEDS.iter().for_each(|need| page += &need_row(need));
    page += MOUNTS;
    NEEDS
        .iter()
        .flat_map(|need| need.mounts)
        .for_each(|mount| page += &mount_row(mount));
    page += PATHS;
    page += &format!(
        "## State\n\nThe propagated mount is `{PROPAGATED}`, where state is by default and volumes belong: the only place that survives \
         `docker plugin upgrade`, and from which mounts reach containers.\n\n"
    );
    page += "## Variables\n\nAll can be set with `docker plugin set NAME VARIABLE=VALUE` while the plugin is disabled.\n\n| variable | value | |\n|---|---|---|\n";
    VARIABLES
        .iter()
        .for_each(|(name, value, about)| page += &format!("| `{name}` | `{value}` | {about} |\n"));
    page += "| a setting in capitals | empty: what `plugin.toml` says | `volume_root` is `VOLUME_ROOT`; a string as it is, all else in TOML, lists of strings also with commas |\n";
    page += "| NAME of `env:NAME` | none | what scripts read by that grant |\n\n";
    page + &files()
}

fn files() -> String {
    format!(
        "## Files\n\n`{BINARY}`, the scripts in `/scripts/NAME` unless they are mounted, what the grants name, the libraries that these need at the places where the building \
         host has them, `/etc/passwd` and `/etc/group` with root and nobody, `/etc/nsswitch.conf`, `/etc/ld.so.cache`, and `/etc/moondock-bundle` with the bundle's name, \
         as the engine refuses the same files under two names.\n"
    )
}

fn need_row(need: &Need) -> String {
    let quoted = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut mounts: Vec<String> = need
        .mounts
        .iter()
        .map(|mount| format!("`{}`", mount.name))
        .collect();
    let mut files = vec![quoted(need.programs)];
    let form = match need.value {
        Value::Nothing => need.grant.to_owned(),
        Value::Host => format!("{}:HOST", need.grant),
        Value::Path(options) => {
            mounts.push(format!("PATH ({})", options.join(", ")));
            format!("{}:PATH", need.grant)
        }
        Value::Program => {
            files.push("the program".to_owned());
            format!("{}:NAME", need.grant)
        }
        Value::Variable => format!("{}:NAME", need.grant),
    };
    if need.certificates {
        files.push("CA certificates".to_owned());
    }
    files.retain(|file| !file.is_empty());
    let network = if need.host_network { "host" } else { "" };
    let devices = if need.all_devices { "all" } else { "" };
    let (capabilities, mounts, files) = (
        quoted(need.capabilities),
        mounts.join(", "),
        files.join(", "),
    );
    format!(
        "| `{form}` | {capabilities} | {network} | {devices} | {mounts} | {files} | {} |\n",
        need.why
    )
}

fn mount_row(mount: &FixedMount) -> String {
    let settable = if mount.settable { "yes" } else { "" };
    format!(
        "| `{}` | `{}` | `{}` | {} | {settable} | {} |\n",
        mount.name,
        mount.source,
        mount.destination,
        mount.options.join(", "),
        mount.description
    )
}
