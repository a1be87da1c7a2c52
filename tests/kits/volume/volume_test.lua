local backing = require("./backing_test")
local ipam = require("@moondock/ipam")
local network = require("@moondock/network")
local test = require("@moondock/test")
local time = require("@moondock/time")
local volume = require("@moondock/volume")

local made, attached, steps = backing.made, backing.attached, backing.steps
local names = backing.names
local hooks = test.driver("volume")

local function refused(hook, request)
  return test.fails("volume." .. hook, request)
end

local function uses()
  return test.stored("@volume-use/")
end

test.case("answers have Docker's names", function()
  test.settings({ functions = { "status" } })
  function steps.status()
    return { mode = 448 }
  end
  local created = time.rfc3339(test.now())
  hooks.create({ Name = "data", Opts = { mode = "0700" } })
  test.equal(hooks.get({ Name = "data" }), {
    Volume = { Name = "data", Mountpoint = "", CreatedAt = created, Status = { mode = 448 } },
  })
  test.equal(hooks.mount({ Name = "data", ID = "a" }), { Mountpoint = "/mnt/data" })
  test.equal(hooks.path({ Name = "data" }), { Mountpoint = "/mnt/data" })
  test.equal(hooks.list(), {
    Volumes = { { Name = "data", Mountpoint = "/mnt/data", CreatedAt = created } },
  })
  test.equal(hooks.capabilities(), { Capabilities = { Scope = "local" } })
  test.equal(test.stored("@volume/")["@volume/data"].options, { mode = tonumber("0700", 8) })
end)

test.case("names and options are checked", function()
  for _, name in { "../x", ".x", "a/b", "a b", string.rep("a", 256), "x\n" } do
    test.fails("volume.create", { Name = name }, "use 2 to 255 letters")
  end
  test.fails("volume.create", { Name = "" }, "`Name` is missing or empty")
  hooks.create({ Name = string.rep("a", 255) })
  test.equal(
    refused("create", { Name = "xx", Opts = { mod = "1" } }),
    'unknown option "mod": did you mean "mode"?'
  )
  test.equal(names(), { string.rep("a", 255) })
end)

test.case("a volume may be created again with the same options", function()
  hooks.create({ Name = "xx", Opts = { size = "1g" } })
  hooks.create({ Name = "xx", Opts = { size = "1024m", mode = "755" } })
  test.equal(
    refused("create", { Name = "xx", Opts = { size = "2g" } }),
    'volume "xx" already exists with another value of option "size"'
  )
end)

test.case("volumes that are not there", function()
  test.fails("volume.get", { Name = "xx" }, "no such volume")
  test.equal(refused("mount", { Name = "xx", ID = "a" }), "no such volume: xx")
  hooks.remove({ Name = "xx" })
  hooks.unmount({ Name = "xx", ID = "a" })
end)

test.case("mounts are counted by ID", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.mount({ Name = "xx", ID = "a" }) -- docker cp
  hooks.mount({ Name = "xx", ID = "b" })
  hooks.unmount({ Name = "xx", ID = "a" })
  hooks.unmount({ Name = "xx", ID = "b" })
  hooks.unmount({ Name = "xx", ID = "b" })
  test.is_true(attached.xx, "docker cp leaves a volume in use mounted")
  hooks.unmount({ Name = "xx", ID = "a" })
  test.equal(attached.xx, nil)
  hooks.remove({ Name = "xx" })
  test.equal(test.stored("@volume"), {})
end)

-- Docker itself rejects the removal of a volume in use. For one that it removes, an Unmount may be
-- lost.
test.case("a use that was never given back does not keep a volume", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.remove({ Name = "xx" })
  test.equal(attached.xx, nil)
  test.equal(test.stored("@volume"), {})
end)

test.case("a stale ID is replaced or dropped", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.mount({ Name = "xx", ID = "b" })
  hooks.mount({ Name = "xx", ID = "b" })
  test.restart_engine()
  test.disk.elsewhere["/mnt/xx"] = true
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.unmount({ Name = "xx", ID = "a" })
  test.is_true(attached.xx, "the mount of a restored container")
  test.disk.elsewhere["/mnt/xx"] = nil
  hooks.unmount({ Name = "xx", ID = "b" })
  test.equal(attached.xx, nil, "the mount after a stale ID")
end)

