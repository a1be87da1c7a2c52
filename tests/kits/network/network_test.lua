local docker = require("./docker_test")
local kit = require("@moondock/network")
local test = require("@moondock/test")

local hooks, network = docker.hooks, test.network
local create, endpoint, of, map = docker.create, docker.endpoint, docker.of, docker.map
local id, published, refused = docker.id, docker.published, test.refused

local N, M, E, F = id("a"), id("b"), id("e"), id("f")
local BRIDGE, HOST_SIDE, CONTAINER_SIDE = "br-aaaaaaaaaaaa", "h-eeeeeeeeeeee", "c-eeeeeeeeeeee"

local function keys(prefix)
  local list = {}
  for key in test.stored(prefix) do
    table.insert(list, key)
  end
  table.sort(list)
  return list
end

test.case("an endpoint from create to delete", function()
  create(N)
  test.equal(endpoint(N, E), { Interface = { MacAddress = "02:42:0a:01:00:05" } })
  test.equal(hooks.join(of(N, E)), {
    InterfaceName = { SrcName = CONTAINER_SIDE, DstPrefix = "eth" },
    Gateway = "10.1.0.1",
    StaticRoutes = {},
    DisableGatewayService = false,
  })
  test.equal(network.links[CONTAINER_SIDE].mac, "02:42:0a:01:00:05")
  test.equal(hooks.endpoint_oper_info(of(N, E)), { Value = {} })
  hooks.program_external_connectivity(of(N, E, { map(8080, 80) }))
  test.equal(
    network.rules[N].ports,
    { { protocol = "tcp", host_port = 8080, ip = "10.1.0.5", port = 80 } }
  )
  hooks.revoke_external_connectivity(of(N, E))
  test.equal(network.rules[N].ports, {})
  hooks.leave(of(N, E))
  hooks.delete_endpoint(of(N, E))
  hooks.delete_network({ NetworkID = N })
  test.equal({ network.links, network.rules }, { {}, {} })
  test.equal(test.stored(), {})
end)

test.case("unknown ids", function()
  hooks.delete_network({ NetworkID = N })
  hooks.delete_endpoint(of(N, E))
  hooks.leave(of(N, E))
  hooks.revoke_external_connectivity(of(N, E))
  test.equal(refused(endpoint, N, E), "unknown network aaaaaaaaaaaa: remove it and create it again")
  create(N)
  hooks.delete_endpoint(of(N, E))
  test.equal(refused(hooks.join, of(N, E)), "unknown endpoint eeeeeeeeeeee")
end)

test.case("only what was not given is answered", function()
  create(N)
  test.equal(endpoint(N, E, { MacAddress = "02:00:00:00:00:01" }), { Interface = {} })
  local other = { Address = "10.1.0.6/24" }
  test.equal(
    endpoint(N, F, other, { ["com.docker.network.endpoint.macaddress"] = "AkKsEQCZ" }),
    { Interface = { MacAddress = "02:42:ac:11:00:99" } }
  )
  test.equal(endpoint(N, F, other), { Interface = { MacAddress = "02:42:ac:11:00:99" } })
end)

test.case("a driver gets what the user chose", function()
  test.settings({ curious = true })
  create(N, {
    ["com.docker.network.generic"] = { ["com.docker.network.driver.mtu"] = "1400" },
    ["com.docker.network.internal"] = true,
  })
  test.equal(test.stored("seen").seen, {
    id = N,
    short = "aaaaaaaaaaaa",
    internal = true,
    ipv4 = true,
    ipv6 = false,
    options = { mtu = 1400 },
    subnets = { "10.1.0.0/24" },
    gateways = { "10.1.0.1/24" },
    ports = {},
  })
  test.equal(
    refused(create, M, { ["com.docker.network.generic"] = { mut = "1" } }),
    'unknown option "mut": did you mean "mtu"?'
  )
  test.equal(
    refused(endpoint, N, E, nil, { height = "1" }),
    'unknown option "height": did you mean "weight"?'
  )
  test.equal(keys("@network/"), { "@network/" .. N })
end)

test.case("an internal network has no gateway", function()
  create(N, { ["com.docker.network.internal"] = true })
  endpoint(N, E)
  test.equal(hooks.join(of(N, E)).Gateway, nil)
end)

