-- The secrets of a swarm: a file for each.
--   docker secret create --driver PLUGIN db_password
--   docker service create --secret db_password …
-- Docker asks the manager that leads the swarm whenever a task is about to start.

local fs = require("@moondock/fs")
local plugin = require("@moondock/plugin")

local secret = {}

-- `req` also says for whom: `req.ServiceName`, `req.TaskImage`, and the labels of the secret and of the
-- service. A field without a value is nil.
function secret.get_secret(req: SecretRequest)
  -- plugin.toml has the setting, and the grant to read below it. `fs.join` raises if a name leads out
  -- of the directory.
  local file = fs.join(plugin.settings().secret_root, req.SecretName)
  -- Docker's user does not see why a call fails; Moondock's log does.
  if not fs.exists(file) then error(`there is no file {file}`, 0) end
  return { Value = fs.read(file) }
end

-- Next: `DoNotReuse = true` beside `Value` makes Docker ask for each task.

return secret