-- With live-restore, a container outlives its daemon, and nothing is mounted again for it.
test.case("a copy does not unmount under a container that outlived the daemon", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  test.disk.elsewhere["/mnt/xx"] = true
  for _ = 1, 2 do
    test.restart_engine()
    for _ = 1, 2 do
      hooks.mount({ Name = "xx", ID = "a" }) -- docker cp
      hooks.unmount({ Name = "xx", ID = "a" })
      test.is_true(attached.xx, "docker cp leaves a volume in use mounted")
    end
  end
  hooks.mount({ Name = "xx", ID = "b" })
  hooks.unmount({ Name = "xx", ID = "b" })
  test.is_true(attached.xx, "another container leaves a volume in use mounted")
  test.disk.elsewhere["/mnt/xx"] = nil
  hooks.unmount({ Name = "xx", ID = "a" })
  test.equal(attached.xx, nil, "the mount after the last use")
  test.equal(uses(), {})
end)

-- Without live-restore, the container stopped with the daemon, which sent no Unmount.
test.case("uses of a daemon that crashed end with the last of the next one", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.mount({ Name = "xx", ID = "b" })
  test.restart_engine()
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.mount({ Name = "xx", ID = "b" })
  test.disk.elsewhere["/mnt/xx"] = true
  hooks.unmount({ Name = "xx", ID = "a" })
  test.is_true(attached.xx)
  test.disk.elsewhere["/mnt/xx"] = nil
  hooks.unmount({ Name = "xx", ID = "b" })
  test.equal(attached.xx, nil)
  test.equal(uses(), {})
end)

local function hide_containers()
  test.play("fs.mounted_elsewhere", function()
    return nil
  end)
end

test.case("where containers cannot be seen, a use is kept", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  test.restart_engine()
  hide_containers()
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.unmount({ Name = "xx", ID = "a" })
  test.is_true(attached.xx, "it may be in use")
  hooks.unmount({ Name = "xx", ID = "a" })
  test.equal(attached.xx, nil)
end)

-- A managed plugin's mounts end when its engine stops without live-restore, as do the containers.
test.case("uses of a mount that has gone are over", function()
  function steps.mount(name)
    attached[name] = true
    local path = "/mnt/" .. name
    test.disk.mounts[path] = { source = name, target = path, type = "", options = {} }
    return path
  end
  hide_containers()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.mount({ Name = "xx", ID = "b" })
  test.restart_engine() -- the plugin alone was started again: its mount is there yet, and so is who uses it
  hooks.mount({ Name = "xx", ID = "c" })
  hooks.unmount({ Name = "xx", ID = "c" })
  test.is_true(attached.xx, "it may be in use")
  test.restart_engine()
  test.disk.mounts["/mnt/xx"] = nil
  hooks.mount({ Name = "xx", ID = "a" })
  hooks.mount({ Name = "xx", ID = "a" }) -- docker cp
  hooks.unmount({ Name = "xx", ID = "a" })
  test.is_true(attached.xx, "docker cp leaves a volume in use mounted")
  hooks.unmount({ Name = "xx", ID = "a" })
  test.equal(attached.xx, nil, "nobody is left")
  test.equal(uses(), {})
end)

test.case("a leftover of a crash does not block removal", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  test.restart_engine()
  hooks.remove({ Name = "xx" })
  test.equal({ attached, made }, { {}, {} })
end)

test.case("after a reboot, volumes are mounted again", function()
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  test.reboot()
  attached.xx = nil
  test.equal(hooks.get({ Name = "xx" }).Volume.Mountpoint, "")
  hooks.mount({ Name = "xx", ID = "a" })
  test.is_true(attached.xx)
  hooks.unmount({ Name = "xx", ID = "a" })
  test.equal(attached.xx, nil)
end)

test.case("a driver that fails changes nothing", function()
  local broken = true
  function steps.finish(name)
    if broken then error("no space", 0) end
    made[name] = "whole"
  end
  function steps.mount()
    if broken then error("no route", 0) end
    return "/m"
  end
  function steps.spoil(name)
    if made[name] == "whole" then error("protected", 0) end
  end
  test.equal(refused("create", { Name = "xx" }), "no space")
  test.equal(test.stored("@volume"), {})
  test.equal(made, {})
  broken = false
  hooks.create({ Name = "xx" })
  broken = true
  test.equal(refused("mount", { Name = "xx", ID = "a" }), "no route")
  broken = false
  test.equal(hooks.mount({ Name = "xx", ID = "a" }), { Mountpoint = "/m" })
end)

test.case("a removal that failed can only be repeated", function()
  local broken = true
  function steps.wipe(name)
    if broken then error("disk away\nmore", 0) end
    made[name] = nil
  end
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  test.equal(refused("remove", { Name = "xx" }), "disk away")
  test.equal(
    refused("mount", { Name = "xx", ID = "b" }),
    'volume "xx" is partly removed (disk away): remove it again'
  )
  test.equal(names(), { "xx" })
  test.equal(
    hooks.get({ Name = "xx" }).Volume.Status,
    { Error = "partly removed (disk away): remove it again" }
  )
  broken = false
  hooks.remove({ Name = "xx" })
  test.equal(made, {})
  test.equal(test.stored("@volume"), {})
end)