test.case("both families", function()
  hooks.create_network({
    NetworkID = N,
    Options = { ["com.docker.network.enable_ipv6"] = true },
    IPv4Data = { { Pool = "10.1.0.0/24", Gateway = "10.1.0.1/24" } },
    IPv6Data = { { Pool = "fd00:1::/64", Gateway = "fd00:1::1/64" } },
  })
  endpoint(N, E, { AddressIPv6 = "fd00:1::5/64" })
  local reply = hooks.join(of(N, E))
  test.equal({ reply.Gateway, reply.GatewayIPv6 }, { "10.1.0.1", "fd00:1::1" })
  hooks.program_external_connectivity(of(N, E, {
    map(80, 8080),
    map(81, 8080, { HostIP = "127.0.0.1", Proto = 17 }),
    map(82, 8080, { HostIP = "::" }),
  }))
  test.equal(network.rules[N].ports, {
    { protocol = "tcp", host_port = 80, ip = "10.1.0.5", port = 8080 },
    { protocol = "tcp", host_port = 80, ip = "fd00:1::5", port = 8080 },
    { protocol = "udp", host_ip = "127.0.0.1", host_port = 81, ip = "10.1.0.5", port = 8080 },
    { protocol = "tcp", host_port = 82, ip = "fd00:1::5", port = 8080 },
  })
end)

