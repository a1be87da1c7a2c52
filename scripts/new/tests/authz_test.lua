-- Run by `moondock test`, without Docker.

local test = require("@moondock/test")

test.case("reading is allowed", function()
  test.is_true(test.docker("ps").allow)
end)

test.case("ordinary containers are allowed, privileged ones are not", function()
  test.is_true(test.docker("run busybox").allow)
  local answer = test.docker("run --privileged busybox")
  test.equal(answer.allow, false)
  test.match(answer.message, "privileged")
end)

test.case("the host's directories stay outside", function()
  local answer = test.request({
    method = "POST",
    uri = "/v1.41/containers/create",
    body = { Image = "busybox", HostConfig = { Binds = { "/etc:/host" } } },
  })
  test.equal(answer.allow, false)
  test.match(answer.message, "/etc")
end)
