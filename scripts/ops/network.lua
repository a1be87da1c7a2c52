-- Networks: a bridge with a veth pair for each container, NAT, published ports, IPv4 and IPv6.
--   docker network create -d ops --ipam-driver ops mynet

local firewall = require("@moondock/firewall")
local ipam = require("@moondock/ipam")
local log = require("@moondock/log")
local net = require("@moondock/net")
local network = require("@moondock/network")
local plugin = require("@moondock/plugin")

-- The name of an interface has at most 15 bytes.
local function bridge_of(n)
  return n.options.bridge or "md-" .. n.short
end
local function host_side(e)
  return "mdh" .. e.short
end
local function container_side(e)
  return "mdc" .. e.short
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
  network.check_host(n, bridge)
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

local function apply(n)
  firewall.apply(n.id, {
    bridge = bridge_of(n),
    subnets = n.subnets,
    masquerade = n.options.masquerade and not n.internal,
    internal = n.internal,
    icc = n.options.icc,
    isolate = n.options.isolate,
    ports = n.ports,
  })
end

-- Docker's other modes open containers to the outside. Here nothing but published ports is open.
local function gateway_mode(family)
  return {
    values = { "nat" },
    aliases = { "com.docker.network.bridge.gateway_mode_" .. family },
    doc = "only published ports are reachable; see `masquerade` and `--internal`",
  }
end

-- Returns the ports of a bridge.
local function ports_of(bridge)
  local list = {}
  for _, link in net.links() do
    if link.master == bridge then table.insert(list, link.name) end
  end
  return list
end

-- Reports what a lost state left in the kernel, or removes it if the settings say so.
local function leftovers(networks)
  local known, own = {}, {}
  for _, n in networks do
    known[n.id], own[bridge_of(n)] = true, true
  end
  for id, bridge in firewall.bridges() do
    if not known[id] then
      local links = if own[bridge] then {} else ports_of(bridge)
      local fields = { network = id, bridge = bridge, links = table.concat(links, " ") }
      if not rawget(plugin.settings(), "remove_leftovers") then
        log.warn(
          "the kernel has a network that is not in the state: set `remove_leftovers`",
          fields
        )
        continue
      end
      firewall.remove(id)
      for _, link in links do
        net.delete_link(link)
      end
      if not own[bridge] then net.delete_link(bridge) end
      log.info("removed a network that is not in the state", fields)
    end
  end
end

return network.driver({
  start = leftovers,
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
    icc = {
      type = "boolean",
      default = "true",
      aliases = { "com.docker.network.bridge.enable_icc" },
      doc = "whether containers of the network reach each other",
    },
    host_ip = {
      type = "ipv4",
      aliases = { "com.docker.network.bridge.host_binding_ipv4" },
      doc = "the host's address for ports that are published on none",
    },
    prefix = {
      pattern = "%a[%w_-]*",
      -- The kernel takes 15 bytes, and the engine appends a number.
      max_length = 12,
      aliases = { "com.docker.network.container_iface_prefix" },
      doc = "of the interface's name in the container, by default eth",
    },
    inhibit_ipv4 = {
      type = "boolean",
      default = "false",
      aliases = { "com.docker.network.bridge.inhibit_ipv4" },
      doc = "whether the bridge gets no IPv4 address",
    },
    gateway_mode_ipv4 = gateway_mode("ipv4"),
    gateway_mode_ipv6 = gateway_mode("ipv6"),
  },

  create = function(n)
    local bridge = bridge_of(n)
    make_bridge(n)
    if n.ipv6 then allow_ipv6(bridge) end
    for _, gateway in n.gateways do
      local v4 = not string.find(gateway, ":", 1, true)
      if not (v4 and n.options.inhibit_ipv4) then net.add_address(bridge, gateway) end
    end
    net.set_up(bridge)
    net.sysctl_set("net.ipv4.ip_forward", "1")
    apply(n)
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
    -- With br_netfilter, a container reaches its own published port only by this.
    net.set_hairpin(host, true)
    net.set_isolated(host, not n.options.icc)
    net.set_up(host)
    return { interface = container, host_interface = host, prefix = n.options.prefix }
  end,

  leave = function(_, e)
    net.delete_link(host_side(e))
  end,

  publish = function(n, ports, withdrawn)
    return firewall.publish(n.id, ports, withdrawn)
  end,

  host_ip = function(n)
    return if n.options.host_ip == "0.0.0.0" then nil else n.options.host_ip
  end,
})
