-- Run by `moondock test`, without Docker.

local test = require("@moondock/test")

test.case("a volume is created, mounted and removed", function()
  test.call("volume.create", { Name = "notes" })
  local mounted = test.call("volume.mount", { Name = "notes", ID = "container-1" })
  test.match(mounted.Mountpoint, "/notes$")
  test.call("volume.unmount", { Name = "notes", ID = "container-1" })
  test.call("volume.remove", { Name = "notes" })
  test.equal(#test.call("volume.list", {}).Volumes, 0)
end)

test.case("a name cannot lead out of the directory", function()
  test.fails("volume.create", { Name = "../etc" }, "%.%./etc")
end)
