//! The calls that are measured: recorded ones, and one made larger.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Decides by what the URI means, or by two fields of the body of a create.
pub const POLICY: &str = r#"local authz = {}

function authz.request(req)
  if req.action == "container.create" then
    return not req.body.HostConfig.Privileged and req.body.Image ~= "forbidden"
  end
  return req.effect == "read"
end

return authz
"#;

pub const DRIVER: &str = r#"local volume = {}

function volume.get(req)
  return { Volume = { Name = req.Name, Mountpoint = "/data/" .. req.Name } }
end

local function unused() end
volume.create, volume.remove, volume.mount, volume.unmount, volume.list = unused, unused, unused, unused, unused

return volume
"#;

/// One kind of call.
pub struct Workload {
    pub name: &'static str,
    pub plugin: &'static str,
    method: &'static str,
    body: String,
}

/// All that are compared with bare hyper.
pub fn all() -> Vec<Workload> {
    let authz = |name, body: &str| Workload {
        name,
        plugin: "policy",
        method: "AuthZPlugin.AuthZReq",
        body: body.into(),
    };
    vec![
        authz("authz get", include_str!("get.json")),
        authz("authz create", include_str!("create.json")),
        create("authz 512 KB", 512 * 1024),
        Workload {
            name: "volume get",
            plugin: "driver",
            method: "VolumeDriver.Get",
            body: include_str!("volume_get.json").into(),
        },
    ]
}

/// The recorded create, its body filled up to `size` bytes with environment variables.
pub fn create(name: &'static str, size: usize) -> Workload {
    let mut call: Value = serde_json::from_str(include_str!("create.json")).unwrap();
    let body = STANDARD
        .decode(call["RequestBody"].as_str().unwrap())
        .unwrap();
    let filler = size.saturating_sub(body.len()) / 103;
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    let variable = |n| format!("VARIABLE_{n:08}={}", "x".repeat(82));
    body["Env"] = (0..filler).map(variable).collect();
    let body = body.to_string();
    call["RequestHeaders"]["Content-Length"] = json!(body.len().to_string());
    call["RequestBody"] = json!(STANDARD.encode(body));
    Workload {
        name,
        plugin: "policy",
        method: "AuthZPlugin.AuthZReq",
        body: call.to_string() + "\n",
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