test.case("host ports", function()
  create(N)
  endpoint(N, E)
  endpoint(N, F, { Address = "10.1.0.6/24" })
  hooks.program_external_connectivity(
    of(N, E, { map(0, 80), map(8000, 81, { HostPortEnd = 8002 }) })
  )
  test.is_true(published(N, 32768))
  test.is_true(published(N, 8000))
  network.listening["tcp/8001"] = true
  hooks.program_external_connectivity(of(N, F, { map(8000, 81, { HostPortEnd = 8002 }) }))
  test.is_true(published(N, 8002))
  test.equal(
    refused(hooks.program_external_connectivity, of(N, F, { map(8000, 80) })),
    "host port 0.0.0.0:8000/tcp is already in use"
  )
  test.match(
    refused(
      hooks.program_external_connectivity,
      of(N, F, { map(8001, 80, { HostIP = "127.0.0.1" }) })
    ),
    "firewall.publish: port 8001 is in use on the host$"
  )
  test.equal(
    refused(
      hooks.program_external_connectivity,
      of(N, F, { map(8000, 80, { HostPortEnd = 8001 }) })
    ),
    "host port 0.0.0.0:8000-8001/tcp is already in use"
  )
  test.is_true(published(N, 8002))
  -- Another call replaces the ports, and keeps those that it can.
  hooks.program_external_connectivity(of(N, E, { map(0, 80) }))
  test.equal(
    published(N, 32768),
    { protocol = "tcp", host_port = 32768, ip = "10.1.0.5", port = 80 }
  )
  test.equal(#network.rules[N].ports, 2)
  hooks.leave(of(N, E))
  test.equal(#network.rules[N].ports, 1)
  hooks.delete_endpoint(of(N, F))
  test.equal(#network.rules[N].ports, 0)
end)

test.case("a reboot makes networks again", function()
  create(N)
  endpoint(N, E)
  hooks.join(of(N, E))
  hooks.program_external_connectivity(of(N, E, { map(80, 80) }))
  test.reboot()
  endpoint(N, F)
  hooks.join(of(N, F))
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{F}` })
  test.equal(network.rules[N].ports, {})
  test.is_true(network.links[BRIDGE])
  hooks.program_external_connectivity(of(N, F, { map(80, 80) }))
end)

test.case("a restart repairs what was flushed", function()
  create(N)
  endpoint(N, E)
  hooks.join(of(N, E))
  hooks.program_external_connectivity(of(N, E, { map(80, 80) }))
  table.clear(network.rules)
  test.restart()
  endpoint(N, F, { Address = "10.1.0.6/24" })
  test.equal(#network.rules[N].ports, 1)
end)

test.case("endpoints whose links are gone are collected", function()
  create(N)
  create(M, nil, "10.2.0")
  endpoint(N, E)
  hooks.join(of(N, E))
  hooks.program_external_connectivity(of(N, E, { map(80, 80) }))
  test.restart() -- while moondock was away the container ended
  network.links[HOST_SIDE], network.links[CONTAINER_SIDE] = nil, nil
  endpoint(M, F, { Address = "10.2.0.5/24" })
  hooks.program_external_connectivity(of(M, F, { map(80, 80) }))
  test.equal(network.rules[N].ports, {})
  hooks.leave(of(N, E))
  hooks.delete_endpoint(of(N, E))
end)

-- Docker does not repeat Leave and DeleteEndpoint.
test.case("an endpoint whose end was cut off is collected", function()
  for cut_off = 1, 2 do
    create(N)
    endpoint(N, E)
    hooks.join(of(N, E))
    test.fault("net.delete_link", { delay = 3600, times = cut_off })
    test.fails("network.leave", of(N, E), "did not answer within")
    if cut_off == 1 then
      hooks.delete_endpoint(of(N, E))
    else
      test.fails("network.delete_endpoint", of(N, E), "did not answer within")
      test.equal(keys("@endpoint/"), { `@endpoint/{N}/{E}` })
      network.links[HOST_SIDE], network.links[CONTAINER_SIDE] = nil, nil -- the container is gone
      create(M, nil, "10.2.0")
      hooks.delete_network({ NetworkID = M })
    end
    test.equal(keys("@endpoint/"), {})
    test.equal(network.links[HOST_SIDE], nil)
    hooks.delete_network({ NetworkID = N })
  end
end)

test.case("an endpoint may be joined after a restart", function()
  create(N)
  endpoint(N, E)
  test.restart()
  hooks.join(of(N, E))
  test.restart()
  test.restart_engine() -- live-restore: the container lives on
  endpoint(N, F, { Address = "10.1.0.6/24" })
  test.equal(#keys("@endpoint/"), 2)
end)

-- An engine that cannot reach the plugin moves the link back to the host, where it stays.
test.case("an endpoint whose link is on the host again is collected", function()
  create(N)
  endpoint(N, E)
  hooks.join(of(N, E))
  local link = network.links[CONTAINER_SIDE]
  network.links[HOST_SIDE].peer_index, network.links[CONTAINER_SIDE] = 7, nil
  network.links["other"] = { name = "other", index = 7 } -- in another namespace numbers begin anew
  test.advance(60)
  test.restart()
  create(M, nil, "10.2.0")
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{E}` })
  link.index = 7
  network.links[CONTAINER_SIDE] = link
  create(M, nil, "10.2.0")
  test.equal(keys("@endpoint/"), {})
  test.equal(network.links[HOST_SIDE], nil)
end)

test.case("a container that takes long to start keeps its endpoint", function()
  create(N)
  endpoint(N, E)
  hooks.join(of(N, E))
  network.links[HOST_SIDE].peer_index, network.links[CONTAINER_SIDE].index = 7, 7
  test.advance(60)
  create(M, nil, "10.2.0")
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{E}` })
end)

-- Each start of a managed plugin's process counts as a start of its engine.
test.case("an endpoint may be joined after a managed plugin was started again", function()
  create(N)
  endpoint(N, E)
  test.restart()
  test.restart_engine()
  hooks.join(of(N, E))
  network.links[CONTAINER_SIDE] = nil -- the engine moves it into the container
  test.equal(test.stored()[`@endpoint/{N}/{E}`].joined, true)
  endpoint(N, F, { Address = "10.1.0.6/24" })
  test.restart()
  test.restart_engine()
  test.advance(60) -- nobody asked for it in all that time
  create(M, nil, "10.2.0")
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{E}` })
end)

