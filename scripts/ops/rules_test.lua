-- Each rule of the policy, by the requests of Docker's client that it is about.

local authz = require("./authz")
local json = require("@moondock/json")
local paths = require("./policy/paths")
local test = require("@moondock/test")

local ROUTES = {
  ["checkpoint.create"] = "POST /containers/x/checkpoints",
  ["checkpoint.list"] = "GET /containers/x/checkpoints",
  ["container.attach"] = "POST /containers/x/attach",
  ["container.create"] = "POST /containers/create",
  ["container.start"] = "POST /containers/x/start",
  ["container.update"] = "POST /containers/x/update",
  ["exec.create"] = "POST /containers/x/exec",
  ["grpc.open"] = "POST /grpc",
  ["image.build"] = "POST /build",
  ["image.create"] = "POST /images/create",
  ["network.create"] = "POST /networks/create",
  ["node.update"] = "POST /nodes/x/update",
  ["plugin.disable"] = "POST /plugins/x/disable",
  ["plugin.enable"] = "POST /plugins/x/enable",
  ["plugin.list"] = "GET /plugins",
  ["plugin.pull"] = "POST /plugins/pull",
  ["plugin.remove"] = "DELETE /plugins/x",
  ["plugin.set"] = "POST /plugins/x/set",
  ["service.create"] = "POST /services/create",
  ["service.update"] = "POST /services/x/update",
  ["session.open"] = "POST /session",
  ["swarm.init"] = "POST /swarm/init",
  ["swarm.join"] = "POST /swarm/join",
  ["swarm.leave"] = "POST /swarm/leave",
  ["swarm.update"] = "POST /swarm/update",
  ["volume.create"] = "POST /volumes/create",
  ["volume.update"] = "PUT /volumes/x",
}

local function escaped(text)
  return (
    string.gsub(text, "[^%w._~-]", function(letter)
      return string.format("%%%02X", string.byte(letter))
    end)
  )
end

-- Asks the policy about an action.
local function ask(action, body, more)
  local method, path = string.match(ROUTES[action], "^(%u+) (.*)$")
  local query = {}
  for name, value in (more or {}).query or {} do
    table.insert(query, `{name}={escaped(value)}`)
  end
  local uri = `/v1.41{path}{if #query > 0 then "?" .. table.concat(query, "&") else ""}`
  return test.request({ method = method, uri = uri, body = body })
end

local function allowed(action, body, more)
  test.allowed(ask(action, body, more))
end

local function denied(reason, action, body, more)
  local decision = ask(action, body, more)
  test.equal({ decision.allow, decision.message }, { false, reason })
end

local OUTSIDE = "is not in one of the allowed roots (see the settings roots and paths)"

local function container(host)
  return { Image = "busybox", HostConfig = host }
end

test.case("ordinary containers are allowed", function()
  allowed(
    "container.create",
    container({
      NetworkMode = "default",
      PidMode = "",
      IpcMode = "private",
      Devices = json.array({}),
      CapAdd = { "NET_ADMIN", "cap_chown" },
      Privileged = false,
      SecurityOpt = { "no-new-privileges" },
      Binds = { "data:/data" },
    })
  )
  allowed("container.create", { Image = "busybox" })
  allowed("container.create", container({ CapAdd = "CAP_NET_RAW" }))
  allowed("container.start")
  allowed("container.start", {})
  allowed("exec.create", { Cmd = { "sh" } })
  allowed("container.attach")
  allowed("image.build", nil, { query = { networkmode = "default" } })
  allowed("plugin.list")
end)

test.case("privileges are denied", function()
  denied(
    "privileged: containers may not be privileged",
    "container.create",
    container({ Privileged = true })
  )
  denied(
    "privileged: commands in containers may not be privileged",
    "exec.create",
    { Privileged = true }
  )
end)

test.cases("the host's namespaces are denied", {
  { name = "process", field = "PidMode" },
  { name = "network", field = "NetworkMode" },
  { name = "IPC", field = "IpcMode" },
  { name = "host name", field = "UTSMode" },
  { name = "user", field = "UsernsMode" },
  { name = "cgroup", field = "CgroupnsMode" },
}, function(row)
  denied(
    `namespaces: containers may not share the host's {row.name} namespace`,
    "container.create",
    container({ [row.field] = "host" })
  )
end)