test.case("a volume that cannot be unmounted is not removed", function()
  local busy = true
  function steps.unmount(name)
    if busy then error("busy", 0) end
    attached[name] = nil
  end
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  test.equal(refused("remove", { Name = "xx" }), "busy")
  test.equal(made, { xx = "whole" })
  test.equal(hooks.mount({ Name = "xx", ID = "b" }), { Mountpoint = "/mnt/xx" })
  busy = false
  hooks.remove({ Name = "xx" })
  test.equal(attached, {})
end)

-- A call that exceeds its deadline ends at any point, and releases its locks.
test.cases("what a call made that was cut off is removed by the next", {
  { name = "list" },
  { name = "create" },
  { name = "remove" },
}, function(row)
  test.process({ argv = "true finish xx", delay = 3600 })
  local function again()
    if row.name == "list" then
      test.equal(names(), {})
    else
      hooks[row.name]({ Name = "yy" })
    end
  end
  test.together(function()
    test.fails("volume.create", { Name = "xx" }, "did not answer within")
  end, function()
    test.advance(1)
    again()
    test.equal(made.xx, "half", "the volume while it is created")
  end)
  again()
  test.equal(made.xx, nil)
  hooks.remove({ Name = "yy" })
  test.equal(test.stored("@volume"), {})
end)

-- Docker does not repeat an Unmount.
test.cases("an unmount that was cut off is made up for", {
  { name = "remove" },
  { name = "unmount" },
}, function(row)
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "a" })
  test.process({ argv = "true unmount xx", delay = 3600, times = 1 })
  test.fails("volume.unmount", { Name = "xx", ID = "a" }, "did not answer within")
  test.is_true(attached.xx, "nothing was unmounted")
  test.equal(uses(), {})
  if row.name == "unmount" then hooks.mount({ Name = "xx", ID = "b" }) end
  hooks[row.name]({ Name = "xx", ID = "b" })
  test.equal(attached.xx, nil)
end)

test.case("what cannot be removed is not tried at each call", function()
  local tries = 0
  function steps.spoil()
    tries += 1
    error("server away", 0)
  end
  function steps.finish()
    error("no", 0)
  end
  test.equal(refused("create", { Name = "xx" }), "no")
  test.equal(tries, 1)
  for _ = 1, 5 do
    names()
  end
  test.equal(tries, 2)
  test.advance(61)
  names()
  test.equal(tries, 3)
end)

local function nothing() end

-- Returns what is wrong with a driver, without the place.
local function complaint(own)
  local driver = { create = nothing, remove = nothing, mount = nothing, unmount = nothing }
  for key, value in own do
    driver[key] = value
  end
  local message = test.fails(function()
    volume.driver(driver :: any)
  end)
  return (string.gsub(message, "^[^ ]+ ", ""))
end

test.cases("a driver is held to its fields", {
  {
    name = "a near name",
    driver = { unmont = nothing },
    wanted = "volume.driver: unknown field `unmont`; did you mean `unmount`?",
  },
  {
    name = "an unknown name",
    driver = { zzz = nothing },
    wanted = "volume.driver: unknown field `zzz`; there are create, may_remove, mount, names, options, path, remove, scope, status, unmount",
  },
  {
    name = "a wrong type",
    driver = { create = "xx" },
    wanted = "volume.driver: `create` must be a function, not a string",
  },
  {
    name = "a wrong word",
    driver = { scope = "Local" },
    wanted = 'volume.driver: `scope` must be one of local, global, not "Local"',
  },
  {
    name = "a near field of an option",
    driver = { options = { size = { typ = "size" } } },
    wanted = "volume.driver: `options.size`: unknown field `typ`; did you mean `type`?",
  },
  {
    name = "a wrong type of an option",
    driver = { options = { size = { type = "bytes" } } },
    wanted = 'volume.driver: `options.size`: `type` must be one of string, integer, boolean, size, octal, ipv4, not "bytes"',
  },
  {
    name = "an option that is no table",
    driver = { options = { size = "size" } },
    wanted = "volume.driver: `options.size`: must be a table, not a string",
  },
}, function(row)
  test.equal(complaint(row.driver), row.wanted)
end)

