-- Run by `moondock test`, without Docker.

local test = require("@moondock/test")

local function sample(running)
  return {
    name = "engine_daemon_container_states_containers",
    labels = { state = "running" },
    value = running,
    type = "gauge",
  }
end

test.case("samples are read, few and many", function()
  test.call("metrics.collect", { samples = { sample(1), sample(1000) } })
end)