test.case("an endpoint that docker forgot is collected", function()
  create(N)
  endpoint(N, E)
  test.advance(1000)
  endpoint(N, F, { Address = "10.1.0.6/24" })
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{F}` })
end)

test.case("an idle network gives way and comes back", function()
  create(N)
  create(M)
  test.equal(
    { network.links[BRIDGE] ~= nil, network.links["br-bbbbbbbbbbbb"] ~= nil },
    { false, true }
  )
  endpoint(N, E)
  test.equal(
    { network.links[BRIDGE] ~= nil, network.links["br-bbbbbbbbbbbb"] ~= nil },
    { true, false }
  )
  hooks.join(of(N, E))
  test.equal(
    refused(endpoint, M, F),
    "subnet 10.1.0.0/24 overlaps that of network aaaaaaaaaaaa, which has containers"
  )
end)

test.case("a network without its pool is taken away", function()
  test.settings({ asks = { "has_pool" } })
  local leased = { ["10.1.0.0/24"] = true, ["10.2.0.0/24"] = true }
  test.process({
    argv = "true has_pool",
    answer = function(command)
      return { code = if leased[command.argv[3]] then 0 else 1 }
    end,
  })
  create(N)
  leased["10.1.0.0/24"] = nil
  test.restart()
  create(M, nil, "10.2.0")
  test.equal(keys("@network/"), { "@network/" .. M })
  test.equal(network.links[BRIDGE], nil)
end)

test.case("a driver that fails leaves nothing", function()
  test.fault("net.create_bridge", { message = "no bridge here", times = 1 })
  test.match(refused(create, N), "no bridge here")
  test.equal(test.stored(), {})
  create(N)
  endpoint(N, E)
  test.fault("net.set_master", { message = "no master", times = 1 })
  test.match(refused(hooks.join, of(N, E)), "no master")
  test.equal(network.links[CONTAINER_SIDE], nil)
end)

test.case("a network that could not be deleted is deleted later", function()
  create(N)
  test.fault("firewall.remove", { message = "busy", times = 1 })
  test.match(refused(hooks.delete_network, { NetworkID = N }), "busy")
  create(M, nil, "10.2.0")
  test.equal(keys("@network/"), { "@network/" .. M })
end)

test.case("in use knows endpoints gateways and auxiliary addresses", function()
  local in_use = kit.in_use
  create(N)
  endpoint(N, E)
  test.equal(
    { in_use("10.1.0.5"), in_use("10.1.0.1"), in_use("10.1.0.9"), in_use("10.1.0.6") },
    { true, true, true, false }
  )
  test.equal(in_use("10.2.0.5"), nil)
end)

test.case("an address has one endpoint", function()
  create(N)
  endpoint(N, E)
  test.equal(
    refused(endpoint, N, F),
    "address 10.1.0.5 is reserved for endpoint eeeeeeeeeeee: try again in 30 s"
  )
  hooks.join(of(N, E))
  test.equal(
    refused(endpoint, N, F),
    "address 10.1.0.5 is in use by endpoint eeeeeeeeeeee (interface h-eeeeeeeeeeee, sandbox "
      .. "/run/docker/netns/x): disconnect its container first"
  )
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{E}` })
  endpoint(N, F, { Address = "10.1.0.6/24" })
  hooks.leave(of(N, E))
  hooks.delete_endpoint(of(N, E))
  endpoint(N, id("c"))
end)

test.case("an ipv6 address has one endpoint too", function()
  create(N)
  endpoint(N, E, { Address = "", AddressIPv6 = "fd00:1::5/64" })
  test.is_true(
    string.find(
      refused(endpoint, N, F, { Address = "", AddressIPv6 = "fd00:1::5/64" }),
      "^address fd00:1::5 "
    )
  )
end)

-- Docker gave up on the endpoint without a call, as it does when a reply is lost, and got the
-- address again.
test.case("an endpoint that never came to be gives its address up", function()
  create(N)
  endpoint(N, E)
  test.advance(30)
  endpoint(N, F)
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{F}` })
  test.restart()
  endpoint(N, E)
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{E}` })
  hooks.join(of(N, E))
  network.links[HOST_SIDE], network.links[CONTAINER_SIDE] = nil, nil -- the container is gone
  endpoint(N, F)
  test.equal(keys("@endpoint/"), { `@endpoint/{N}/{F}` })
end)

test.case("ports of an internal network are refused", function()
  create(M, { ["com.docker.network.internal"] = true }, "10.2.0")
  endpoint(M, F, { Address = "10.2.0.5/24" })
  test.equal(
    refused(hooks.program_external_connectivity, of(M, F, { map(8080, 80) })),
    "port 80 cannot be published: the network is internal"
  )
  hooks.program_external_connectivity(of(M, F))
end)

test.case("a driver may publish ports itself", function()
  test.settings({ publish = "itself" })
  create(N)
  endpoint(N, E)
  hooks.program_external_connectivity(of(N, E, { map(8080, 80) }))
  test.equal(network.rules[N].ports, {})
  hooks.delete_endpoint(of(N, E))
end)

local function nothing() end