test.case("builds on the host's network are denied", function()
  denied(
    "namespaces: builds may not share the host's network namespace",
    "image.build",
    nil,
    { query = { networkmode = "host" } }
  )
end)

test.case("capabilities are denied, however they are written", function()
  for _, name in { "SYS_ADMIN", "CAP_SYS_ADMIN", "sys_admin", "ALL", "ſys_admin" } do
    for _, added in { name, { name } :: any } do
      denied(
        `capabilities: containers may not add {name} (see the setting capabilities)`,
        "container.create",
        container({ CapAdd = added })
      )
    end
  end
end)

test.case("devices are denied", function()
  local reason = "devices: containers may not have devices of the host"
  local device = container({ Devices = { { PathOnHost = "/dev/sda" } } })
  denied(`mounts: host path /dev/sda {OUTSIDE}`, "container.create", device)
  test.settings({ paths = { "/dev/sda" } })
  denied(reason, "container.create", device)
  denied(reason, "container.create", container({ DeviceRequests = { { Count = -1 } } }))
  denied(reason, "container.update", { DeviceCgroupRules = { "a *:* rwm" } })
end)

test.case("less confinement is denied", function()
  for _, option in
    {
      "seccomp=unconfined",
      "apparmor:unconfined",
      "label=disable",
      "label:type:spc_t",
      "systempaths=unconfined",
      "no-new-privileges=false",
    }
  do
    denied(
      `security-opt: containers may not weaken their confinement with {option}`,
      "container.create",
      container({ SecurityOpt = { option } })
    )
  end
  denied(
    "security-opt: containers may not unmask paths of the kernel",
    "container.create",
    container({ MaskedPaths = json.array({}) })
  )
end)

local function bind(source)
  return container({ Binds = { source .. ":/data" } })
end

local function bind_volume(device)
  return {
    Name = "v",
    Driver = "local",
    DriverOpts = { type = "none", o = "bind", device = device },
  }
end

test.case("what is directly in a root may be mounted", function()
  test.file("/srv/data/x/file")
  allowed("container.create", bind("/srv/data/x"))
  allowed("container.create", bind("/srv/data//x/"))
end)

test.cases("other paths of the host are denied", {
  {
    name = "a root",
    source = "/srv/data",
    wrong = "contains what containers mount: mount a directory in it",
  },
  {
    name = "deeper than a root",
    source = "/srv/data/x/y",
    wrong = "is inside of /srv/data/x, where a container can replace it by a link: mount /srv/data/x",
  },
  { name = "elsewhere", source = "/etc", wrong = OUTSIDE },
  { name = "a link", source = "/srv/data/link", wrong = OUTSIDE },
  { name = "a similar name", source = "/srv/database", wrong = OUTSIDE },
}, function(row)
  test.file("/srv/data/x/y/file")
  test.file("/srv/database/file")
  test.file("/etc/passwd")
  test.link("/srv/data/link", "/")
  denied(`mounts: host path {row.source} {row.wrong}`, "container.create", bind(row.source))
end)

test.case("paths of volumes that climb or are relative are denied", function()
  test.file("/srv/data/x/file")
  local climbing = bind_volume("/srv/data/../..")
  denied(`mounts: host path /srv/data/../.. {OUTSIDE}`, "volume.create", climbing)
  test.denied(ask("volume.create", bind_volume("..")), "it is not an absolute path")
  -- Moondock denies what cannot be resolved; the policy does not rely on it.
  test.equal(paths.denial({ { source = ".." } }), `mounts: host path .. {OUTSIDE}`)
  test.equal(
    paths.denial({ { source = "/srv/data/../.." } }),
    "mounts: host path /srv/data/../.. has .. in it"
  )
end)

test.case("a path of the settings may be mounted, and nothing in it", function()
  test.settings({ roots = { "/srv/data" }, paths = { "/srv/shared/" } })
  test.file("/srv/shared/x/file")
  allowed("container.create", bind("/srv/shared"))
  denied(
    "mounts: host path /srv/shared/x is inside of /srv/shared, where a container can replace it by a link: mount /srv/shared",
    "container.create",
    bind("/srv/shared/x")
  )
end)

