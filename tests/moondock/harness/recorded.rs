//! A plugin of every interface in this process, and the calls that engines really made.

use crate::harness::scripted::call_of;
use moondock::plugin::{Plugin, PluginSpec, Reply};
use serde::Deserialize;
use std::fs;
use std::rc::Rc;
use tempfile::TempDir;

/// Recorded from engines 20.10.24, 26.1.5 and 28.5.2 and from podman 4.3.1, one of each form of a body; those of
/// `made` follow the documentation, since they were not recorded.
const CALLS: &str = include_str!("../../golden/engine-calls.jsonl");

/// A plugin of all interfaces that says yes to everything.
pub const PERMISSIVE: &[(&str, &str)] = &[
    ("authz", include_str!("../../golden/permissive/authz.lua")),
    ("volume", include_str!("../../golden/permissive/volume.lua")),
    (
        "network",
        include_str!("../../golden/permissive/network.lua"),
    ),
    ("ipam", include_str!("../../golden/permissive/ipam.lua")),
    ("secret", include_str!("../../golden/permissive/secret.lua")),
    ("log", LOG),
    ("metrics", METRICS),
];
const LOG: &str = "return { write = function() end }";
const METRICS: &str = "local function no() end\nreturn { start = no, collect = no, stop = no }";

/// All hooks of all served interfaces, by their methods' wire names.
const HOOKS: &[(&str, &str, &[&str])] = &[
    (
        "authz",
        "AuthZPlugin",
        &["AuthZReq request", "AuthZRes response"],
    ),
    (
        "volume",
        "VolumeDriver",
        &[
            "Create create",
            "Remove remove",
            "Mount mount",
            "Unmount unmount",
            "Path path",
            "Get get",
            "List list",
            "Capabilities capabilities",
        ],
    ),
    (
        "network",
        "NetworkDriver",
        &[
            "GetCapabilities get_capabilities",
            "GwAllocCheck gw_alloc_check",
            "AllocateNetwork allocate_network",
            "FreeNetwork free_network",
            "CreateNetwork create_network",
            "DeleteNetwork delete_network",
            "CreateEndpoint create_endpoint",
            "DeleteEndpoint delete_endpoint",
            "EndpointOperInfo endpoint_oper_info",
            "Join join",
            "Leave leave",
            "ProgramExternalConnectivity program_external_connectivity",
            "RevokeExternalConnectivity revoke_external_connectivity",
            "DiscoverNew discover_new",
            "DiscoverDelete discover_delete",
        ],
    ),
    (
        "ipam",
        "IpamDriver",
        &[
            "GetCapabilities get_capabilities",
            "GetDefaultAddressSpaces get_default_address_spaces",
            "RequestPool request_pool",
            "ReleasePool release_pool",
            "RequestAddress request_address",
            "ReleaseAddress release_address",
        ],
    ),
    ("secret", "SecretProvider", &["GetSecret get_secret"]),
];

/// The one method whose failure closes the connection.
pub const GET: &str = "/VolumeDriver.Get";

#[derive(Deserialize)]
pub struct Call {
    pub engine: String,
    pub op: String,
    pub path: String,
    pub body: String,
}

impl Call {
    pub fn name(&self) -> String {
        format!(
            "{} {} {} {}",
            self.engine,
            self.op,
            self.path,
            self.body.trim_end()
        )
    }

    /// Log streams need a FIFO: `log_streams` makes them.
    pub fn is_replayed(&self) -> bool {
        !self.path.starts_with("/LogDriver.")
    }
}

pub fn calls() -> impl Iterator<Item = Call> {
    CALLS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
}

/// A plugin in this process, with its directories.
pub struct RecordedPlugin {
    plugin: Rc<Plugin>,
    _dir: TempDir,
}

impl RecordedPlugin {
    async fn new<'a>(scripts: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let root = TempDir::new().unwrap();
        let [dir, state] = ["scripts", "state"].map(|name| root.path().join(name));
        [&dir, &state]
            .iter()
            .for_each(|dir| fs::create_dir(dir).unwrap());
        for (interface, text) in scripts {
            fs::write(dir.join(format!("{interface}.lua")), text).unwrap();
        }
        let spec = PluginSpec::new("golden", dir, state);
        Self {
            plugin: Plugin::open(spec).await.unwrap_or_else(|e| panic!("{e}")),
            _dir: root,
        }
    }

    pub async fn permissive() -> Self {
        Self::new(
            PERMISSIVE
                .iter()
                .map(|(interface, text)| (*interface, (*text).to_owned())),
        )
        .await
    }

    /// Each hook with this body.
    pub async fn every_hook(body: &str) -> Self {
        Self::new(HOOKS.iter().map(|(interface, _, methods)| {
            let hooks = methods
                .iter()
                .map(|method| method.split_once(' ').unwrap().1);
            let hooks: String = hooks
                .map(|hook| format!("{hook} = function(req) {body} end, "))
                .collect();
            (*interface, format!("return {{ {hooks} }}"))
        }))
        .await
    }

    pub async fn call(&self, path: &str, body: &str) -> Reply {
        self.plugin
            .call(call_of(path), body.to_owned().into())
            .await
    }
}

pub fn paths() -> impl Iterator<Item = String> {
    HOOKS.iter().flat_map(|(_, prefix, methods)| {
        methods
            .iter()
            .map(move |method| format!("/{prefix}.{}", method.split_once(' ').unwrap().0))
    })
}

/// A body that the method understands.
pub fn good_body(path: &str) -> String {
    let call = calls().find(|call| call.path == path && !call.body.is_empty());
    call.map(|call| call.body).unwrap_or_default()
}
