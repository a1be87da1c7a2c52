-- Addresses: durable pools; no address is leased twice.
--   docker network create --ipam-driver ops mynet

local ipam = require("@moondock/ipam")
local network = require("@moondock/network")
local plugin = require("@moondock/plugin")

return ipam.driver({
  pools = function()
    return plugin.settings().pools
  end,
  in_use = network.in_use,
})
