-- Rules for networks. Each returns the reason for a denial, or nothing.

local net = require("@moondock/net")
local settings = require("./settings")
local equals, unless_listed = settings.equals, settings.unless_listed

-- Options of networks that name a link or an address of the host.
local BRIDGE_NAMES = { "com.docker.network.bridge.name", "bridge" }
local HOST_OPTIONS = {
  "com.docker.network.bridge.default_bridge",
  "com.docker.network.bridge.trusted_host_interfaces",
  "com.docker.network.host_ipv4",
  "com.docker.network.host_ipv6",
  "parent",
}

-- The request has the network's ID, which may be that of the host's network, so only those in the
-- settings are allowed.
local function service_networks(list)
  for _, network in settings.each(list) do
    local target = network.Target or ""
    local function allows(entry)
      local prefix = string.match(entry, "^(.+_)%*$")
      return entry == target or (prefix ~= nil and string.sub(target, 1, #prefix) == prefix)
    end
    local reason = `namespaces: services may not use the network {target}, as it may be the host's`
    reason = unless_listed("service_networks", allows, reason)
    if reason then return reason end
  end
end

local function network_driver(body)
  local driver = body.Driver or ""
  if driver == "" then return nil end
  local reason = `networks: networks may not be of the driver {driver}`
  return unless_listed("network_drivers", settings.names(driver), reason)
end

-- An IPAM driver chooses the subnet, whatever the request says.
local function ipam_driver(body)
  local driver = (body.IPAM or {}).Driver or ""
  if driver == "" then return nil end
  local reason = `networks: the addresses of networks may not be of the driver {driver}`
  return unless_listed("ipam_drivers", settings.names(driver), reason)
end

local function network_options(body)
  local options = body.Options or {}
  for _, option in BRIDGE_NAMES do
    local name = options[option]
    local function allows(prefix)
      return string.sub(name, 1, #prefix) == prefix
    end
    local reason = name and `networks: the bridge may not be named {name}`
    reason = reason and unless_listed("bridges", allows, reason)
    if reason then return reason end
  end
  for _, option in HOST_OPTIONS do
    local reason = options[option] and `networks: networks may not have the option {option}`
    reason = reason and unless_listed("network_options", equals(option), reason)
    if reason then return reason end
  end
end

local function host_network(subnet)
  for _, route in net.routes_overlapping(subnet) do
    local is_wider = route.gateway ~= nil and not net.contains(subnet, route.destination)
    if not is_wider then return `the host's network {route.destination}` end
  end
end

-- Returns what the host would reach no more, as it sends what is meant for a network's subnet to
-- the network, or nothing. Docker's own bridge does not check it. The driver `ops` checks the host's
-- networks itself, after it has removed what a lost state left.
local function taken_by(subnet, driver)
  local network = if settings.names(driver)("ops") then nil else host_network(subnet)
  if network then return network end
  for _, route in net.routes() do
    local gateway = route.gateway
    if gateway and net.contains(subnet, gateway) then return `the host's gateway {gateway}` end
  end
  for _, server in net.name_servers() do
    if net.contains(subnet, server) then return `the host's name server {server}` end
  end
end

local function subnet_denial(subnet, driver)
  if not pcall(net.parse_cidr, subnet) then
    return `networks: {subnet} is not a subnet such as 10.1.0.0/24`
  end
  local function allows(range)
    return net.contains(range, subnet)
  end
  local reason = unless_listed("subnets", allows, `networks: the subnet may not be {subnet}`)
  if reason then return reason end
  local taken = taken_by(subnet, driver)
  return if taken then `networks: the subnet {subnet} overlaps {taken}` else nil
end

local function subnets(body)
  for _, config in settings.each((body.IPAM or {}).Config) do
    local subnet = config.Subnet or ""
    local reason = if subnet == "" then nil else subnet_denial(subnet, body.Driver or "")
    if reason then return reason end
  end
end

local function create(body)
  return network_driver(body) or ipam_driver(body) or network_options(body) or subnets(body)
end

return { create = create, of_service = service_networks }
