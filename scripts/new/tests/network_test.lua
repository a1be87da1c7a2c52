-- Run by `moondock test`, without Docker.

local test = require("@moondock/test")

local NETWORK, ENDPOINT = string.rep("a", 64), string.rep("e", 64)
local network = test.driver("network")

local function create()
  network.create_network({
    NetworkID = NETWORK,
    Options = {},
    IPv4Data = { { AddressSpace = "local", Pool = "10.20.30.0/24", Gateway = "10.20.30.1/24" } },
    IPv6Data = {},
  })
end

test.case("a network is a bridge that has the gateway", function()
  create()
  test.equal(test.network.addresses["nb-aaaaaaaaaaaa"], { "10.20.30.1/24" })
  network.delete_network({ NetworkID = NETWORK })
  test.equal(test.network.links, {})
end)

test.case("a container gets one end of a pair of links", function()
  create()
  network.create_endpoint({
    NetworkID = NETWORK,
    EndpointID = ENDPOINT,
    Interface = { Address = "10.20.30.2/24", AddressIPv6 = "", MacAddress = "" },
  })
  local request =
    { NetworkID = NETWORK, EndpointID = ENDPOINT, SandboxKey = "/run/x", Options = {} }
  test.equal(network.join(request).InterfaceName.SrcName, "nc-eeeeeeeeeeee")
  test.equal(test.network.links["nh-eeeeeeeeeeee"].master, "nb-aaaaaaaaaaaa")
end)
