-- Run by `moondock test`, without Docker.

local test = require("@moondock/test")

local CONTAINER = { ContainerID = string.rep("c", 64), ContainerName = "/web" }

test.case("lines are taken", function()
  test.call("log.write_batch", {
    Entries = { { time = "0", seq = 1, line = "hello", source = "stdout" } },
    Info = CONTAINER,
  })
end)
