-- The manager of a swarm, whose own node asks the same plugin for what the manager has given out.

local test = require("@moondock/test")

local hooks = test.driver("ipam")
local SUBNET = "10.1.0.0/24"
local GATEWAY = "com.docker.network.gateway"

local function pool(cidr)
  return hooks.request_pool({ AddressSpace = "ipam-global", Pool = cidr, SubPool = "", V6 = false })
end

local function request(of, wanted, options)
  local asked = { PoolID = of.PoolID, Address = wanted, Options = options }
  return string.match(hooks.request_address(asked).Address, "^[^/]+")
end

local function managed(of, wanted, kind)
  return request(
    of,
    wanted or "",
    { RequestAddressType = kind, ["com.docker.network.ipam.serial"] = "true" }
  )
end

local function of_node(of, wanted, kind)
  return request(of, wanted, { RequestAddressType = kind })
end

-- Returns the manager's pool with a gateway and a task, and the addresses of both.
local function plan()
  local all = pool(SUBNET)
  return all, managed(all, nil, GATEWAY), managed(all)
end

local function release(...)
  for _, each in { ... } do
    hooks.release_pool({ PoolID = each.PoolID })
  end
end

local function assert_none_left()
  for _, prefix in { "@pool/", "@pool-subnet/", "@lease" } do
    test.equal(test.stored(prefix), {}, prefix)
  end
end

test.case("a manager and its own node have the same subnet and addresses", function()
  local all, gateway, task = plan()
  local own = pool(SUBNET)
  test.equal(of_node(own, gateway, GATEWAY), gateway)
  test.equal(of_node(own, task), task)
  test.fails("IpamDriver.RequestAddress", { PoolID = own.PoolID, Address = task }, "in use")
  test.is_true(managed(all) ~= task, "another address")
  test.fails("IpamDriver.RequestPool", { AddressSpace = "x", Pool = "10.1.0.0/16" }, "overlaps")
  release(all, own)
  assert_none_left()
end)

test.cases("a manager that starts again asks for all that it has given out", {
  { name = "before its node asks", node_first = false },
  { name = "after its node has asked", node_first = true },
}, function(row)
  local _, gateway, task = plan()
  of_node(pool(SUBNET), task)
  test.restart_engine()
  local own
  if row.node_first then own = pool(SUBNET) end
  local again = pool(SUBNET)
  test.equal(managed(again, gateway, GATEWAY), gateway)
  test.equal(managed(again, task), task)
  test.is_true(managed(again) ~= task, "another address")
  own = own or pool(SUBNET)
  test.equal(of_node(own, task), task)
  release(again, own)
  assert_none_left()
end)

test.case("the subnet of a swarm is given to no other network of its own accord", function()
  local all = pool("")
  managed(all)
  test.is_true(pool("").Pool ~= all.Pool, "another subnet")
end)
