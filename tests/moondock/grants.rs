//! What scripts may touch is what `plugin.toml` grants, and nothing while they load.

use crate::harness::scripted::Scripts;
use moondock::host::{MODULES, Needs};
use serde_json::json;

mod escapes;
mod http;
mod mounting;
mod reload;

/// A call of every function that needs a grant, on things that are not there.
const CALLS: &[(&str, &str)] = &[
    ("docker.request", "{ path = '/' }"),
    ("env.get", "'TOKEN'"),
    ("firewall.apply", "'id', {}"),
    ("firewall.bridges", ""),
    ("firewall.free_port", "'tcp'"),
    ("firewall.list", ""),
    ("firewall.publish", "'id', {}"),
    ("firewall.remove", "'id'"),
    ("fs.allocate", "'/nonexistent/x', 1"),
    ("fs.chmod", "'/nonexistent/x', 1"),
    ("fs.chown", "'/nonexistent/x', 1, 1"),
    ("fs.exists", "'/nonexistent/x'"),
    ("fs.list", "'/nonexistent/x'"),
    ("fs.mkdir", "'/nonexistent/x'"),
    (
        "fs.mount",
        "{ source = '/nonexistent/x', target = '/nonexistent/x', type = 'ext4' }",
    ),
    ("fs.mounted", "'/nonexistent/x'"),
    ("fs.mounted_elsewhere", "'/nonexistent/x'"),
    ("fs.mounts", ""),
    ("fs.read", "'/nonexistent/x'"),
    ("fs.real", "'/nonexistent/x'"),
    ("fs.remove", "'/nonexistent/x'"),
    ("fs.remove_all", "'/nonexistent/x'"),
    ("fs.rename", "'/nonexistent/x', '/nonexistent/y'"),
    ("fs.stat", "'/nonexistent/x'"),
    ("fs.unmount", "'/nonexistent/x'"),
    ("fs.usage", "'/nonexistent/x'"),
    ("fs.write", "'/nonexistent/x', ''"),
    ("http.request", "{ url = 'http://host.invalid/' }"),
    ("net.add_address", "'nic', '10.0.0.1/8'"),
    (
        "net.add_neighbour",
        "'nic', '10.0.0.1', '02:00:00:00:00:01'",
    ),
    ("net.add_route", "{ destination = '10.0.0.0/8' }"),
    ("net.addresses", "'nic'"),
    ("net.create_bridge", "'nic'"),
    ("net.create_veth", "'nic', 'peer'"),
    ("net.delete_address", "'nic', '10.0.0.1/8'"),
    ("net.delete_link", "'nic'"),
    ("net.delete_neighbour", "'nic', '10.0.0.1'"),
    ("net.delete_route", "{ destination = '10.0.0.0/8' }"),
    ("net.link", "'nic'"),
    ("net.links", ""),
    ("net.name_servers", ""),
    ("net.neighbours", "'nic'"),
    ("net.rename", "'nic', 'new'"),
    ("net.routes", ""),
    ("net.routes_overlapping", "'10.0.0.0/8'"),
    ("net.set_down", "'nic'"),
    ("net.set_hairpin", "'nic', true"),
    ("net.set_isolated", "'nic', true"),
    ("net.set_mac", "'nic', '02:00:00:00:00:01'"),
    ("net.set_master", "'nic', nil"),
    ("net.set_mtu", "'nic', 1"),
    ("net.set_up", "'nic'"),
    ("net.sysctl_get", "'net.ipv4.ip_forward'"),
    ("net.sysctl_set", "'net.ipv4.ip_forward', 1"),
    ("process.check", "{ argv = { 'true' } }"),
    ("process.run", "{ argv = { 'true' } }"),
];

const REQUIRED: &str = "local docker, env, firewall, fs = require('@moondock/docker'), require('@moondock/env'), require('@moondock/firewall'), \
                        require('@moondock/fs') local http, net, process = require('@moondock/http'), require('@moondock/net'), \
                        require('@moondock/process')\n";

