local test = require("@moondock/test")

local function create(host_config)
  return test.request({
    method = "POST",
    uri = "/v1.41/containers/create",
    body = { Image = "busybox", HostConfig = host_config },
  })
end

test.case("a plain container is allowed", function()
  test.allowed(create({}))
end)

test.cases("what gives control of the host is denied", {
  { name = "privileged", config = { Privileged = true }, why = "^privileged" },
  { name = "the root of the host", config = { Binds = { "/:/host" } }, why = "^mounts" },
  { name = "the host's processes", config = { PidMode = "host" }, why = "^namespaces" },
  { name = "a capability", config = { CapAdd = { "SYS_ADMIN" } }, why = "^capabilities" },
}, function(row)
  test.denied(create(row.config), row.why)
end)

test.case("a directory in a root may be mounted, and not where a link leads", function()
  test.file("/srv/data/alice/file")
  test.file("/etc/shadow")
  test.allowed(create({ Binds = { "/srv/data/alice:/data" } }))
  test.denied(create({ Binds = { "/srv/data:/data" } }), "contains what containers mount")
  test.denied(create({ Binds = { "/srv/data/alice/file:/data" } }), "^mounts")
end)

test.case("a setting opens a rule", function()
  test.denied(create({ CgroupParent = "/batch" }), "^cgroup")
  test.settings({ cgroup_parents = { "/batch" } })
  test.allowed(create({ CgroupParent = "/batch" }))
end)
