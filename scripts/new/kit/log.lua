-- The logs of containers, in rotated files of JSON lines.
--   docker run -d --name web --log-driver PLUGIN --log-opt max-size=1m busybox …
--   docker logs --tail 5 --follow web
-- The kit takes the options of Docker's `json-file`, loses no line in a crash, and writes none twice.

local logs = require("@moondock/logs")
local settings = require("@moondock/plugin").settings()

return logs.file_driver({
  root = settings.log_root,
  max_size = settings.max_size,
  max_file = settings.max_file,
})

-- Next: to send lines elsewhere, write the hooks yourself: `moondock new NAME log --raw`.