const OTHER_HOOKS: &str = "for _, name in { 'remove', 'mount', 'unmount', 'get', 'list' } do volume[name] = function() end end";

/// A driver that does `body` when a volume is made, and `top` while it loads.
pub fn driver(top: &str, body: &str) -> String {
    format!(
        "{REQUIRED}{top}\nlocal volume = {{}}\nfunction volume.create(req)\n{body}\nend\n{OTHER_HOOKS}\nreturn volume\n"
    )
}

/// The manifest with these grants.
pub fn manifest(grants: &[&str]) -> String {
    format!("grants = {grants:?}\n")
}

/// What `body` raises under these grants, or nothing.
pub fn raised(grants: &[&str], body: &str) -> String {
    let scripts = Scripts::new([
        ("plugin.toml", manifest(grants).as_str()),
        ("volume.lua", driver("", body).as_str()),
    ]);
    scripts.open(async |plugin| {
        match plugin
            .call("VolumeDriver.Create", json!({ "Name": "v" }))
            .await
        {
            (200, _) => String::new(),
            (_, reply) => reply["Err"].as_str().unwrap().to_owned(),
        }
    })
}

/// That `body` does what it does without an error.
#[track_caller]
pub fn fine(grants: &[&str], body: &str) {
    assert_eq!(raised(grants, body), "", "{body}");
}

/// That `body` is refused, or fails, in these words.
#[track_caller]
pub fn refused(grants: &[&str], body: &str, why: &str) {
    let error = raised(grants, body);
    assert!(error.contains(why), "{body}: {error}");
}

fn guarded() -> Vec<(String, Needs)> {
    let functions = MODULES
        .iter()
        .flat_map(|module| module.functions.iter().map(move |f| (module.name, f)));
    let guarded = functions.filter(|(_, f)| f.needs != Needs::Nothing);
    let mut guarded: Vec<_> = guarded
        .map(|(name, f)| (format!("{name}.{}", f.name), f.needs))
        .collect();
    guarded.sort_by(|a, b| a.0.cmp(&b.0));
    guarded
}

#[test]
fn every_function_that_touches_the_machine_is_refused_without_a_grant() {
    let guarded = guarded();
    let names: Vec<_> = guarded.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        CALLS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "a call for each is needed here"
    );
    for ((name, needs), (_, arguments)) in guarded.iter().zip(CALLS) {
        let grant = match needs {
            Needs::Nothing => panic!("{name} is not guarded"),
            Needs::Read => "fs.read:/nonexistent",
            Needs::Write => "fs.write:/nonexistent",
            Needs::Mount | Needs::MountAndWrite => "mount",
            Needs::Exec => "exec:true",
            Needs::Net => "net",
            Needs::Docker => "docker",
            Needs::Env => "env:TOKEN",
            Needs::Http => "http:host.invalid:80",
        };
        let error = raised(&[], &format!("{name}({arguments})"));
        let is_path = grant.starts_with("fs.");
        let expected = if is_path {
            format!("is not granted: add \"{grant}")
        } else {
            format!("is not granted: add \"{grant}\" to `grants` in plugin.toml")
        };
        assert!(
            error.starts_with(&format!("volume.lua:5: {name}: `")),
            "{error}"
        );
        assert!(error.contains(&expected), "{error}");
        assert!(error.ends_with(" to `grants` in plugin.toml"), "{error}");
    }
}

