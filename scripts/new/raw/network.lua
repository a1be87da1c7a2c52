-- Networks: a bridge, and a pair of links for each container.
--   docker network create -d PLUGIN --subnet 10.20.30.0/24 mynet
--   docker run --rm --network mynet busybox ip address
-- A function answers one of Docker's methods: `join` answers NetworkDriver.Join. The fields of
-- requests and replies have Docker's own names.

local firewall = require("@moondock/firewall")
local net = require("@moondock/net")
local store = require("@moondock/store")

-- The name of a link has at most 15 bytes.
local function bridge(network_id: string)
  return "nb-" .. string.sub(network_id, 1, 12)
end
local function host_side(endpoint_id: string)
  return "nh-" .. string.sub(endpoint_id, 1, 12)
end
local function container_side(endpoint_id: string)
  return "nc-" .. string.sub(endpoint_id, 1, 12)
end

local network = {}

function network.create_network(req: CreateNetworkRequest)
  local ipv4 = req.IPv4Data and req.IPv4Data[1]
  if not ipv4 or not ipv4.Gateway then error("the network needs an IPv4 subnet", 0) end
  local name = bridge(req.NetworkID)
  if net.link(name) == nil then net.create_bridge(name) end
  net.add_address(name, ipv4.Gateway)
  net.set_up(name)
  -- Lets containers reach each other, and the world by the host's address.
  net.sysctl_set("net.ipv4.ip_forward", 1)
  local subnet = net.canonical(ipv4.Gateway)
  firewall.apply(req.NetworkID, { bridge = name, subnets = { subnet }, masquerade = true })
  -- Docker sends this only once. What is stored is on disk before the call is answered.
  store.set(req.NetworkID, { gateway = net.parse_cidr(ipv4.Gateway).address })
end

function network.delete_network(req: NetworkRequest)
  firewall.remove(req.NetworkID)
  net.delete_link(bridge(req.NetworkID))
  store.delete(req.NetworkID)
end

-- The reply may have addresses that are not in the request.
function network.create_endpoint(_req: CreateEndpointRequest)
  return {}
end

function network.delete_endpoint(_req: EndpointRequest) end

-- A container starts: returns the link that Docker moves into it.
function network.join(req: JoinRequest)
  local host, container = host_side(req.EndpointID), container_side(req.EndpointID)
  net.delete_link(host) -- left by an interrupted call
  net.create_veth(host, container)
  net.set_master(host, bridge(req.NetworkID))
  net.set_up(host)
  return {
    InterfaceName = { SrcName = container, DstPrefix = "eth" },
    Gateway = store.get(req.NetworkID).gateway,
  }
end

function network.leave(req: EndpointRequest)
  net.delete_link(host_side(req.EndpointID))
end

-- Next: `docker run -p` does nothing yet. After a restart of the machine, the bridges are gone, and
-- Docker does not create them again. The kit does both: `moondock new NAME network`.

return network