test.cases("paths of the settings that contain one another deny all mounts", {
  { name = "roots", roots = { "/srv", "/srv/data" }, paths = {} },
  { name = "a root in a path", roots = { "/srv/data" }, paths = { "/srv" } },
  { name = "a path in a root", roots = { "/srv" }, paths = { "/srv/shared" } },
}, function(row)
  test.settings({ roots = row.roots, paths = row.paths })
  test.denied(ask("container.create", bind("/srv/shared")), "may not contain one another")
  allowed("container.create", container({}))
end)

test.case("local volumes of block devices are denied", function()
  allowed("volume.create", { Name = "x" })
  allowed("volume.create", {
    Name = "x",
    Driver = "local",
    DriverOpts = { type = "nfs", device = ":/x", o = "addr=1.2.3.4" },
  })
  allowed("volume.create", { Name = "x", Driver = "ops", DriverOpts = { type = "fast" } })
  local block = { Name = "x", DriverOpts = { type = "ext4", device = "/dev/sda1" } }
  denied(`mounts: host path /dev/sda1 {OUTSIDE}`, "volume.create", block)
  test.settings({ paths = { "/dev/sda1" } })
  denied("volumes: a local volume may not be of type ext4", "volume.create", block)
  denied(
    "volumes: a local volume may not be of type overlay",
    "container.create",
    container({
      Mounts = {
        {
          Type = "volume",
          VolumeOptions = { DriverConfig = { Name = "local", Options = { type = "overlay" } } },
        },
      },
    })
  )
end)

test.case("changes of plugins are denied", function()
  for _, action in
    { "plugin.pull", "plugin.enable", "plugin.disable", "plugin.set", "plugin.remove" }
  do
    local needs_body = action == "plugin.pull" or action == "plugin.set"
    denied(
      "plugins: plugins may not be changed",
      action,
      if needs_body then json.array({}) else nil
    )
  end
end)

test.case("changes of the swarm are denied but those in the settings", function()
  local reason = "swarm: the swarm may not be changed (see the setting swarm_actions)"
  for _, action in { "swarm.init", "swarm.join", "swarm.leave", "swarm.update", "node.update" } do
    denied(reason, action, {})
  end
  test.settings({ swarm_actions = { "node.update" } })
  allowed("node.update", { Availability = "drain" })
  denied(reason, "swarm.update", {})
end)

local function service(task)
  return { Name = "x", TaskTemplate = task }
end

local function on_network(target)
  return service({ Networks = { { Target = target } } })
end

test.case("services are judged like containers", function()
  allowed(
    "service.create",
    service({
      ContainerSpec = { Image = "x", Mounts = json.array({}), CapabilityAdd = { "CAP_CHOWN" } },
    })
  )
  denied(
    "capabilities: containers may not add CAP_SYS_ADMIN (see the setting capabilities)",
    "service.create",
    service({ ContainerSpec = { CapabilityAdd = { "CAP_SYS_ADMIN" } } })
  )
  denied(
    "security-opt: services may not weaken their confinement",
    "service.create",
    service({ ContainerSpec = { Privileges = { Seccomp = { Mode = "unconfined" } } } })
  )
  denied(
    "plugins: services may not install plugins",
    "service.create",
    service({ PluginSpec = { Remote = "x" } })
  )
end)

test.case("services use the networks of the settings only", function()
  local function reason(target)
    return `namespaces: services may not use the network {target}, as it may be the host's (see the setting service_networks)`
  end
  for _, target in { "host", "abcdef0123456789abcdefghi" } do
    denied(reason(target), "service.update", on_network(target))
  end
  test.settings({ service_networks = { "abcdef0123456789abcdefghi", "shop_*", "*" } })
  allowed("service.create", on_network("abcdef0123456789abcdefghi"))
  allowed("service.create", on_network("shop_default"))
  for _, target in { "shop", "xshop_default", "host", "9bcdef0123456789abcdefghi" } do
    denied(reason(target), "service.create", on_network(target))
  end
end)

test.case("what cannot be judged is denied", function()
  for _, action in { "grpc.open", "session.open" } do
    test.settings({ buildkit = false })
    denied(
      "builds: this policy cannot see what BuildKit does: set DOCKER_BUILDKIT=0 (see the setting buildkit)",
      action
    )
    test.settings({ buildkit = true })
    allowed(action)
  end
  denied(
    "checkpoints: they can be in any directory of the host (see the setting checkpoints)",
    "checkpoint.create",
    { CheckpointDir = "/etc" }
  )
end)

