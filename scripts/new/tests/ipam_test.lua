-- Run by `moondock test`, without Docker.

local test = require("@moondock/test")

local function pool(subnet)
  return test.call("ipam.request_pool", { AddressSpace = "local", Pool = subnet }).PoolID
end

test.case("no address is leased twice", function()
  local id = pool("10.20.30.0/24")
  local first = test.call("ipam.request_address", { PoolID = id }).Address
  local second = test.call("ipam.request_address", { PoolID = id }).Address
  test.match(first, "^10%.20%.30%.%d+/24$")
  test.is_true(first ~= second)
end)

test.case("a subnet that is in use is refused", function()
  local id = pool("10.20.30.0/24")
  test.call("ipam.request_address", { PoolID = id })
  test.fails(
    "ipam.request_pool",
    { AddressSpace = "local", Pool = "10.20.0.0/16" },
    "10%.20%.30%.0/24"
  )
end)
