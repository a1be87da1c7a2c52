-- Run by `moondock test`, without Docker.

local test = require("@moondock/test")

local NETWORK = string.rep("a", 64)

test.case("a network without a subnet is refused", function()
  test.fails("network.create_network", { NetworkID = NETWORK }, "IPv4")
end)
