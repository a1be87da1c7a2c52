-- Volumes: a directory, or with `size` a file system of a fixed size.
--   docker volume create -d ops -o mode=0770 -o uid=1000 -o size=10g mydata

local fs = require("@moondock/fs")
local plugin = require("@moondock/plugin")
local process = require("@moondock/process")
local volume = require("@moondock/volume")

local MIN_SIZE = 8 * 2 ^ 20 -- ext4 needs room for its journal

local function base(v)
  return fs.join(plugin.settings().volume_root, v.name)
end
local function data(v)
  return base(v) .. "/data"
end
local function image(v)
  return base(v) .. "/image"
end

local function attach(v)
  if not fs.mounted(data(v)) then
    fs.mount({
      source = image(v),
      target = data(v),
      type = "ext4",
      loop = true,
      options = { "nodev" },
    })
  end
end

local function detach(v)
  if fs.mounted(data(v)) then fs.unmount(data(v)) end
end

local function own(v)
  fs.chown(data(v), v.options.uid, v.options.gid)
  fs.chmod(data(v), v.options.mode) -- last, as chown clears the set-id bits
end

local function format(v)
  if v.options.size < MIN_SIZE then error('option "size" must be at least 8m', 0) end
  fs.allocate(image(v), v.options.size)
  process.check({ argv = { "mkfs.ext4", "-q", "-F", "-m", "0", image(v) }, timeout = 100 })
  attach(v)
  -- Docker copies the files of an image into an empty volume only.
  fs.remove_all(data(v) .. "/lost+found")
  own(v)
  detach(v)
end

return volume.driver({
  options = {
    mode = {
      type = "octal",
      default = "0755",
      doc = "permissions of the top directory, such as 0770",
    },
    uid = { type = "integer", pattern = "%d+", default = "0", doc = "its owner" },
    gid = { type = "integer", pattern = "%d+", default = "0", doc = "its group" },
    size = {
      type = "size",
      doc = "a fixed size, such as 512m or 10g; by default limited by the disk",
    },
  },

  create = function(v)
    fs.mkdir(data(v), { parents = true })
    if v.options.size then
      format(v)
    else
      own(v)
    end
  end,

  remove = function(v)
    detach(v)
    fs.remove_all(base(v))
  end,

  mount = function(v)
    if v.options.size then attach(v) end
    return data(v)
  end,

  unmount = detach,
  path = data,

  status = function(v)
    if v.options.size == nil then return nil end
    if not fs.mounted(data(v)) then return { size = v.options.size } end
    local usage = fs.usage(data(v))
    return { size = v.options.size, used = usage.used, free = usage.free }
  end,
})
