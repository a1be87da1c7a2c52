-- The drivers of networks and addresses together, as the engine uses them for
-- `docker network create -d ops --ipam-driver ops` and `docker run -p 8080:80`.

local store = require("@moondock/store")
local test = require("@moondock/test")

local network, ipam, kernel = test.driver("network"), test.driver("ipam"), test.network
local refused = test.refused

local function id(letter)
  return string.rep(letter, 64)
end

local N, M, E = id("a"), id("b"), id("e")
local BRIDGE, HOST_SIDE, CONTAINER_SIDE = "md-aaaaaaaaaaaa", "mdheeeeeeeeeeee", "mdceeeeeeeeeeee"
local PORTS = { { Proto = 6, HostIP = "", HostPort = 8080, HostPortEnd = 8080, Port = 80 } }

local function networks()
  local list = {}
  for key in test.stored("@network/") do
    table.insert(list, key)
  end
  return list
end

-- Creates a network, as the engine does with another IPAM driver.
local function create(on, options, subnet)
  network.create_network({
    NetworkID = on,
    IPv6Data = {},
    IPv4Data = { { Pool = subnet or "10.1.0.0/24", Gateway = "10.1.0.1/24" } },
    Options = { ["com.docker.network.generic"] = options or {} },
  })
end

local function join(on, address)
  local endpoint = {
    NetworkID = on,
    EndpointID = E,
    SandboxKey = "/x",
    Interface = { Address = address or "10.1.0.5/24", AddressIPv6 = "", MacAddress = "" },
    Options = { ["com.docker.network.portmap"] = PORTS },
  }
  network.create_endpoint(endpoint)
  local joined = network.join(endpoint)
  network.program_external_connectivity(endpoint)
  return endpoint, joined
end

-- Runs a container on a new network of both drivers. Returns the pool, the endpoint and its address.
local function run(on, v6)
  local pool = ipam.request_pool({ Pool = "", SubPool = "", V6 = false })
  local options = { RequestAddressType = "com.docker.network.gateway" }
  local gateway = ipam.request_address({ PoolID = pool.PoolID, Address = "", Options = options })
  network.create_network({
    NetworkID = on,
    Options = { ["com.docker.network.generic"] = {}, ["com.docker.network.enable_ipv6"] = v6 },
    IPv4Data = { { AddressSpace = "ops-local", Pool = pool.Pool, Gateway = gateway.Address } },
    IPv6Data = if v6 then { { Pool = "fd00:1::/64", Gateway = "fd00:1::1/64" } } else {},
  })
  local address = ipam.request_address({ PoolID = pool.PoolID, Address = "" }).Address
  return pool, join(on, address), address
end

local function leave(endpoint)
  network.leave({ NetworkID = endpoint.NetworkID, EndpointID = E })
  network.delete_endpoint({ NetworkID = endpoint.NetworkID, EndpointID = E })
end

test.case("a container on a bridge", function()
  local pool, endpoint = run(N, true)
  test.equal(pool.Pool, "10.201.0.0/24")
  local bridge = kernel.links[BRIDGE]
  test.equal({ bridge.kind, bridge.mac, bridge.up }, { "bridge", "02:42:0a:c9:00:01", true })
  test.equal(kernel.addresses, { [BRIDGE] = { "10.201.0.1/24", "fd00:1::1/64" } })
  test.equal(kernel.sysctls["net.ipv6.conf.md-aaaaaaaaaaaa.accept_dad"], "0")
  test.equal(kernel.links[HOST_SIDE].master, BRIDGE)
  test.equal(kernel.links[CONTAINER_SIDE].mac, "02:42:0a:c9:00:02")
  test.equal(kernel.rules[N], {
    bridge = BRIDGE,
    subnets = { "10.201.0.0/24", "fd00:1::/64" },
    masquerade = true,
    internal = false,
    icc = true,
    isolate = true,
    ports = { { protocol = "tcp", host_port = 8080, ip = "10.201.0.2", port = 80 } },
  })
  network.revoke_external_connectivity(endpoint)
  leave(endpoint)
  network.delete_network({ NetworkID = N })
  test.equal({ kernel.links, kernel.rules }, { {}, {} })
end)

test.case("an interface of the host is not touched", function()
  kernel.links.eth0 = { name = "eth0", mac = "52:54:00:00:00:01" }
  test.equal(
    refused(create, N, { ["com.docker.network.bridge.name"] = "eth0" }),
    "interface eth0 exists already and is not the bridge of this network"
  )
  test.is_true(kernel.links.eth0)
  test.equal(networks(), {})
end)

