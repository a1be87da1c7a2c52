-- The policy of a shared Docker host: everything is allowed but what would give control of the
-- host. A rule is a function that returns the reason for a denial, which begins with the rule's
-- name, or nothing.

local plugin = require("@moondock/plugin")

-- Docker's default set, which every container has.
local DEFAULT_CAPABILITIES = {
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "NET_RAW",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
}
local NAMESPACES = {
  PidMode = "process",
  NetworkMode = "network",
  IpcMode = "IPC",
  UTSMode = "host name",
  UsernsMode = "user",
  CgroupnsMode = "cgroup",
}
local HARMLESS_SECURITY = {
  ["no-new-privileges"] = true,
  ["no-new-privileges=true"] = true,
  ["no-new-privileges:true"] = true,
  ["seccomp=builtin"] = true,
  ["apparmor=docker-default"] = true,
}
-- Types of local volumes that reach no disk of the host. Bind mounts are in `req.mounts`.
local HARMLESS_VOLUMES =
  { [""] = true, none = true, tmpfs = true, nfs = true, nfs4 = true, cifs = true }

-- Docker accepts a single string for some lists.
local function each(list)
  return if type(list) == "string" then { list } else list or {}
end

local function any(list)
  return list ~= nil and #list > 0
end

local function within(path, root)
  root = string.gsub(root, "/+$", "")
  return path == root or string.sub(path, 1, #root + 1) == root .. "/"
end

local function host_paths(mounts)
  for _, mount in mounts do
    local path, allowed = mount.resolved or mount.source, false
    for _, root in plugin.settings().roots or {} do
      allowed = allowed or within(path, root)
    end
    if not allowed or string.find(path .. "/", "/../", 1, true) then
      return `mounts: host path {mount.source} is not below one of the allowed roots`
    end
  end
end

-- Denies everything that is not on the list, so that unusual spellings are denied too.
local function capabilities(list)
  for _, name in each(list) do
    local plain = string.gsub(string.upper(name), "^CAP_", "")
    local allowed = plugin.settings().capabilities or {}
    if not (table.find(DEFAULT_CAPABILITIES, plain) or table.find(allowed, plain)) then
      return `capabilities: containers may not add {name}`
    end
  end
end

local function namespaces(host)
  for field, name in NAMESPACES do
    if host[field] == "host" then
      return `namespaces: containers may not share the host's {name} namespace`
    end
  end
end

local function devices(host)
  if any(host.Devices) or any(host.DeviceRequests) or any(host.DeviceCgroupRules) then
    return "devices: containers may not have devices of the host"
  end
end

local function security(host)
  for _, option in each(host.SecurityOpt) do
    if not HARMLESS_SECURITY[option] then
      return `security-opt: containers may not weaken their confinement with {option}`
    end
  end
  -- The CLI sends these for `--security-opt systempaths=unconfined`.
  if host.MaskedPaths ~= nil or host.ReadonlyPaths ~= nil then
    return "security-opt: containers may not unmask paths of the kernel"
  end
end

local function volume(driver, options)
  local kind = options and options.type or ""
  if (driver or "") ~= "" and driver ~= "local" then return nil end
  if not HARMLESS_VOLUMES[kind] then return `volumes: a local volume may not be of type {kind}` end
end

local function inline_volumes(mounts)
  for _, mount in each(mounts) do
    local config = mount.VolumeOptions and mount.VolumeOptions.DriverConfig
    local reason = config and volume(config.Name, config.Options)
    if reason then return reason end
  end
end

local function host_config(host)
  if host.Privileged then return "privileged: containers may not be privileged" end
  return namespaces(host)
    or capabilities(host.CapAdd)
    or capabilities(host.Capabilities)
    or devices(host)
    or security(host)
    or inline_volumes(host.Mounts)
end

local function confinement(privileges)
  if
    (privileges.Seccomp and (privileges.Seccomp.Mode or "default") ~= "default")
    or (privileges.AppArmor and (privileges.AppArmor.Mode or "default") ~= "default")
    or (privileges.SELinuxContext and privileges.SELinuxContext.Disable)
  then
    return "security-opt: services may not weaken their confinement"
  end
end

-- The request has the network's ID, which may be that of the host's network, so only those in the
-- settings are allowed.
local function service_networks(list)
  for _, network in each(list) do
    if not table.find(plugin.settings().service_networks or {}, network.Target) then
      return `namespaces: services may not use the network {network.Target}, as it may be the host's`
    end
  end
end

local rules = {}

rules["container.create"] = function(req)
  return host_config(req.body.HostConfig or {})
end

rules["container.update"] = function(req)
  return devices(req.body)
end

rules["container.start"] = function(req)
  for field in req.body or {} do
    return `old-api: a container is configured when it is created, not when it is started ({field})`
  end
end

rules["exec.create"] = function(req)
  if req.body.Privileged then return "privileged: commands in containers may not be privileged" end
end

rules["image.build"] = function(req)
  if req.query.networkmode == "host" then
    return "namespaces: builds may not share the host's network namespace"
  end
end

rules["volume.create"] = function(req)
  return volume(req.body.Driver, req.body.DriverOpts)
end

rules["service.create"] = function(req)
  local task = req.body.TaskTemplate or {}
  local spec = task.ContainerSpec or {}
  if task.PluginSpec ~= nil or task.Runtime == "plugin" then
    return "plugins: services may not install plugins"
  end
  return capabilities(spec.CapabilityAdd)
    or confinement(spec.Privileges or {})
    or inline_volumes(spec.Mounts)
    or service_networks(task.Networks)
    or service_networks(req.body.Networks)
end
rules["service.update"] = rules["service.create"]

local function buildkit()
  if not plugin.settings().buildkit then
    return "builds: this policy cannot see what BuildKit is asked to do"
  end
end
rules["grpc.open"] = buildkit
rules["session.open"] = buildkit

local function checkpoints()
  return "checkpoints: they can be written to any directory of the host"
end
rules["checkpoint.create"] = checkpoints
rules["checkpoint.remove"] = checkpoints

local WITHOUT_BODY = {
  ["container.start"] = true,
  ["image.build"] = true,
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
  if noun == "swarm" or noun == "node" then return "swarm: the swarm may not be changed" end
  local rule = rules[req.action]
  if rule and req.body == nil and not WITHOUT_BODY[req.action] then
    return `body: {req.action} has no readable body`
  end
  return host_paths(req.mounts) or (rule and rule(req))
end

local authz = {}

function authz.request(req)
  if req.effect == "read" then return true end
  local reason = denial(req)
  if reason then return false, reason end
  return true
end

return authz