-- What reaches beyond the container: the reason for a denial, the request, and the setting with the
-- value that allows it.
local REACHING: { { any } } = {
  {
    "logging: containers may not log to syslog",
    { "container.create", container({ LogConfig = { Type = "syslog", Config = { tag = "x" } } }) },
    { log_drivers = { "syslog" } },
  },
  {
    "logging: containers may not log to what syslog-address names",
    {
      "container.create",
      container({ LogConfig = { Type = "local", Config = { ["syslog-address"] = "x" } } }),
    },
    { log_drivers = { "local" } },
  },
  {
    "logging: containers may not log to gelf",
    { "service.create", { TaskTemplate = { LogDriver = { Name = "gelf", Options = {} } } } },
    { log_drivers = { "gelf" } },
  },
  {
    "cgroups: containers may not be below /system.slice",
    { "container.create", container({ CgroupParent = "/system.slice" }) },
    { cgroup_parents = { "/system.slice" } },
  },
  {
    "cgroups: containers may not be below /users/a",
    { "container.update", { CgroupParent = "/users/a" } },
    { cgroup_parents = { "/users" } },
  },
  {
    "cgroups: containers may not be below /x",
    { "image.build", nil, { query = { cgroupparent = "/x" } } },
    { cgroup_parents = { "/x" } },
  },
  {
    "realtime: containers may not have the limit rtprio",
    { "container.create", container({ Ulimits = { { Name = "nofile" }, { Name = "rtprio" } } }) },
    { realtime = true },
  },
  {
    "realtime: containers may not have the limit RTPRIO",
    {
      "service.create",
      { TaskTemplate = { ContainerSpec = { Ulimits = { { Name = "RTPRIO" } } } } },
    },
    { realtime = true },
  },
  {
    "realtime: containers may not have the limit nice",
    { "image.build", nil, { query = { ulimits = '[{"Name":"nice","Hard":1,"Soft":1}]' } } },
    { realtime = true },
  },
  {
    "realtime: containers may not be scheduled before the host",
    { "container.update", { CpuRealtimeRuntime = 950000 } },
    { realtime = true },
  },
  {
    "oom: containers may not be spared when the host has no memory",
    { "container.create", container({ OomScoreAdj = -1000 }) },
    { oom = true },
  },
  {
    "oom: containers may not be spared when the host has no memory",
    { "container.update", { OomKillDisable = true } },
    { oom = true },
  },
  {
    "oom: containers may not be spared when the host has no memory",
    { "service.create", { TaskTemplate = { ContainerSpec = { OomScoreAdj = -1 } } } },
    { oom = true },
  },
  {
    "devices: containers may not name block devices of the host",
    { "container.create", container({ BlkioDeviceReadBps = { { Path = "/dev/sda", Rate = 1 } } }) },
    { block_limits = true },
  },
  {
    "runtimes: containers may not use nvidia",
    { "container.create", container({ Runtime = "nvidia" }) },
    { runtimes = { "nvidia" } },
  },
  {
    "annotations: containers may not have org.systemd.property.Slice",
    { "container.create", container({ Annotations = { ["org.systemd.property.Slice"] = "x" } }) },
    { annotations = { "org.systemd.property.Slice" } },
  },
  {
    "remote: the engine may not fetch http://127.0.0.1:8080/",
    { "image.build", nil, { query = { remote = "http://127.0.0.1:8080/" } } },
    { remote_sources = true },
  },
  {
    "remote: the engine may not fetch http://127.0.0.1/x",
    { "image.create", nil, { query = { fromSrc = "http://127.0.0.1/x" } } },
    { remote_sources = true },
  },
  {
    "builds: this policy cannot see what BuildKit does: set DOCKER_BUILDKIT=0",
    { "image.build", nil, { query = { version = "2" } } },
    { buildkit = true },
  },
  {
    "swarm: volumes of the swarm may not be changed",
    { "volume.create", { Name = "v", ClusterVolumeSpec = {} } },
    { cluster_volumes = true },
  },
  {
    "swarm: volumes of the swarm may not be changed",
    { "volume.update", { Spec = {} } },
    { cluster_volumes = true },
  },
  {
    "networks: networks may not be of the driver macvlan",
    { "network.create", { Name = "n", Driver = "macvlan" } },
    { network_drivers = { "macvlan" } },
  },
  {
    "networks: networks may not have the option parent",
    { "network.create", { Name = "n", Options = { parent = "eth0" } } },
    { network_options = { "parent" } },
  },
  {
    "networks: the bridge may not be named docker0",
    {
      "network.create",
      { Name = "n", Options = { ["com.docker.network.bridge.name"] = "docker0" } },
    },
    { bridges = { "docker" } },
  },
  {
    "networks: the subnet may not be 8.8.8.0/24",
    { "network.create", { Name = "n", IPAM = { Config = { { Subnet = "8.8.8.0/24" } } } } },
    { subnets = { "10.0.0.0/8", "8.0.0.0/8" } },
  },
  {
    "networks: the subnet may not be 0.0.0.0/0",
    { "network.create", { Name = "n", IPAM = { Config = { { Subnet = "0.0.0.0/0" } } } } },
    { subnets = { "0.0.0.0/0" } },
  },
  {
    "checkpoints: they can be in any directory of the host",
    { "container.start", nil, { query = { checkpoint = "c", ["checkpoint-dir"] = "/etc" } } },
    { checkpoints = true },
  },
  {
    "checkpoints: they can be in any directory of the host",
    { "checkpoint.list", nil, { query = { dir = "/etc" } } },
    { checkpoints = true },
  },
}

