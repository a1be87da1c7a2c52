-- Networks: a bridge, and a pair of links for each container.
--   docker network create -d PLUGIN --subnet 10.20.30.0/24 mynet
--   docker run --rm --network mynet busybox ip address
-- The kit keeps the networks and endpoints, and restores them after a restart.

local firewall = require("@moondock/firewall")
local ipam = require("@moondock/ipam")
local net = require("@moondock/net")
local network = require("@moondock/network")

-- The name of a link has at most 15 bytes; `short` has 12.
local function bridge(n)
  return `nb-{n.short}`
end
local function host_side(e)
  return `nh-{e.short}`
end
local function container_side(e)
  return `nc-{e.short}`
end

-- The firewall: a way out of the network, and the ports of `docker run -p`.
local function publish(n: network.Network)
  firewall.apply(n.id, {
    bridge = bridge(n),
    subnets = n.subnets,
    masquerade = not n.internal,
    internal = n.internal,
    isolate = true,
    ports = n.ports,
  })
end

return network.driver({
  -- What users set with `-o NAME=VALUE`; the kit rejects anything else.
  options = {
    mtu = { type = "integer", doc = "the largest packet, in bytes" },
  },

  -- After a crash, the kit calls a function again: each must accept that its work is done already.
  create = function(n)
    network.check_host(n, bridge(n)) -- nothing else of the host has the subnet
    if net.link(bridge(n)) == nil then net.create_bridge(bridge(n), { mtu = n.options.mtu }) end
    for _, gateway in n.gateways do
      net.add_address(bridge(n), gateway)
    end
    net.set_up(bridge(n))
    net.sysctl_set("net.ipv4.ip_forward", 1)
    publish(n)
  end,

  delete = function(n)
    firewall.remove(n.id)
    net.delete_link(bridge(n))
  end,

  -- Returns the link that Docker moves into the container.
  join = function(n, e)
    net.delete_link(host_side(e)) -- left by an interrupted call
    net.create_veth(host_side(e), container_side(e), { peer_mac = e.mac, mtu = n.options.mtu })
    net.set_master(host_side(e), bridge(n))
    net.set_up(host_side(e))
    return { interface = container_side(e), host_interface = host_side(e) }
  end,

  leave = function(_, e)
    net.delete_link(host_side(e))
  end,

  -- Called when `n.ports` changes.
  publish = publish,

  -- Tells networks that Docker has given up from others, if this plugin's ipam.lua has their addresses.
  has_pool = ipam.has_pool,
})
