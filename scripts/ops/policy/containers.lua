-- Rules for the configuration of containers. Each returns the reason for a denial, or nothing.

local settings = require("./settings")
local each, equals, unless, unless_listed =
  settings.each, settings.equals, settings.unless, settings.unless_listed

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

-- Log drivers that keep a container's log in its own directory; "" is the engine's default.
local HARMLESS_LOGS = { [""] = true, ["json-file"] = true, ["local"] = true, none = true }
-- The default may be a driver that sends the log somewhere, so its options count too.
local HARMLESS_LOG_OPTIONS = {
  compress = true,
  env = true,
  ["env-regex"] = true,
  labels = true,
  ["labels-regex"] = true,
  ["max-buffer-size"] = true,
  ["max-file"] = true,
  ["max-size"] = true,
  mode = true,
  tag = true,
}
-- Limits of a process. Those that are not here, `rtprio` and `nice`, take processor time from the
-- host, whatever the container's share is.
local HARMLESS_ULIMITS = {
  core = true,
  cpu = true,
  data = true,
  fsize = true,
  locks = true,
  memlock = true,
  msgqueue = true,
  nofile = true,
  nproc = true,
  rss = true,
  sigpending = true,
  stack = true,
}
local BLOCK_LIMITS = {
  "BlkioWeightDevice",
  "BlkioDeviceReadBps",
  "BlkioDeviceReadIOps",
  "BlkioDeviceWriteBps",
  "BlkioDeviceWriteIOps",
}
local HARMLESS_RUNTIMES = { [""] = true, runc = true, ["io.containerd.runc.v2"] = true }

local function any(list)
  return list ~= nil and #list > 0
end

-- Denies everything that is not on the list, so that unusual spellings are denied too.
local function capabilities(list)
  for _, name in each(list) do
    local plain = string.gsub(string.upper(name), "^CAP_", "")
    if not table.find(DEFAULT_CAPABILITIES, plain) then
      local reason = `capabilities: containers may not add {name}`
      reason = unless_listed("capabilities", equals(plain), reason)
      if reason then return reason end
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

-- A driver says which path of the host a volume is.
local function volume_driver(name)
  if (name or "") == "" then return nil end
  local reason = `volumes: volumes may not be of the driver {name}`
  return unless_listed("volume_drivers", settings.names(name), reason)
end

local function volume(driver, options)
  local reason = volume_driver(driver)
  if reason then return reason end
  local is_local = (driver or "") == "" or driver == "local"
  local kind = options and options.type or ""
  if is_local and not HARMLESS_VOLUMES[kind] then
    return `volumes: a local volume may not be of type {kind}`
  end
end

local function inline_volumes(mounts)
  for _, mount in each(mounts) do
    local config = mount.VolumeOptions and mount.VolumeOptions.DriverConfig
    local reason = config and volume(config.Name, config.Options)
    if reason then return reason end
  end
end

local function logging(driver, options)
  driver = driver or ""
  local to = if HARMLESS_LOGS[driver] then nil else driver
  for option in options or {} do
    if not HARMLESS_LOG_OPTIONS[option] then to = to or `what {option} names` end
  end
  if to == nil then return nil end
  local reason = `logging: containers may not log to {to}`
  -- No entry of the setting could be the engine's default, which the request does not name.
  if driver == "" then return `{reason}: name the log driver too` end
  return unless_listed("log_drivers", settings.names(driver), reason)
end

local function cgroup_parent(path)
  if (path or "") == "" then return nil end
  local function allows(parent)
    return settings.within(path, parent) and not string.find(path, "..", 1, true)
  end
  return unless_listed("cgroup_parents", allows, `cgroups: containers may not be below {path}`)
end

local function ulimits(list)
  for _, limit in each(list) do
    if not HARMLESS_ULIMITS[limit.Name] then
      return unless("realtime", `realtime: containers may not have the limit {limit.Name}`)
    end
  end
end

local function realtime(host)
  if (host.CpuRealtimePeriod or 0) ~= 0 or (host.CpuRealtimeRuntime or 0) ~= 0 then
    return unless("realtime", "realtime: containers may not be scheduled before the host")
  end
  return ulimits(host.Ulimits)
end

local function oom(score, never_killed)
  if (score or 0) < 0 or never_killed then
    return unless("oom", "oom: containers may not be spared when the host has no memory")
  end
end

local function block_limits(host)
  for _, field in BLOCK_LIMITS do
    if any(host[field]) then
      return unless("block_limits", "devices: containers may not name block devices of the host")
    end
  end
end

local function runtime(host)
  local name = host.Runtime or ""
  if HARMLESS_RUNTIMES[name] then return nil end
  return unless_listed("runtimes", equals(name), `runtimes: containers may not use {name}`)
end

-- A runtime may take any of them for an option of its own, or of systemd's.
local function annotations(host)
  for name in host.Annotations or {} do
    local reason = `annotations: containers may not have {name}`
    reason = unless_listed("annotations", equals(name), reason)
    if reason then return reason end
  end
end

-- What `docker update` can change too.
local function resources(host)
  return devices(host)
    or block_limits(host)
    or cgroup_parent(host.CgroupParent)
    or realtime(host)
    or oom(nil, host.OomKillDisable)
end

local function host_config(host)
  if host.Privileged then return "privileged: containers may not be privileged" end
  local log = host.LogConfig or {}
  return namespaces(host)
    or capabilities(host.CapAdd)
    or capabilities(host.Capabilities)
    or resources(host)
    or security(host)
    or volume_driver(host.VolumeDriver)
    or inline_volumes(host.Mounts)
    or logging(log.Type, log.Config)
    or oom(host.OomScoreAdj)
    or runtime(host)
    or annotations(host)
end

return {
  capabilities = capabilities,
  cgroup_parent = cgroup_parent,
  host_config = host_config,
  inline_volumes = inline_volumes,
  logging = logging,
  oom = oom,
  resources = resources,
  ulimits = ulimits,
  volume = volume,
}
