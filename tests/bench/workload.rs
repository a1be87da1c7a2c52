//! The calls that are measured, and the scripts that answer them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Decides by the route, or by two fields of the body of a create.
pub const POLICY: &str = r#"local authz = {}

function authz.request(req)
  if req.action == "container.create" then
    return not req.body.HostConfig.Privileged and req.body.Image ~= "forbidden"
  end
  return req.effect == "read"
end

return authz
"#;

/// Answers for volumes; `list` uses 200 ms of CPU time without a pause.
pub const DRIVER: &str = r#"local volume = {}

function volume.get(req)
  return { Volume = { Name = req.Name, Mountpoint = "/data/" .. req.Name } }
end

function volume.list()
  local started = os.clock()
  while os.clock() - started < 0.2 do end
  return { Volumes = {} }
end

local function unused() end
volume.create, volume.remove, volume.mount, volume.unmount = unused, unused, unused, unused

return volume
"#;

/// Counts the entries of containers' logs.
pub const LOG_DRIVER: &str = r#"local log = {}
local count = 0

function log.write_batch(entries)
  for _, entry in entries do
    count += #entry.line
  end
end

return log
"#;

/// Volumes of the kit; a volume with the option `count` brings so many others along.
pub const VOLUMES: &str = r#"local store = require("@moondock/store")
local hooks = require("@moondock/volume").driver({
  options = { count = { type = "integer", default = "0" } },
  mount = function(v) return "/m/" .. v.name end,
  path = function(v) return "/m/" .. v.name end,
})

local create = hooks.create
function hooks.create(req)
  create(req)
  if req.Opts == nil then return end
  store.transaction(function(tx)
    local record = tx:get("@volume/" .. req.Name)
    for n = 1, record.options.count do
      record.name = `v{n}`
      tx:set("@volume/" .. record.name, record)
    end
  end)
end

return hooks
"#;

/// One kind of call.
#[derive(Clone)]
pub struct Workload {
    pub name: &'static str,
    pub plugin: &'static str,
    pub method: &'static str,
    pub body: String,
}

/// The workloads that are compared with bare hyper.
pub fn all() -> Vec<Workload> {
    vec![
        get(),
        create("authz create", 0),
        create("authz 512 KB", 512 * 1024),
        volume_get(),
    ]
}

/// The decision about `docker ps`.
pub fn get() -> Workload {
    authz("authz get", include_str!("get.json").to_owned())
}

/// The decision about a create whose body is filled up to `size` bytes with environment variables.
pub fn create(name: &'static str, size: usize) -> Workload {
    let mut body: Value = serde_json::from_str(include_str!("create.json")).unwrap();
    let length = body.to_string().len();
    let filler = size.saturating_sub(length) / 103;
    let variable = |n| json!(format!("VARIABLE_{n:08}={}", "x".repeat(82)));
    body["Env"]
        .as_array_mut()
        .unwrap()
        .extend((0..filler).map(variable));
    let body = body.to_string() + "\n";
    let call = json!({
        "RequestMethod": "POST",
        "RequestUri": "/v1.50/containers/create?name=shop-web-1",
        "RequestBody": STANDARD.encode(&body),
        "RequestHeaders": {
            "Content-Length": body.len().to_string(),
            "Content-Type": "application/json",
            "User-Agent": "Docker-Client/28.2.2 (linux)",
        },
    });
    authz(name, call.to_string() + "\n")
}

/// The question for a volume.
pub fn volume_get() -> Workload {
    Workload {
        name: "volume get",
        plugin: "driver",
        method: "VolumeDriver.Get",
        body: include_str!("volume_get.json").to_owned(),
    }
}

fn authz(name: &'static str, body: String) -> Workload {
    Workload {
        name,
        plugin: "policy",
        method: "AuthZPlugin.AuthZReq",
        body,
    }
}

impl Workload {
    /// The request as the engine writes it.
    pub fn bytes(&self) -> Vec<u8> {
        request(self.method, &self.body)
    }
}

/// A request as the engine writes it.
pub fn request(method: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /{method} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {length}\r\n\
         Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n{body}"
    )
    .into_bytes()
}
