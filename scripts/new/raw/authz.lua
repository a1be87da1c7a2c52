-- A policy: the engine asks it about every request. While `moondock serve` runs, switch it on with
--   { "authorization-plugins": ["PLUGIN"] }
-- in /etc/docker/daemon.json and `systemctl reload docker`. Remove it there before you stop Moondock:
-- an engine that cannot reach its policy denies every request.
--
-- This is a beginning. There are more ways to become root on the host than those that it denies;
-- `moondock new NAME --from ops` copies a policy that knows them.

local authz = {}

-- A container may mount what is directly in /srv/data, but nothing that contains what others mount.
local function is_allowed(path: string)
  return string.match(path, "^/srv/data/[^/.][^/]*$") ~= nil
end

-- Returns `true`, or `false` and the reason, which Docker's user reads. Anything else, and an error,
-- denies the request, too.
function authz.request(req: AuthzRequest): (boolean, ...string)
  if req.effect == "read" then return true end
  if req.effect == "unknown" then return false, "this request is not known" end

  if req.action == "container.create" then
    local host = req.body.HostConfig
    if host and host.Privileged then return false, "privileged containers are not allowed" end
  end
  if req.action == "exec.create" and req.body.Privileged then
    return false, "privileged commands are not allowed"
  end

  -- Every path of the host that the request mounts, by whichever option.
  for _, mount in req.mounts do
    if not is_allowed(mount.resolved or mount.source) then
      return false, `{mount.source} is not a directory in /srv/data ({mount.via})`
    end
  end
  return true
end

-- Next: `req.user` is who asks, if the client uses TLS; `req.query` and `req.id` are parts of the
-- path. `function authz.response(req)` judges the reply in the same way.

return authz