for number, row in REACHING do
  local reason, call, opened = row[1], row[2], row[3]
  test.case(`what reaches beyond the container is denied, {number}: {reason}`, function()
    local setting, value = next(opened)
    denied(`{reason} (see the setting {setting})`, unpack(call, 1, 3))
    test.settings({ [setting] = value })
    allowed(unpack(call, 1, 3))
  end)
end

test.case("what stays within the container is allowed", function()
  test.settings({
    subnets = { "10.0.0.0/8", "fc00::/7" },
    network_drivers = { "bridge", "ops" },
    log_drivers = {},
  })
  for _, host in
    {
      { LogConfig = { Type = "", Config = {} }, CgroupParent = "", Runtime = "runc" },
      { LogConfig = { Type = "json-file", Config = { ["max-size"] = "1m", labels = "a" } } },
      { Ulimits = { { Name = "nofile", Hard = 5 } }, OomScoreAdj = 500, OomKillDisable = false },
      {
        CpuRealtimePeriod = 0,
        BlkioWeight = 300,
        BlkioDeviceReadBps = json.array({}),
        Annotations = {},
      },
    } :: { any }
  do
    allowed("container.create", container(host))
  end
  allowed(
    "image.build",
    nil,
    { query = { remote = "client-session", version = "1", ulimits = "" } }
  )
  allowed("image.create", nil, { query = { fromSrc = "-" } })
  allowed("image.create", nil, { query = { fromImage = "busybox" } })
  for _, subnet in { "10.1.0.0/16", "fd00:1::/64" } do
    allowed("network.create", { Driver = "bridge", IPAM = { Config = { { Subnet = subnet } } } })
  end
  for _, driver in { "", "ops", "acme/ops:1.0", "127.0.0.1:5000/ops:latest" } do
    allowed("network.create", { Name = "n", Driver = driver, Options = {} })
  end
  allowed("checkpoint.list")
  test.settings({ log_drivers = { "ops" } })
  allowed("container.create", container({ LogConfig = { Type = "acme/ops:1.0" } }))
end)

test.case("what is not known is denied", function()
  test.denied(
    test.request({ method = "POST", uri = "/v1.41/containers/frob" }),
    "^unknown: POST /containers/frob is not known to this policy$"
  )
end)

-- Moondock denies such requests itself; the policy does not rely on it.
test.case("bodies that the engine would not accept are denied", function()
  local function judged(action, body)
    local req = { action = action, effect = "write", body = body, query = {}, mounts = {} }
    return { authz.request(req) }
  end
  test.equal(
    judged("container.create"),
    { false, "body: container.create has no readable body" } :: { any }
  )
  test.equal(
    judged("container.start", { Privileged = true }),
    {
      false,
      "old-api: a container is configured when it is created, not when it is started (Privileged)",
    } :: { any }
  )
end)
