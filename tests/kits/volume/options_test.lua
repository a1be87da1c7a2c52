local options = require("@moondock/options")
local test = require("@moondock/test")

local DECLARED = {
  size = { type = "size", doc = "such as 10g" },
  mode = { type = "octal", default = "0755" },
  kind = { values = { "a", "b" }, aliases = { "com.example.kind" } },
  quick = { type = "boolean" },
  word = { secret = true, pattern = "%l+" },
  ip = { type = "ipv4" },
  short = { max_length = 3 },
}

local function refused(declared, given)
  return test.fails(function()
    options.parse(declared, given)
  end)
end

test.case("values have their types", function()
  test.equal(
    options.parse(DECLARED, { size = "1.5G", quick = "true" }),
    { size = 1.5 * 2 ^ 30, mode = 493, quick = true }
  )
  test.equal(options.parse(DECLARED, { size = "64MiB" }).size, 64 * 2 ^ 20)
  test.equal(options.parse(DECLARED, nil), { mode = 493 })
  test.equal(
    options.parse(DECLARED, { ["com.example.kind"] = "b", quick = "0" }),
    { kind = "b", mode = 493, quick = false }
  )
end)

test.case("addresses and lengths are checked", function()
  test.equal(
    options.parse(DECLARED, { ip = "0.0.0.0", short = "abc" }),
    { ip = "0.0.0.0", mode = 493, short = "abc" }
  )
  for _, wrong in { "999.1.1.1", "1.2.3", "01.2.3.4", "1.2.3.4/8", "::1", "" } do
    test.equal(
      refused(DECLARED, { ip = wrong }),
      `option "ip" is "{wrong}": it must be an IPv4 address`
    )
  end
  test.equal(
    refused(DECLARED, { short = "abcd" }),
    'option "short" is "abcd": it must be at most 3 bytes long'
  )
end)

test.case("messages say what to write", function()
  test.equal(refused(DECLARED, { sise = "1" }), 'unknown option "sise": did you mean "size"?')
  test.equal(
    refused(DECLARED, { frobnicate = "1" }),
    'unknown option "frobnicate": the options are ip, kind, mode, quick, short, size, word'
  )
  test.equal(refused({}, { x = "1" }), 'unknown option "x": this driver has no options')
  test.equal(
    refused(DECLARED, { size = "big" }),
    'option "size" is "big": it must be a size such as `512m` or `10g` (such as 10g)'
  )
  test.equal(
    refused(DECLARED, { mode = "0999" }),
    'option "mode" is "0999": it must be octal permissions such as `0750`'
  )
  test.equal(refused(DECLARED, { kind = "c" }), 'option "kind" is "c": it must be one of a, b')
  test.equal(
    refused({ id = { required = true, doc = "whose" } }, {}),
    'option "id" is required: whose'
  )
end)

test.case("a secret is not repeated", function()
  test.equal(refused(DECLARED, { word = "HUNTER2" }), 'option "word": it must be of the form %l+')
end)

test.case("differences have a name", function()
  test.equal(options.difference({ a = 1, b = 2 }, { a = 1, b = 2 }), nil)
  test.equal(options.difference({ a = 1, b = 2 }, { a = 1, c = 2 }), "b")
end)
