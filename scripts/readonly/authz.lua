-- readonly/authz.lua
local authz = {}

function authz.request(req)
  if req.effect == "read" then return true end
  return false, `{req.action} is refused: this daemon is read-only`
end

return authz