#[test]
fn grants_are_not_in_force_while_a_script_loads() {
    let grants = manifest(&[
        "fs.write:/",
        "net",
        "mount",
        "exec:true",
        "docker",
        "env:TOKEN",
        "http:host.invalid",
    ]);
    for (name, arguments) in CALLS {
        for top in [
            format!("{name}({arguments})"),
            format!("error(select(2, pcall({name}, {arguments})))"),
        ] {
            let top = top.replace(", )", ")");
            let text = driver(&top, "");
            let refusal =
                Scripts::new([("plugin.toml", grants.as_str()), ("volume.lua", &text)]).refusal();
            let expected = format!("`{name}` cannot be used while the script loads");
            assert!(refusal.contains(&expected), "{top}: {refusal}");
        }
    }
}

#[test]
fn a_refusal_can_be_caught_and_is_stable() {
    let body = "for _ = 1, 3 do\n  local ok, why = pcall(net.links)\n  assert(not ok and string.find(why, 'net.links: `net` is not granted'), why)\nend";
    fine(&[], body);
    fine(&["net"], "assert(#net.links() > 0)");
}

#[test]
fn programs_run_only_by_their_granted_name() {
    const SH: &[&str] = &["exec:sh", "exec:/usr/bin/id"];
    let run = |argv: &str| format!("process.check({{ argv = {argv} }})");
    fine(SH, &run("{ 'sh', '-c', 'true' }"));
    fine(SH, &run("{ '/usr/bin/id' }"));
    for (argv, why) in [
        (
            "{ 'bash' }",
            "process.check: `bash` is not granted: add \"exec:bash\" to `grants` in plugin.toml",
        ),
        ("{ 'id' }", "`id` is not granted: add \"exec:id\""),
        (
            "{ '/bin/sh' }",
            "`/bin/sh` is not granted: add \"exec:/bin/sh\"",
        ),
        (
            "{ '/usr/bin/../bin/id' }",
            "`/usr/bin/../bin/id` cannot be granted",
        ),
        (
            "{ './sh' }",
            "`./sh` is neither the name of a program nor an absolute path",
        ),
        (
            "{ 'bin/sh' }",
            "is neither the name of a program nor an absolute path",
        ),
        ("{ '..' }", "`..` cannot be granted"),
        ("{ 'sh ' }", "`sh ` is not granted"),
        ("{ 'SH' }", "`SH` is not granted"),
        ("{ 'sh\\0x' }", "item 1 of argv contains a NUL byte"),
        ("{ 's\\xffh' }", "cannot be granted"),
        ("{ '' }", "argv is empty"),
        ("{}", "argv is empty"),
    ] {
        refused(SH, &run(argv), why);
    }
}

#[test]
fn path_and_environment_cannot_change_the_program() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path().canonicalize().unwrap();
    std::os::unix::fs::symlink("/bin/sh", at.join("sh")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", at.join("true")).unwrap();
    let at = at.display();
    let grants = [
        format!("fs.write:{at}"),
        "exec:true".to_owned(),
        "exec:evil".to_owned(),
    ];
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let own = "is not granted: add \"exec:/";
    refused(
        &grants,
        &format!("process.run({{ argv = {{ '{at}/sh', '-c', 'true' }} }})"),
        own,
    );
    refused(
        &grants,
        &format!("process.run({{ argv = {{ 'sh' }}, cwd = '{at}' }})"),
        "`sh` is not granted",
    );
    let body = format!(
        "assert(process.run({{ argv = {{ 'true', '-c', 'exit 3' }}, cwd = '{at}' }}).code == 0)"
    );
    fine(&grants, &body);
    let evil = format!("fs.write('{at}/evil', '#!/bin/sh\\n', {{ mode = '0755' }})\n");
    let run = format!("{evil}process.run({{ argv = {{ 'evil' }}, cwd = '{at}' }})");
    refused(&grants, &run, "cannot start `evil`: no such program");
    for variable in [
        "PATH",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "BASH_ENV",
        "PYTHONPATH",
    ] {
        let run = format!(
            "{evil}process.run({{ argv = {{ 'evil' }}, env = {{ {variable} = '{at}' }} }})"
        );
        refused(&grants, &run, &format!("`{variable}` cannot be set"));
    }
}
