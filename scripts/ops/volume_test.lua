local fs = require("@moondock/fs")
local test = require("@moondock/test")

local ROOT = "/var/lib/moondock/volumes"
local volume = test.driver("volume")

test.case("a volume is a directory", function()
  volume.create({ Name = "data", Opts = { mode = "2770", uid = "1000", gid = "50" } })
  local stat = fs.stat(ROOT .. "/data/data")
  test.equal({ stat.kind, stat.mode }, { "directory", tonumber("2770", 8) })
  test.equal(test.disk.owners[ROOT .. "/data/data"], "1000:50")
  test.equal(volume.mount({ Name = "data", ID = "a" }).Mountpoint, ROOT .. "/data/data")
  volume.unmount({ Name = "data", ID = "a" })
  volume.remove({ Name = "data" })
  test.equal(fs.list(ROOT), {})
end)

test.case("a volume of a fixed size is a file system in a file", function()
  test.process({ argv = "mkfs.ext4", times = 1 })
  volume.create({ Name = "data", Opts = { size = "16m" } })
  test.equal(fs.stat(ROOT .. "/data/image").size, 16 * 2 ^ 20)
  test.equal(test.disk.mounts, {}, "the mounts of an unused volume")
  local function status()
    return volume.get({ Name = "data" }).Volume.Status
  end
  test.equal(status(), { size = 16 * 2 ^ 20 })
  volume.mount({ Name = "data", ID = "a" })
  test.equal(test.disk.mounts[ROOT .. "/data/data"].source, ROOT .. "/data/image")
  local usage = test.disk.usage
  test.equal(status(), { size = 16 * 2 ^ 20, used = usage.used, free = usage.free })
  volume.unmount({ Name = "data", ID = "a" })
  test.equal(test.disk.mounts, {})
end)

test.case("a volume that cannot be made is not there", function()
  test.process({ argv = "mkfs.ext4", code = 1, stderr = "no room" })
  test.fails("VolumeDriver.Create", { Name = "data", Opts = { size = "16m" } }, "no room")
  test.equal(volume.list().Volumes, {})
  test.equal(fs.list(ROOT), {})
end)

test.case("a size that is too small is refused", function()
  local request = { Name = "tiny", Opts = { size = "1m" } }
  local message = test.fails("VolumeDriver.Create", request)
  test.equal(message, 'option "size" must be at least 8m')
  test.equal(fs.exists(ROOT .. "/tiny"), false)
end)

test.case("a kill at each step leaves no half made image in use", function()
  local base, formatted = ROOT .. "/data", {}
  test.process({
    argv = "mkfs.ext4",
    answer = function(command)
      formatted[command.argv[#command.argv]] = true
      return {}
    end,
  })
  test.play("fs.mount", function(wanted)
    test.is_true(formatted[wanted.source], "the image has a file system")
    test.equal(test.disk.mounts[wanted.target], nil)
    test.disk.mounts[wanted.target] = wanted
  end)
  test.killed_anywhere(function()
    volume.create({ Name = "data", Opts = { size = "16m" } })
    volume.mount({ Name = "data", ID = "a" })
    volume.unmount({ Name = "data", ID = "a" })
    volume.remove({ Name = "data" })
  end, function()
    volume.create({ Name = "data", Opts = { size = "16m" } })
    test.equal(volume.mount({ Name = "data", ID = "b" }).Mountpoint, base .. "/data")
    test.is_true(formatted[base .. "/image"], "the image has a file system")
    test.equal(fs.stat(base .. "/data").mode, tonumber("0755", 8))
    volume.unmount({ Name = "data", ID = "b" })
    volume.unmount({ Name = "data", ID = "a" })
    volume.remove({ Name = "data" })
    test.equal(test.disk.mounts, {})
    test.equal(fs.list(ROOT), {})
    formatted = {}
  end)
end)

test.case("a full disk fails the call", function()
  test.full_disk()
  test.fails("VolumeDriver.Create", { Name = "data" }, "No space left on device")
  test.heal()
  volume.create({ Name = "data" })
end)
