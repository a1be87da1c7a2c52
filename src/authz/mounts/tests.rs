use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::*;

fn listed(action: &str, body: &str) -> Result<Vec<String>, String> {
    let document = Document::parse(body).unwrap();
    let shown = |mount: HostMount| {
        let mode = if mount.read_only { "ro" } else { "rw" };
        format!(
            "{} {} {mode} {}",
            mount.via,
            mount.source,
            mount.target.unwrap_or_default()
        )
    };
    let found = host_paths(action, &document).map_err(|refusal| refusal.to_string())?;
    Ok(found.into_iter().map(shown).collect())
}

#[test]
fn finds_every_mount_of_a_host_path() {
    let create = "container.create";
    let table: [(&str, &str, &[&str]); 19] = [
        (
            create,
            r#"{"hostconfig":{"bindſ":["/a:/b:z,ro","/c:/d","vol:/v","/anon"]}}"#,
            &[
                "HostConfig.Binds[0] /a ro /b",
                "HostConfig.Binds[1] /c rw /d",
            ],
        ),
        (
            create,
            r#"{"HostConfig":{"Binds":["/a/../b:/c"]}}"#,
            &["HostConfig.Binds[0] /a/../b rw /c"],
        ),
        (
            create,
            r#"{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true}]}}"#,
            &["HostConfig.Mounts[0].Source /a ro /b"],
        ),
        (
            create,
            r#"{"HostConfig":{"Mounts":[{"Type":"odd","Source":"/a"},{"Type":"tmpfs"},{"Source":"/b"},{"Type":"volume","Source":"v"}]}}"#,
            &[
                "HostConfig.Mounts[0].Source /a rw ",
                "HostConfig.Mounts[2].Source /b rw ",
            ],
        ),
        (
            create,
            r#"{"HostConfig":{"Mounts":[{"Type":"volume","Target":"/t","VolumeOptions":{"DriverConfig":{"Options":{"o":"rbind,ro","device":"/a"}}}}]}}"#,
            &["HostConfig.Mounts[0].VolumeOptions.DriverConfig.Options.device /a ro /t"],
        ),
        (
            create,
            r#"{"HostConfig":{"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"Name":"nas","Options":{"o":"bind","device":"/a"}}}}]}}"#,
            &[],
        ),
        (
            create,
            r#"{"HostConfig":{"Devices":[{"PathOnHost":"/dev/fuse","PathInContainer":"/dev/f","CgroupPermissions":"r"}]}}"#,
            &["HostConfig.Devices[0].PathOnHost /dev/fuse ro /dev/f"],
        ),
        (
            create,
            r#"{"HostConfig":{"Binds":null,"Mounts":null,"VolumesFrom":["/x"]}}"#,
            &[],
        ),
        ("container.update", r#"{"Devices":[]}"#, &[]),
        (
            "volume.create",
            r#"{"DriverOpts":{"type":"tmpfs","o":"uid=0,bind","device":"/etc"}}"#,
            &["DriverOpts.device /etc rw "],
        ),
        (
            "volume.create",
            r#"{"Driver":"local","DriverOpts":{"type":"nfs","o":"addr=10.0.0.1,rw","device":":/export"}}"#,
            &[],
        ),
        (
            "volume.create",
            r#"{"DriverOpts":{"type":"cifs","o":"password=/x,credentials=/root/c","device":"//srv/share"}}"#,
            &["DriverOpts.o /root/c rw "],
        ),
        (
            "volume.create",
            r#"{"DriverOpts":{"type":"overlay","o":"lowerdir=/a:/b,upperdir=/u,workdir=/w","device":"overlay"}}"#,
            &[
                "DriverOpts.o /a rw ",
                "DriverOpts.o /b rw ",
                "DriverOpts.o /u rw ",
                "DriverOpts.o /w rw ",
            ],
        ),
        (
            "volume.create",
            r#"{"DriverOpts":{"type":"ext4","device":"//dev/sda1"}}"#,
            &["DriverOpts.device //dev/sda1 rw "],
        ),
        (
            "volume.create",
            r#"{"Driver":"nas","DriverOpts":{"device":"/a","o":"bind"}}"#,
            &[],
        ),
        (
            "service.create",
            r#"{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"bind","Source":"/a","Target":"/b"}]}}}"#,
            &["TaskTemplate.ContainerSpec.Mounts[0].Source /a rw /b"],
        ),
        (
            "service.update",
            r#"{"TaskTemplate":{"PluginSpec":{"privileges":[{"name":"mount","value":["/a"]}]}}}"#,
            &["TaskTemplate.PluginSpec.Privileges[0].Value[0] /a rw "],
        ),
        (
            "plugin.pull",
            r#"[{"Name":"network","Value":["host"]},{"Name":"device","Value":["/dev/fuse"]}]"#,
            &["[1].Value[0] /dev/fuse rw "],
        ),
        (
            "plugin.set",
            r#"["DEBUG=1","data.source=/srv"]"#,
            &["[1] /srv rw "],
        ),
    ];
    for (action, body, want) in table {
        assert_eq!(
            listed(action, body).as_deref(),
            Ok(&want
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()[..]),
            "{body}"
        );
    }
}

#[test]
fn refuses_unreadable_mounts() {
    let table = [
        (
            "container.create",
            r#"{"HostConfig":{"Binds":"/a:/b"}}"#,
            "`HostConfig.Binds` cannot be judged: it is not a list",
        ),
        (
            "container.create",
            r#"{"HostConfig":{"Binds":[["/a"]]}}"#,
            "`HostConfig.Binds[0]` cannot be judged: it is not a string",
        ),
        (
            "container.create",
            r#"{"HostConfig":{"Binds":["a/b:/c"]}}"#,
            "it is not an absolute path",
        ),
        (
            "container.create",
            r#"{"HostConfig":{"Binds":["/a:/b:ro:x"]}}"#,
            "`source:target:mode`",
        ),
        (
            "container.create",
            r#"{"HostConfig":{"Binds":[":/b"]}}"#,
            "it is not an absolute path",
        ),
        (
            "container.create",
            r#"{"HostConfig":{"Binds":["/a\u0000:/b"]}}"#,
            "NUL",
        ),
        (
            "container.create",
            r#"{"HostConfig":[]}"#,
            "`HostConfig` cannot be judged: it is not an object",
        ),
        (
            "container.create",
            r#"{"HostConfig":{"Mounts":[{"Type":1,"Source":"/a"}]}}"#,
            "it is not a string",
        ),
        (
            "container.create",
            r#"{"HostConfig":{"Mounts":[{"Type":"bind","Source":"a"}]}}"#,
            "it is not an absolute path",
        ),
        (
            "container.create",
            r#"{"HostConfig":{"Devices":[{"PathOnHost":"dev/sda"}]}}"#,
            "it is not an absolute path",
        ),
        (
            "container.create",
            "[]",
            "`the body` cannot be judged: it is not an object",
        ),
        (
            "volume.create",
            r#"{"DriverOpts":{"o":"bind","device":"etc"}}"#,
            "it is not an absolute path",
        ),
        (
            "volume.create",
            r#"{"DriverOpts":{"type":"ext4","device":"dev/sda1"}}"#,
            "it is not an absolute path",
        ),
        (
            "volume.create",
            r#"{"DriverOpts":{"o":"bind"}}"#,
            "it is not an absolute path",
        ),
        (
            "volume.create",
            r#"{"DriverOpts":{"o":["bind"],"device":"/a"}}"#,
            "it is not a string",
        ),
        (
            "volume.create",
            r#"{"DriverOpts":{"o":"lowerdir=a:/b"}}"#,
            "it is not an absolute path",
        ),
    ];
    for (action, body, want) in table {
        let refusal = listed(action, body).unwrap_err();
        assert!(refusal.contains(want), "{body}: {refusal}");
    }
}

/// A file system of `path -> link`; an empty link is a file or directory, and anything else is
/// missing.
fn lead(body: &str, files: &[(&str, &str)]) -> Result<String, String> {
    let files: HashMap<&Path, &str> = files
        .iter()
        .map(|(path, link)| (Path::new(*path), *link))
        .collect();
    let read_link = |path: &Path| match files.get(path) {
        Some(&"") => Ok(None),
        Some(&"?") => Err(io::ErrorKind::PermissionDenied.into()),
        Some(link) => Ok(Some(PathBuf::from(link))),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    let body = Document::parse(body).unwrap();
    let action = if body.root().get("DriverOpts").is_some() {
        "volume.create"
    } else {
        "container.create"
    };
    let mut mounts = host_paths(action, &body).unwrap();
    resolve(&mut mounts, &read_link).map_err(|refusal| refusal.to_string())?;
    Ok(mounts[0].resolved.as_ref().unwrap().display().to_string())
}

#[test]
fn follows_links_as_far_as_the_path_exists() {
    let files = [
        ("/srv", ""),
        ("/srv/a", ""),
        ("/srv/l", "a/../../etc/x"),
        ("/etc", ""),
        ("/etc/x", ""),
        ("/loop", "/loop"),
        ("/deep", "/srv/a/new"),
        ("/secret", "?"),
    ];
    let bind = |source: &str| {
        let body = format!(r#"{{"HostConfig":{{"Binds":["{source}:/t"]}}}}"#);
        lead(&body, &files)
    };
    assert_eq!(bind("/srv/a").as_deref(), Ok("/srv/a"));
    assert_eq!(bind("/srv//./l/new/dir/").as_deref(), Ok("/etc/x/new/dir"));
    assert_eq!(bind("/srv/a/../../etc").as_deref(), Ok("/etc"));
    assert_eq!(bind("/deep/er").as_deref(), Ok("/srv/a/new/er"));
    assert_eq!(bind("/../..").as_deref(), Ok("/"));
    for (source, reason) in [
        ("/srv/l/../x", "ambiguous"),
        ("/loop/x", "too many"),
        ("/no/../etc", "does not exist"),
        ("/secret/x", "cannot be read"),
    ] {
        let refusal = bind(source).unwrap_err();
        assert!(refusal.contains(reason), "{source}: {refusal}");
    }
}

#[test]
fn devices_of_volumes_are_walked_by_the_kernel() {
    let files = [
        ("/srv", ""),
        ("/srv/l", "/etc/ssh"),
        ("/etc", ""),
        ("/etc/ssh", ""),
    ];
    let device = |device: &str| {
        lead(
            &format!(r#"{{"DriverOpts":{{"o":"bind","device":"{device}"}}}}"#),
            &files,
        )
    };
    assert_eq!(device("/srv/l/..").as_deref(), Ok("/etc"));
    assert_eq!(device("//srv/l").as_deref(), Ok("/etc/ssh"));
}
