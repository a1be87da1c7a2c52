local test = require("@moondock/test")

local N, E = string.rep("a", 64), string.rep("e", 64)
local BRIDGE, HOST_SIDE = "md-aaaaaaaaaaaa", "mdheeeeeeeeeeee"
local network = test.driver("network")

local function create(extra)
  network.create_network({
    NetworkID = N,
    Options = { ["com.docker.network.generic"] = extra or {} },
    IPv4Data = { { AddressSpace = "ops-local", Pool = "10.1.0.0/24", Gateway = "10.1.0.1/24" } },
    IPv6Data = {},
  })
end

local function join(ports)
  network.create_endpoint({
    NetworkID = N,
    EndpointID = E,
    Interface = { Address = "10.1.0.5/24", AddressIPv6 = "", MacAddress = "" },
  })
  local options = { ["com.docker.network.portmap"] = ports or {} }
  local request = {
    NetworkID = N,
    EndpointID = E,
    SandboxKey = "/run/docker/netns/x",
    Options = options,
  }
  local reply = network.join(request)
  if ports then network.program_external_connectivity(request) end
  return reply
end

test.case("a network is a bridge with its gateway", function()
  create()
  test.equal(test.network.links[BRIDGE].up, true)
  test.equal(test.network.addresses[BRIDGE], { "10.1.0.1/24" })
  test.equal(test.network.sysctls["net.ipv4.ip_forward"], "1")
  network.delete_network({ NetworkID = N })
  test.equal(test.network.links, {})
  test.equal(test.network.rules, {})
end)

test.case("a container gets a veth pair with a port of the bridge", function()
  create()
  test.equal(join().InterfaceName, { SrcName = "mdceeeeeeeeeeee", DstPrefix = "eth" })
  test.equal(test.network.links[HOST_SIDE].master, BRIDGE)
  network.leave({ NetworkID = N, EndpointID = E })
  test.equal(test.network.links[HOST_SIDE], nil)
end)

test.case("published ports are rules of the firewall", function()
  create()
  join({ { Proto = 6, IP = "", Port = 80, HostIP = "", HostPort = 8080, HostPortEnd = 8080 } })
  test.equal(test.network.rules[N].ports[1].host_port, 8080)
end)

test.case("a port that the host uses is refused", function()
  create()
  test.network.listening["tcp/8080"] = true
  test.fails(function()
    join({ { Proto = 6, IP = "", Port = 80, HostIP = "", HostPort = 8080, HostPortEnd = 8080 } })
  end, "8080 is in use")
end)

test.case("a bridge of another program is left alone", function()
  test.network.links.br0 = { index = 7, name = "br0", kind = "bridge", mtu = 1500, up = true }
  test.fails(function()
    create({ bridge = "br0" })
  end, "br0 exists already")
  test.equal(test.network.links.br0.up, true)
end)

test.case("networks are whole after a kill at each step", function()
  test.killed_anywhere(create, function()
    create()
    join()
    network.leave({ NetworkID = N, EndpointID = E })
    network.delete_endpoint({ NetworkID = N, EndpointID = E })
    network.delete_network({ NetworkID = N })
    test.equal(test.network.links, {})
  end)
end)
