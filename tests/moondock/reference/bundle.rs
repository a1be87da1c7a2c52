//! `docs/reference/bundle.md`: the contents of a bundle.

use moondock::bundle::{BINARY, FixedMount, NEEDS, Need, PROPAGATED, VARIABLES, Value, type_of};
use moondock::protocol::Interface;

const INTRO: &str = "# Contents of a bundle

`moondock bundle` creates `config.json` and `rootfs/` from a plugin's directory, that is, from its files and its `plugin.toml`.
The [guide](../guides/managed-plugin.md) shows how to use it.

## Interfaces

| file | type |
|---|---|
";

const GRANTS: &str = "
## Grants

What each grant asks of the engine, and so of the administrator who installs the plugin. Without grants a bundle has Docker's defaults for
plugins: the default capabilities, no device, no network, no directory of the host.

| grant | capabilities | network | devices | mounts | in the root file system | |
|---|---|---|---|---|---|---|
";

const MOUNTS: &str = "
`docker plugin inspect` shows the mounts by these names:

| mount | host | plugin | options | can be set | |
|---|---|---|---|---|---|
";

const PATHS: &str = "
Paths of `fs.read` and `fs.write` are mounted at the same place. The mount's name is the path without the first `/`, and with `-` for all characters but letters and digits:
`docker plugin set NAME srv-big.source=/mnt/big` mounts another directory of the host there. This is not possible if the plugin has a policy, which must see the host's own
paths. Paths below `/proc` and `/sys`, of which a plugin has its own, and below the propagated mount are not mounted. A path that would hide what the plugin needs, such as `/` or `/etc`, is rejected.

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
        "## State\n\nThe propagated mount is `{PROPAGATED}`. It holds the state by default, and volumes belong there: it is the only directory that survives \
         `docker plugin upgrade`, and the only one whose mounts reach containers.\n\n"
    );
    page += "## Variables\n\nThey can be set with `docker plugin set NAME VARIABLE=VALUE` while the plugin is disabled.\n\n| variable | value | |\n|---|---|---|\n";
    VARIABLES
        .iter()
        .for_each(|(name, value, about)| page += &format!("| `{name}` | `{value}` | {about} |\n"));
    page += "| a setting in capitals | empty: the value in `plugin.toml` | `volume_root` is `VOLUME_ROOT`; a string as it is, other values in TOML, lists of strings also separated by commas |\n";
    page += "| NAME of `env:NAME` | none | the value that scripts read |\n\n";
    page + &files()
}

fn files() -> String {
    format!(
        "## Files\n\n`{BINARY}`, the scripts in `/scripts/NAME` unless they are mounted, the programs of the grants with their libraries at the same paths as on the building \
         host, `/etc/passwd` and `/etc/group` with root and nobody, `/etc/nsswitch.conf`, `/etc/ld.so.cache`, and `/etc/moondock-bundle` with the bundle's name, \
         as the engine rejects the same files under two names.\n"
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
