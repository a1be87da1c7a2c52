-- The policy of a shared Docker host: everything is allowed but what would give control of the
-- host. A rule is a function that returns the reason for a denial, which begins with the rule's
-- name, or nothing.

local containers = require("./policy/containers")
local json = require("@moondock/json")
local networks = require("./policy/networks")
local paths = require("./policy/paths")
local settings = require("./policy/settings")
local equals, unless, unless_listed = settings.equals, settings.unless, settings.unless_listed

local function confinement(privileges)
  if
    (privileges.Seccomp and (privileges.Seccomp.Mode or "default") ~= "default")
    or (privileges.AppArmor and (privileges.AppArmor.Mode or "default") ~= "default")
    or (privileges.SELinuxContext and privileges.SELinuxContext.Disable)
  then
    return "security-opt: services may not weaken their confinement"
  end
end

-- Denies what makes the engine fetch a URL: it reaches what listens on the host's loopback address
-- only, and errors quote the answer.
local function remote(url)
  if (url or "") == "" or url == "-" or url == "client-session" then return nil end
  return unless("remote_sources", `remote: the engine may not fetch {url}`)
end

local rules = {}

rules["container.create"] = function(req)
  return containers.host_config(req.body.HostConfig or {})
end

rules["container.update"] = function(req)
  return containers.resources(req.body)
end

local function checkpoints()
  return unless("checkpoints", "checkpoints: they can be in any directory of the host")
end
rules["checkpoint.create"] = checkpoints
rules["checkpoint.remove"] = checkpoints

rules["container.start"] = function(req)
  local from_checkpoint = req.query.checkpoint or req.query["checkpoint-dir"]
  local reason = if from_checkpoint then checkpoints() else nil
  if reason then return reason end
  for field in req.body or {} do
    return `old-api: a container is configured when it is created, not when it is started ({field})`
  end
end

rules["exec.create"] = function(req)
  if req.body.Privileged then return "privileged: commands in containers may not be privileged" end
end

local function buildkit()
  local reason = "builds: this policy cannot see what BuildKit does: set DOCKER_BUILDKIT=0"
  return unless("buildkit", reason)
end
rules["grpc.open"] = buildkit
rules["session.open"] = buildkit

-- The limits are a JSON text in the query, `null` for none.
local function build_ulimits(text)
  if (text or "") == "" then return nil end
  local is_json, list = pcall(json.decode, text)
  if is_json and list == nil then return nil end
  if not is_json or type(list) ~= "table" then
    return "realtime: the limits of a build must be a list in JSON"
  end
  for _, limit in list do
    if type(limit) ~= "table" then return "realtime: the limits of a build must be objects" end
    for field in limit do
      if field ~= "Name" and field ~= "Hard" and field ~= "Soft" then
        return `realtime: limits have no field {field}`
      end
    end
  end
  return containers.ulimits(list)
end

rules["image.build"] = function(req)
  if req.query.networkmode == "host" then
    return "namespaces: builds may not share the host's network namespace"
  end
  local version = req.query.version or "1"
  return remote(req.query.remote)
    or containers.cgroup_parent(req.query.cgroupparent)
    or build_ulimits(req.query.ulimits)
    or (version ~= "1" and version ~= "" and buildkit() or nil)
end

rules["image.create"] = function(req)
  return remote(req.query.fromSrc)
end

local function cluster_volumes()
  return unless("cluster_volumes", "swarm: volumes of the swarm may not be changed")
end
rules["volume.update"] = cluster_volumes

rules["volume.create"] = function(req)
  -- Engines of older API versions ignore the specification, and create a volume of the driver.
  local reason = if req.body.ClusterVolumeSpec ~= nil then cluster_volumes() else nil
  return reason or containers.volume(req.body.Driver, req.body.DriverOpts)
end

rules["network.create"] = function(req)
  return networks.create(req.body)
end

rules["service.create"] = function(req)
  local task = req.body.TaskTemplate or {}
  local spec = task.ContainerSpec or {}
  if task.PluginSpec ~= nil or task.Runtime == "plugin" then
    return "plugins: services may not install plugins"
  end
  local log = task.LogDriver or {}
  return containers.capabilities(spec.CapabilityAdd)
    or containers.logging(log.Name, log.Options)
    or containers.ulimits(spec.Ulimits)
    or containers.oom(spec.OomScoreAdj)
    or confinement(spec.Privileges or {})
    or containers.inline_volumes(spec.Mounts)
    or networks.of_service(task.Networks)
    or networks.of_service(req.body.Networks)
end
rules["service.update"] = rules["service.create"]

-- The log driver of all services that name none.
local function default_logging(swarm)
  local log = (swarm.TaskDefaults or {}).LogDriver or {}
  return containers.logging(log.Name, log.Options)
end
rules["swarm.init"] = function(req)
  return default_logging(req.body.Spec or {})
end
rules["swarm.update"] = function(req)
  return default_logging(req.body)
end

local WITHOUT_BODY = {
  ["container.start"] = true,
  ["image.build"] = true,
  ["image.create"] = true,
  ["grpc.open"] = true,
  ["session.open"] = true,
  ["checkpoint.create"] = true,
  ["checkpoint.remove"] = true,
}

local function denial(req)
  if req.effect == "unknown" then
    return `unknown: {req.RequestMethod} {req.path} is not known to this policy`
  end
  local noun = string.match(req.action, "^[^.]+")
  if noun == "plugin" then return "plugins: plugins may not be changed" end
  if noun == "swarm" or noun == "node" then
    local reason = "swarm: the swarm may not be changed"
    reason = unless_listed("swarm_actions", equals(req.action), reason)
    if reason then return reason end
  end
  local rule = rules[req.action]
  if rule and req.body == nil and not WITHOUT_BODY[req.action] then
    return `body: {req.action} has no readable body`
  end
  return paths.denial(req.mounts) or (rule and rule(req))
end

local authz = {}

function authz.request(req)
  local reason
  if req.effect ~= "read" then
    reason = denial(req)
  elseif req.action == "checkpoint.list" and req.query.dir then
    reason = checkpoints()
  end
  if reason then return false, reason end
  return true
end

return authz
