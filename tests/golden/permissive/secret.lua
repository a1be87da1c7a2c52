local secret = {}

function secret.get_secret(req)
  return { Value = "\0\255 of " .. req.SecretName, DoNotReuse = req.TaskID ~= nil }
end

return secret
