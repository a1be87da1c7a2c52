-- Networks: a bridge with a veth pair for each container, NAT, published ports, IPv4 and IPv6.
--   docker network create -d ops --ipam-driver ops mynet

local firewall = require("@moondock/firewall")
local ipam = require("@moondock/ipam")
local net = require("@moondock/net")
local network = require("@moondock/network")

-- The name of an interface has at most 15 bytes.
local function bridge_of(n)
  return n.options.bridge or "md-" .. string.sub(n.id, 1, 12)
end
local function host_side(e)
  return "mdh" .. string.sub(e.id, 1, 12)
end
local function container_side(e)
  return "mdc" .. string.sub(e.id, 1, 12)
end

-- The MAC address identifies the bridge as ours.
local function mac_of(n)
  local first = n.gateways[1] or n.subnets[1] or "0.0.0.0/0"
  return net.mac_from_ip(net.parse_cidr(first).address)
end

local function is_ours(n)
  local link = net.link(bridge_of(n))
  return link ~= nil and link.kind == "bridge" and link.mac == mac_of(n)
end

local function make_bridge(n)
  local bridge = bridge_of(n)
  if net.link(bridge) == nil then
    net.create_bridge(bridge, { mac = mac_of(n), mtu = n.options.mtu })
  elseif not is_ours(n) then
    error(`interface {bridge} exists already and is not the bridge of this network`, 0)
  end
end

local function allow_ipv6(bridge)
  net.sysctl_set(`net.ipv6.conf.{bridge}.disable_ipv6`, "0")
  -- Without a container, duplicate address detection never ends, and the address stays unusable.
  net.sysctl_set(`net.ipv6.conf.{bridge}.accept_dad`, "0")
  net.sysctl_set("net.ipv6.conf.all.forwarding", "1")
end

local function publish(n)
  firewall.apply(n.id, {
    bridge = bridge_of(n),
    subnets = n.subnets,
    masquerade = n.options.masquerade and not n.internal,
    internal = n.internal,
    isolate = n.options.isolate,
    ports = n.ports,
  })
end

return network.driver({
  has_pool = ipam.has_pool,

  options = {
    bridge = {
      pattern = "[%w_-]+",
      aliases = { "com.docker.network.bridge.name" },
      doc = "the bridge's name",
    },
    mtu = { type = "integer", aliases = { "com.docker.network.driver.mtu" }, doc = "such as 1400" },
    masquerade = {
      type = "boolean",
      default = "true",
      aliases = { "com.docker.network.bridge.enable_ip_masquerade" },
      doc = "whether packets leave the host under its address",
    },
    isolate = {
      type = "boolean",
      default = "true",
      doc = "whether other networks of this driver cannot be reached",
    },
  },

  create = function(n)
    local bridge = bridge_of(n)
    make_bridge(n)
    if n.ipv6 then allow_ipv6(bridge) end
    for _, gateway in n.gateways do
      net.add_address(bridge, gateway)
    end
    net.set_up(bridge)
    net.sysctl_set("net.ipv4.ip_forward", "1")
    publish(n)
  end,

  delete = function(n)
    firewall.remove(n.id)
    if is_ours(n) then net.delete_link(bridge_of(n)) end
  end,

  join = function(n, e)
    local host, container = host_side(e), container_side(e)
    net.delete_link(host) -- left by an interrupted call
    net.create_veth(host, container, { peer_mac = e.mac, mtu = n.options.mtu })
    net.set_master(host, bridge_of(n))
    net.set_up(host)
    return { interface = container, host_interface = host }
  end,

  leave = function(_, e)
    net.delete_link(host_side(e))
  end,

  publish = publish,
})
