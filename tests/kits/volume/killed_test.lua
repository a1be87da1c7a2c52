local backing = require("./backing_test")
local test = require("@moondock/test")

local made, attached, names = backing.made, backing.attached, backing.names
local hooks = test.driver("volume")

-- Kills the plugin at each step of `f`, until `is_there` returns true. `again` undoes each other try.
local function kill_until(f, is_there, again)
  local n = 1
  test.killed_at(n, f)
  while not is_there() do
    again()
    n += 1
    test.is_true(not test.killed_at(n, f), "there is such a step")
  end
end

-- Runs the life of a volume. Returns what reached Docker, as it goes.
local function life(told)
  hooks.create({ Name = "xx" })
  told.created = true
  hooks.mount({ Name = "xx", ID = "a" })
  told.mounted = true
  hooks.mount({ Name = "xx", ID = "b" })
  hooks.unmount({ Name = "xx", ID = "b" })
  test.is_true(attached.xx)
  told.unmounting = true
  hooks.unmount({ Name = "xx", ID = "a" })
  told.removing = true
  hooks.remove({ Name = "xx" })
  told.removed = true
end

-- Asserts that everything holds that was acknowledged.
local function check(told)
  local listed = names()
  if told.created and not told.removing then
    test.equal(listed, { "xx" })
    test.equal(hooks.get({ Name = "xx" }).Volume.Name, "xx")
    test.equal(made.xx, "whole")
  elseif told.removed then
    test.equal(listed, {})
  end
  if told.mounted and not told.unmounting then
    test.is_true(attached.xx, "a volume that is mounted stays so")
  end
end

test.case("a kill at any moment loses and doubles nothing", function()
  local told = {}
  local steps = test.killed_anywhere(function()
    life(told)
  end, function()
    check(told)
    -- The user continues: creates the volume if necessary, uses it under new IDs, removes it.
    hooks.create({ Name = "xx" })
    hooks.mount({ Name = "xx", ID = "c" })
    test.is_true(attached.xx)
    test.equal(made.xx, "whole")
    for _, id in { "a", "b", "c" } do
      hooks.unmount({ Name = "xx", ID = id })
    end
    hooks.remove({ Name = "xx" })
    test.equal(names(), {})
    test.equal(test.stored("@volume"), {})
    test.equal({ made, attached }, { {}, {} }, "what is left")
    told = {}
  end)
  test.is_true(steps > 30, `only {steps} steps`)
end)

test.case("a volume can be removed after a kill at any moment", function()
  hooks.create({ Name = "xx" })
  test.killed_anywhere(function()
    hooks.mount({ Name = "xx", ID = "a" })
  end, function()
    hooks.remove({ Name = "xx" })
    test.equal({ made, attached }, { {}, {} }, "what is left")
    hooks.create({ Name = "xx" })
  end)
end)

test.case("another create clears what was half made", function()
  kill_until(function()
    hooks.create({ Name = "xx" })
  end, function()
    return made.xx == "half"
  end, names)
  test.equal(names(), {})
  hooks.create({ Name = "yy" })
  test.equal(made, { yy = "whole" })
end)

test.case("a lost answer to mount does not block removal", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "lost" })
  test.restart()
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.unmount({ Name = "xx", ID = "a" })
  hooks.remove({ Name = "xx" })
  test.equal(attached, {})
end)

test.case("a half removed volume can be removed again only", function()
  hooks.create({ Name = "xx" })
  kill_until(function()
    hooks.remove({ Name = "xx" })
  end, function()
    return test.stored("@volume/")["@volume/xx"].phase == "removing"
  end, function()
    hooks.remove({ Name = "xx" })
    hooks.create({ Name = "xx" })
  end)
  test.equal(
    hooks.get({ Name = "xx" }).Volume.Status,
    { Error = "partly removed: remove it again" }
  )
  test.equal(
    test.fails("volume.mount", { Name = "xx", ID = "a" }),
    'volume "xx" is partly removed: remove it again'
  )
  hooks.remove({ Name = "xx" })
  test.equal(names(), {})
end)
