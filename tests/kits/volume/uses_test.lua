-- The uses of a volume, each of which is an entry of the store.

local backing = require("./backing_test")
local store = require("@moondock/store")
local test = require("@moondock/test")

local made, attached = backing.made, backing.attached
local hooks = test.driver("volume")

-- Gives a record the form of an earlier version, which had all uses of its volume.
local function put_uses_in_the_record(name)
  local key, prefix = "@volume/" .. name, `@volume-use/{#name}/{name}/`
  local record = store.get(key)
  record.mounts, record.live = {}, nil
  for _, entry in store.list(prefix) do
    record.mounts[string.sub(entry.key, #prefix + 1)] = entry.value
    store.delete(entry.key)
  end
  store.set(key, record)
end

local function is_whole(name)
  test.is_true(store.get("@volume/" .. name).mounts == nil, "a record without uses")
end

test.case("uses in the record of an earlier version still count", function()
  local function fill()
    hooks.create({ Name = "xx" })
    hooks.mount({ Name = "xx", ID = "a" })
    test.restart_engine()
    hooks.mount({ Name = "xx", ID = "b" })
    hooks.mount({ Name = "xx", ID = "c" })
    put_uses_in_the_record("xx")
    test.restart()
  end
  fill()
  test.killed_anywhere(function()
    test.equal(hooks.get({ Name = "xx" }).Volume.Mountpoint, "/mnt/xx")
    hooks.unmount({ Name = "xx", ID = "b" })
  end, function()
    test.is_true(attached.xx, "a volume in use stays mounted")
    hooks.unmount({ Name = "xx", ID = "b" })
    test.is_true(attached.xx, "a repeated call leaves a volume in use mounted")
    is_whole("xx")
    hooks.unmount({ Name = "xx", ID = "c" })
    test.equal(attached.xx, nil, "the mount after a stale use")
    hooks.remove({ Name = "xx" })
    test.equal({ made, test.stored("@volume") }, { {}, {} }, "what is left")
    fill()
  end)
end)

test.case("a record of an earlier version is mounted again", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  put_uses_in_the_record("xx")
  test.restart()
  hooks.mount({ Name = "xx", ID = "a" }) -- docker cp
  hooks.unmount({ Name = "xx", ID = "a" })
  test.is_true(attached.xx, "docker cp leaves a volume in use mounted")
  is_whole("xx")
  hooks.unmount({ Name = "xx", ID = "a" })
  test.equal(attached.xx, nil)
end)

test.case("a volume of an earlier version is removed with its uses", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  put_uses_in_the_record("xx")
  hooks.remove({ Name = "xx" })
  test.is_true(test.log("outstanding mounts")[1], "the warning of the use")
  test.equal({ attached, test.stored("@volume") }, { {}, {} }, "what is left")
end)

test.case("a reboot ends the uses in the record of an earlier version", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  put_uses_in_the_record("xx")
  test.reboot()
  attached.xx = nil
  hooks.mount({ Name = "xx", ID = "b" })
  hooks.unmount({ Name = "xx", ID = "b" })
  test.equal(attached.xx, nil)
  test.equal(test.stored("@volume-use/"), {})
end)

test.case("uses end with the volume at any moment", function()
  local function use()
    hooks.create({ Name = "xx" })
    hooks.mount({ Name = "xx", ID = "a" })
    hooks.mount({ Name = "xx", ID = "b" })
  end
  use()
  test.killed_anywhere(function()
    hooks.remove({ Name = "xx" })
  end, function()
    hooks.remove({ Name = "xx" })
    test.equal({ made, attached, test.stored("@volume") }, { {}, {}, {} }, "what is left")
    use()
  end)
end)

test.case("a use costs the same with few and with many", function()
  hooks.create({ Name = "xx" })
  local own = { Name = "xx", ID = "own" }
  local function costs(from, to)
    for n = from, to do
      hooks.mount({ Name = "xx", ID = tostring(n) })
    end
    local list = {}
    for _, hook in { "mount", "mount", "unmount", "get", "list", "unmount" } do
      table.insert(list, { hook, test.cost(function()
        hooks[hook](own)
      end) })
    end
    return list
  end
  local few = costs(1, 10)
  test.equal(costs(11, 300), few)
end)

test.case("names with slashes keep their uses apart", function()
  test.settings({ variant = "any_slashes" })
  for _, name in { "pool", "pool/data" } do
    hooks.create({ Name = name })
    hooks.mount({ Name = name, ID = "a" })
  end
  hooks.remove({ Name = "pool" })
  test.equal(attached, { ["pool/data"] = true })
  hooks.mount({ Name = "pool/data", ID = "b" })
  hooks.unmount({ Name = "pool/data", ID = "b" })
  test.equal(attached, { ["pool/data"] = true })
  hooks.unmount({ Name = "pool/data", ID = "a" })
  test.equal(attached, {})
end)