test.case("ports that nobody publishes are refused", function()
  test.settings({ publish = "no" })
  create(N)
  endpoint(N, E)
  test.equal(
    refused(hooks.program_external_connectivity, of(N, E, { map(8080, 80) })),
    "port 80 cannot be published: the network's driver publishes no ports"
  )
  hooks.program_external_connectivity(of(N, E))
  test.fails(function()
    local driver: any =
      { create = nothing, delete = nothing, join = nothing, leave = nothing, publish = true }
    kit.driver(driver)
  end, "`publish` must be a function, or `false`")
end)

test.case("options of endpoints that nobody carries out are refused", function()
  create(N)
  test.equal(
    refused(endpoint, N, E, nil, { ["com.docker.network.endpoint.ifname"] = "web0" }),
    'option "com.docker.network.endpoint.ifname" is not available: '
      .. "the engine lets a plugin choose only the beginning of an interface's name"
  )
  test.is_true(
    string.find(
      refused(endpoint, N, E, nil, { ["com.docker.network.bridge.name"] = "x" }),
      '^unknown option "com.docker.network.bridge.name"'
    )
  )
  endpoint(N, E, nil, {
    ["com.docker.network.portmap"] = {},
    ["com.docker.network.endpoint.exposedports"] = {},
    ["com.docker.network.endpoint.dnsservers"] = {},
    ["com.docker.network.endpoint.sysctls"] = "net.ipv4.conf.IFNAME.log_martians=1",
  })
end)

test.case("a network without an address family is refused", function()
  test.equal(
    refused(create, N, { ["com.docker.network.enable_ipv4"] = false }),
    "a network needs IPv4 or IPv6: add --ipv6, or leave out --ipv4=false"
  )
end)

test.case("the driver may name the address of published ports", function()
  test.settings({ host_ip = "192.0.2.1" })
  create(N)
  endpoint(N, E)
  hooks.program_external_connectivity(
    of(N, E, { map(80, 80), map(81, 80, { HostIP = "127.0.0.1" }) })
  )
  test.equal({ published(N, 80).host_ip, published(N, 81).host_ip }, { "192.0.2.1", "127.0.0.1" })
  test.equal(test.stored("host_ip_of").host_ip_of, N)
end)

test.case("no two endpoints of a network share a MAC address", function()
  test.play("net.mac_from_ip", function(ip)
    return "02:42:00:00:00:0" .. string.sub(ip, -1)
  end)
  create(N)
  local function mac(ep, ip, given)
    local interface = { Address = "", AddressIPv6 = ip, MacAddress = given or "" }
    return endpoint(N, ep, interface).Interface.MacAddress
  end
  test.equal(mac(E, "fd55::9/64"), "02:42:00:00:00:09")
  test.equal(mac(F, "fd55::1:0:0:9/48"), "06:42:00:00:00:09")
  test.equal(mac(F, "fd55::1:0:0:9/48"), "06:42:00:00:00:09")
  test.equal(
    refused(mac, id("c"), "fd55::a/64", "02:42:00:00:00:09"),
    "MAC address 02:42:00:00:00:09 is in use by endpoint eeeeeeeeeeee"
  )
  hooks.delete_endpoint(of(N, E))
  mac(id("c"), "fd55::a/64", "02:42:00:00:00:09")
end)

test.case("short names are unique", function()
  local on = string.rep("a", 12) .. string.rep("b", 52)
  local ep = string.rep("a", 12) .. string.rep("c", 52)
  create(on)
  endpoint(on, ep)
  hooks.join(of(on, ep))
  test.equal(network.links["h-aaaaaaaaaaac"].master, BRIDGE)
  hooks.delete_endpoint(of(on, ep))
  hooks.delete_network({ NetworkID = on })
  test.equal(test.stored(), {})
end)

test.case("the driver learns at the start which networks are known", function()
  test.settings({ asks = { "start" } })
  local known = {}
  test.process({
    argv = "true start",
    answer = function(command)
      table.insert(known, command.argv[3])
      return if #known == 2 then { code = 2, stderr = "no kernel" } else {}
    end,
  })
  hooks.get_capabilities({})
  create(N)
  test.equal(known, { "0" })
  test.restart()
  endpoint(N, E)
  test.is_true(#test.log("start of the network driver failed.*no kernel") == 1)
  hooks.get_capabilities({})
  test.equal(known, { "0", "1" })
  test.restart_engine()
  hooks.get_capabilities({})
  test.equal(known, { "0", "1", "1" })
end)
