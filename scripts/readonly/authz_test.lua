local test = require("@moondock/test")

test.case("reads are allowed", function()
  test.allowed(test.request({ uri = "/v1.41/containers/json" }))
end)

test.case("everything else is denied, with the action", function()
  local decision = test.request({
    method = "POST",
    uri = "/v1.41/containers/create",
    body = { Image = "busybox" },
  })
  test.denied(decision, "^container.create is refused: this daemon is read%-only$")
end)
