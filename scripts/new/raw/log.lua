-- The logs of containers, as lines of Moondock's own log.
--   docker run --rm --log-driver PLUGIN busybox echo hello
-- A function answers what happens to a container's log; the fields of `entry` and `info` have Docker's
-- own names.

local log = require("@moondock/log")

local driver = {}

-- A container starts. An error refuses the start: `error("…", 0)` shows the message to Docker's user.
function driver.start(info: LogInfo)
  for option in info.Config or {} do
    error(`unknown option "{option}"`, 0)
  end
end

-- Takes the lines that have arrived, at most a thousand at a time. If this fails or Moondock crashes,
-- they are delivered again, with the same `seq`.
function driver.write_batch(entries: { LogEntry }, info: LogInfo)
  for _, entry in entries do
    log.info(entry.line or "", { container = info.ContainerName, source = entry.source })
  end
end

-- Next: `function driver.read(info, config, emit, wait)` answers `docker logs`. Without it, Docker
-- keeps and reads a copy of its own.

return driver
