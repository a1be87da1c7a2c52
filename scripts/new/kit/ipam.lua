-- Addresses: pools and leases that outlive a crash; no address is leased twice.
--   docker network create --ipam-driver PLUGIN mynet

local ipam = require("@moondock/ipam")
local network = require("@moondock/network")
local plugin = require("@moondock/plugin")

return ipam.driver({
  -- For networks that are created without `--subnet`: ranges, and the prefix length of their subnets.
  pools = function()
    return plugin.settings().pools
  end,

  -- Which addresses are in use on networks of this plugin, if it has a network.lua.
  in_use = network.in_use,

  -- Next: `options = { … }` declares what users set with `--ipam-opt`.
})