test.cases("a driver without its necessary function is refused", {
  volume = "volume.driver: `mount` is missing: it must be a function",
  network = "network.driver: `create` is missing: it must be a function",
  ipam = "ipam.driver: `pools` is missing: it must be a table or a function",
}, function(message)
  local kits: { [string]: any } = { volume = volume, network = network, ipam = ipam }
  test.fails(function()
    kits[string.match(message, "^%l+")].driver({})
  end, message)
end)

test.cases("a mount without a path is refused", {
  { name = "nothing", shown = "nil" },
  { name = "a number", path = 5, shown = "5" },
  { name = "a relative path", path = "srv/xx", shown = '"srv/xx"' },
}, function(row)
  function steps.mount()
    return row.path
  end
  hooks.create({ Name = "xx" })
  test.match(
    refused("mount", { Name = "xx", ID = "a" }),
    `\`mount\` must return an absolute path, not {row.shown}$`
  )
end)

test.case("names have a form", function()
  local rule = 'use 2 to 255 letters, digits, "_", "." and "-", beginning with a letter or digit'
  for _, name in { "a", "-a", "a/b", "a@b", string.rep("a", 256) } do
    local shown = string.sub(name, 1, 80)
    test.equal(refused("create", { Name = name }), `invalid volume name "{shown}": {rule}`)
  end
  hooks.create({ Name = "ab" })
  test.settings({ variant = "slashes" })
  hooks.create({ Name = "pool/data" })
  hooks.create({ Name = "creating/data" })
  test.equal(hooks.get({ Name = "pool/data" }).Volume.Name, "pool/data")
  test.equal(
    refused("create", { Name = "data" }),
    'invalid volume name "data": use 2 to 255 characters of the form %w+/%w+'
  )
  test.match(complaint({ names = "[" }), "`names` is not a pattern of Lua")
end)

test.case("a second result is refused", function()
  test.settings({ variant = "two_results" })
  test.match(refused("create", { Name = "xx" }), '`create` returned a second value, "no room"$')
  test.fails("volume.get", { Name = "xx" }, "no such volume")
end)

test.case("a status that is no table is shown", function()
  test.settings({ functions = { "status" } })
  function steps.status()
    return "fine"
  end
  hooks.create({ Name = "xx" })
  test.match(
    hooks.get({ Name = "xx" }).Volume.Status.Error,
    '`status` must return a table or nil, not "fine"'
  )
end)

test.case("a status that fails does not hide the volume", function()
  test.settings({ functions = { "status" } })
  function steps.status()
    error("server away\nmore", 0)
  end
  hooks.create({ Name = "xx" })
  test.equal(hooks.get({ Name = "xx" }).Volume.Status, { Error = "server away" })
end)

test.case("a driver may refuse a removal", function()
  test.settings({ functions = { "may_remove" } })
  local kept = true
  function steps.may_remove(name)
    if kept then error(`{name} is kept`, 0) end
  end
  hooks.create({ Name = "xx" })
  hooks.mount({ Name = "xx", ID = "1" })
  test.equal(refused("remove", { Name = "xx" }), "xx is kept")
  test.equal(attached.xx, true)
  test.equal(hooks.get({ Name = "xx" }).Volume.Status, nil)
  test.equal(hooks.mount({ Name = "xx", ID = "2" }).Mountpoint, "/mnt/xx")
  kept = false
  hooks.remove({ Name = "xx" })
  test.equal(names(), {})
  test.equal(made.xx, nil)
end)

test.case("a removal that has begun is not refused", function()
  test.settings({ functions = { "may_remove" } })
  local kept, broken = false, true
  function steps.may_remove()
    if kept then error("kept", 0) end
  end
  function steps.spoil()
    if broken then error("no disk", 0) end
  end
  hooks.create({ Name = "xx" })
  test.equal(refused("remove", { Name = "xx" }), "no disk")
  kept, broken = true, false
  hooks.remove({ Name = "xx" })
  test.equal(names(), {})
end)

test.case("a driver refuses by raising", function()
  test.settings({ functions = { "may_remove" } })
  function steps.may_remove()
    return false
  end
  hooks.create({ Name = "xx" })
  test.match(
    refused("remove", { Name = "xx" }),
    "`may_remove` must return nothing, and raise to refuse, not false"
  )
end)

test.case("a volume has no other fields", function()
  test.settings({ variant = "curious" })
  hooks.create({ Name = "xx" })
  test.equal(test.stored("seen").seen, {
    absent = { true, true },
    own = 1,
    fields = { "created", "name", "options", "own" },
    field = "a volume has no field `nmae`; did you mean `name`?",
    option = "there is no option `sise`; did you mean `size`?",
  })
end)
