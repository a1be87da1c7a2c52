-- Watches the engine's own metrics, and writes to Moondock's log.
-- Docker offers its metrics to managed plugins only:
--   moondock bundle … --create, then docker plugin enable …

local log = require("@moondock/log")
local plugin = require("@moondock/plugin")

local metrics = {}

-- Called every `interval_s` seconds (plugin.toml). A sample has a name, labels and a value; the buckets
-- of a histogram are separate samples.
function metrics.collect(samples: { MetricSample })
  local limit = plugin.settings().max_running
  for _, sample in samples do
    local counts_containers = sample.name == "engine_daemon_container_states_containers"
    if counts_containers and sample.labels.state == "running" and sample.value > limit then
      log.warn("many containers run", { running = sample.value, limit = limit })
    end
  end
end

-- Next: which metrics there are depends on the engine. To list them, log `sample.name`.

return metrics
