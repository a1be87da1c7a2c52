-- A driver of the pools in its settings, which asks a program what a test is to decide.

local ipam = require("@moondock/ipam")
local json = require("@moondock/json")
local plugin = require("@moondock/plugin")
local process = require("@moondock/process")

local settings = plugin.settings()

local function pools()
  return settings.pools
end

local function in_use(ip)
  return json.decode(process.check({ argv = { "true", "in-use", ip } }))
end

return ipam.driver({
  pools = if settings.is_function then pools else settings.pools,
  in_use = if settings.asks then in_use else nil,
})
