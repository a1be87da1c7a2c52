local authz = {}

function authz.request(req)
  return type(req.path) == "string"
end

function authz.response(req)
  return req.ResponseStatusCode ~= 599
end

return authz
