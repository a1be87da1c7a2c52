-- Run by `moondock test`, without Docker.

local test = require("@moondock/test")

test.case("a secret without a file is refused", function()
  test.fails("secret.get_secret", { SecretName = "missing" }, "there is no file")
end)

test.case("a name cannot lead out of the directory", function()
  test.fails("secret.get_secret", { SecretName = "../passwd" }, "%.%./passwd")
end)
