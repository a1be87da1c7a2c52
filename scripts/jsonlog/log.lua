-- Keeps the logs of containers in files:
-- `docker run --log-driver jsonlog --log-opt max-size=10m --log-opt max-file=3 …`
-- It takes the options of Docker's `json-file`.
local logs = require("@moondock/logs")
local settings = require("@moondock/plugin").settings()

return logs.file_driver({
  root = settings.root,
  max_size = rawget(settings, "max_size"),
  max_file = rawget(settings, "max_file"),
})