test.cases("a subnet that the host has is refused", {
  {
    name = "the same",
    route = { destination = "10.1.0.0/24", device = "eth0" },
    shown = "10.1.0.0/24 of interface eth0",
  },
  {
    name = "a larger one",
    route = { destination = "10.0.0.0/8", device = "eth0" },
    shown = "10.0.0.0/8 of interface eth0",
  },
  {
    name = "a part, by a gateway",
    route = { destination = "10.1.0.64/26", gateway = "192.0.2.1", device = "eth0" },
    shown = "10.1.0.64/26 by 192.0.2.1 of interface eth0",
  },
}, function(row)
  kernel.routes = { row.route }
  test.equal(refused(create, N), `subnet 10.1.0.0/24 is in use on the host: route {row.shown}`)
  test.equal({ kernel.links, test.stored() }, { {}, {} })
end)

test.case("a subnet within that of a VPN is fine, and so is the network's own", function()
  kernel.routes = {
    { destination = "10.0.0.0/8", gateway = "192.0.2.1", device = "eth0" },
    { destination = "10.1.0.0/24", device = BRIDGE },
  }
  create(N)
end)

test.case("what a lost state left is reported, and removed on request", function()
  create(N)
  join(N)
  for key in test.stored() do
    store.delete(key)
  end
  test.restart()
  network.get_capabilities()
  local line = test.log("the kernel has a network")[1]
  test.match(
    line,
    "^WARN the kernel has a network that is not in the state: set `remove_leftovers`"
  )
  for _, field in { `network={N}`, "bridge=md%-aaaaaaaaaaaa", `links={HOST_SIDE}` } do
    test.match(line, field)
  end
  test.is_true(kernel.links[BRIDGE])
  test.settings({ remove_leftovers = true })
  test.restart_engine()
  create(M, nil, "10.2.0.0/24")
  test.equal({ kernel.links[BRIDGE], kernel.links[CONTAINER_SIDE] }, {})
  test.equal({ kernel.rules[N] == nil, kernel.rules[M] ~= nil }, { true, true })
end)

test.case("options of Docker's bridge", function()
  local bridge = "com.docker.network.bridge."
  create(N, {
    [bridge .. "enable_icc"] = "false",
    [bridge .. "host_binding_ipv4"] = "192.0.2.1",
    [bridge .. "gateway_mode_ipv4"] = "nat",
    [bridge .. "inhibit_ipv4"] = "true",
    ["com.docker.network.container_iface_prefix"] = "web",
  })
  test.equal(kernel.addresses, {})
  local _, joined = join(N)
  test.equal(joined.InterfaceName.DstPrefix, "web")
  local host, rules = kernel.links[HOST_SIDE], kernel.rules[N]
  test.equal({ host.isolated, host.hairpin }, { true, true })
  test.equal({ rules.icc, rules.ports[1].host_ip }, { false, "192.0.2.1" })
  test.equal(
    refused(create, M, { [bridge .. "gateway_mode_ipv4"] = "routed" }, "10.2.0.0/24"),
    'option "gateway_mode_ipv4" is "routed": it must be one of nat '
      .. "(only published ports are reachable; see `masquerade` and `--internal`)"
  )
end)

test.case("options that the kernel would refuse are rejected", function()
  test.equal(
    refused(create, N, { host_ip = "999.1.1.1" }, "10.2.0.0/24"),
    'option "host_ip" is "999.1.1.1": it must be an IPv4 address '
      .. "(the host's address for ports that are published on none)"
  )
  test.equal(
    refused(create, N, { prefix = string.rep("x", 20) }, "10.2.0.0/24"),
    `option "prefix" is "{string.rep("x", 20)}": it must be at most 12 bytes long `
      .. "(of the interface's name in the container, by default eth)"
  )
end)

test.case("a creation that Docker gave up on is forgotten", function()
  local pool, endpoint = run(N, false)
  leave(endpoint)
  ipam.release_pool({ PoolID = pool.PoolID })
  kernel.routes = { { destination = pool.Pool } }
  test.equal(run(M, false).Pool, "10.201.1.0/24")
  test.equal(kernel.links[BRIDGE], nil)
  test.equal(networks(), { "@network/" .. M })
end)

test.case("a network whose pool went to another is forgotten", function()
  local pool, endpoint = run(N, false)
  leave(endpoint)
  ipam.release_pool({ PoolID = pool.PoolID })
  test.equal(run(M, false).Pool, pool.Pool)
  test.equal(networks(), { "@network/" .. M })
end)

test.case("a lost lease is found again", function()
  local pool, _, address = run(N, false)
  local request = { PoolID = pool.PoolID, Address = "10.201.0.7" }
  ipam.request_address(request) -- the answer is lost
  test.restart()
  test.equal(ipam.request_address(request).Address, "10.201.0.7/24")
  request.Address = string.gsub(address, "/.*", "")
  test.equal(refused(ipam.request_address, request), "address 10.201.0.2 is already in use")
end)
