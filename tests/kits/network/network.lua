-- A driver that makes a bridge for each network and a veth pair for each endpoint, and asks a program
-- what a test is to decide.

local firewall = require("@moondock/firewall")
local net = require("@moondock/net")
local network = require("@moondock/network")
local plugin = require("@moondock/plugin")
local process = require("@moondock/process")
local store = require("@moondock/store")

local settings = plugin.settings()

local function bridge(n)
  return "br-" .. n.short
end

local function host_side(e)
  return "h-" .. e.short
end

local function container_side(e)
  return "c-" .. e.short
end

local function ask(question, about)
  local answer = process.run({ argv = { "true", question, about } })
  if answer.code > 1 then error(answer.stderr, 0) end
  return answer.code == 0
end

local driver = {
  options = { mtu = { type = "integer", aliases = { "com.docker.network.driver.mtu" } } },
  endpoint_options = { weight = { type = "integer" } },
  create = function(n)
    if net.link(bridge(n)) == nil then net.create_bridge(bridge(n), {}) end
    firewall.apply(n.id, { bridge = bridge(n), subnets = n.subnets, ports = n.ports })
  end,
  delete = function(n)
    firewall.remove(n.id)
    net.delete_link(bridge(n))
  end,
  join = function(n, e)
    net.delete_link(host_side(e))
    net.create_veth(host_side(e), container_side(e), { peer_mac = e.mac })
    net.set_master(host_side(e), bridge(n))
    return { interface = container_side(e), host_interface = host_side(e) }
  end,
  leave = function(_, e)
    net.delete_link(host_side(e))
  end,
  publish = function(n, list, withdrawn)
    return firewall.publish(n.id, list, withdrawn)
  end,
}

local questions = {
  has_pool = function(_, cidr)
    return ask("has_pool", cidr)
  end,
  start = function(networks)
    ask("start", tostring(#networks))
  end,
}

for _, name in settings.asks do
  driver[name] = questions[name]
end

if settings.publish == "itself" then
  driver.publish = false
elseif settings.publish == "no" then
  driver.publish = nil
end

if settings.host_ip ~= "" then
  driver.host_ip = function(n)
    store.set("host_ip_of", n.id)
    return settings.host_ip
  end
end

if settings.curious then driver.create = function(n)
  store.set("seen", n)
end end

return network.driver(driver)
