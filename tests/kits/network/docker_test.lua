-- The calls of Docker, for the tests beside this file.

local test = require("@moondock/test")

local hooks, network = test.driver("network"), test.network

local docker = { hooks = hooks }

function docker.id(letter)
  return string.rep(letter, 64)
end

-- Returns the published port of the host with this number.
function docker.published(on, host_port)
  for _, port in network.rules[on].ports do
    if port.host_port == host_port then return port end
  end
  return nil
end

function docker.create(on, extra, cidr)
  local options: { [string]: any } =
    { ["com.docker.network.generic"] = {}, ["com.docker.network.enable_ipv6"] = false }
  for key, value in extra or {} do
    options[key] = value
  end
  local subnet = cidr or "10.1.0"
  hooks.create_network({
    NetworkID = on,
    Options = options,
    IPv4Data = {
      {
        AddressSpace = "ops-local",
        Pool = subnet .. ".0/24",
        Gateway = subnet .. ".1/24",
        AuxAddresses = { printer = subnet .. ".9/24" },
      },
    },
    IPv6Data = {},
  })
end

function docker.endpoint(on, ep, interface, options)
  local given = { Address = "10.1.0.5/24", AddressIPv6 = "", MacAddress = "" }
  for key, value in interface or {} do
    given[key] = value
  end
  return hooks.create_endpoint({
    NetworkID = on,
    EndpointID = ep,
    Interface = given,
    Options = options,
  })
end

-- Returns a request about an endpoint.
function docker.of(on, ep, portmap)
  local options = { ["com.docker.network.portmap"] = portmap or {} }
  return {
    NetworkID = on,
    EndpointID = ep,
    SandboxKey = "/run/docker/netns/x",
    Options = options,
  }
end

-- Returns an entry of a request's port map.
function docker.map(host, port, extra)
  local entry =
    { Proto = 6, IP = "", Port = port, HostIP = "", HostPort = host, HostPortEnd = host }
  for key, value in extra or {} do
    entry[key] = value
  end
  return entry
end

-- Removes an endpoint as the end of its container does.
function docker.end_container(on, ep)
  for _, step in { "revoke_external_connectivity", "leave", "delete_endpoint" } do
    hooks[step](docker.of(on, ep))
  end
end

return docker
