//! Scripts that ask the engine.

use crate::harness::bed::Bed;

/// A volume driver that knows of each volume which engine it was made for; `name/containers` asks in the middle of a call.
const VOLUME: &str = r#"local docker = require("@moondock/docker")
local store = require("@moondock/store")
local volume = {}

function volume.create(req)
  local answer = docker.request({ path = "/v1.41/info" })
  store.set(req.Name, { server = answer.body.ServerVersion, status = answer.status })
  local made = docker.request({ path = "/v1.41/networks/create", method = "POST", body = { Name = req.Name, CheckDuplicate = true } })
  if made.status ~= 201 then error(made.body.message, 0) end
end

function volume.get(req)
  local kept = store.get(req.Name)
  return { Volume = if kept then { Name = req.Name, Status = kept } else nil }
end

function volume.remove(req)
  docker.request({ path = "/v1.41/networks/" .. req.Name, method = "DELETE" })
  store.delete(req.Name)
end

function volume.mount(req) return { Mountpoint = "/srv/data" } end
function volume.unmount(req) end
function volume.list() return { Volumes = {} } end

return volume
"#;

const AUTHZ: &str = r#"local docker = require("@moondock/docker")
local authz = {}

function authz.request(req)
  if req.action == "container.list" then docker.request({ path = "/v1.41/info" }) end
  return true
end

return authz
"#;

#[test]
fn drivers_may_call_the_engine_and_policies_may_not() {
    needs!(engine);
    let bed = Bed::new();
    bed.write_script("scripts/asks/plugin.toml", "grants = [\"docker\"]\n");
    bed.write_script("scripts/asks/volume.lua", VOLUME);
    bed.write_script("scripts/asks/authz.lua", AUTHZ);
    let dir = bed.dir().display();
    let argv = [
        "env".to_owned(),
        format!("DOCKER_HOST=unix://{}", bed.socket().display()),
        env!("CARGO_BIN_EXE_moondock").to_owned(),
        "serve".to_owned(),
        format!("{dir}/scripts/asks"),
        "--state".to_owned(),
        format!("{dir}/state"),
    ];
    bed.plugin_start(&argv, "/run/docker/plugins/asks.sock");
    bed.engine_start(&["asks"]);

    bed.docker(&["volume", "create", "-d", "asks", "one"]).ok();
    let status = bed
        .docker(&[
            "volume",
            "inspect",
            "-f",
            "{{.Status.server}} {{.Status.status}}",
            "one",
        ])
        .ok();
    let version = bed.docker(&["version", "-f", "{{.Server.Version}}"]).ok();
    assert_eq!(status.trim(), format!("{} 200", version.trim()));
    bed.docker(&["network", "inspect", "one"]).ok();

    let twice = bed
        .docker(&["volume", "create", "-d", "asks", "bridge"])
        .fails();
    assert!(
        twice.contains("operation is not permitted on predefined bridge network"),
        "{twice}"
    );
    let listed = bed.docker(&["ps"]).fails();
    assert!(
        listed.contains(
            "a policy cannot send requests to the engine, as the engine would ask the policy first"
        ),
        "{listed}"
    );
}
