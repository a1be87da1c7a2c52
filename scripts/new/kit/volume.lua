-- Volumes that are directories.
--   docker volume create -d PLUGIN -o mode=0700 notes
--   docker run --rm -v notes:/data busybox touch /data/file
-- The kit keeps the list of volumes, counts the containers that use each, and recovers from crashes.

local fs = require("@moondock/fs")
local plugin = require("@moondock/plugin")
local volume = require("@moondock/volume")

local function path(v)
  -- plugin.toml has the setting, and the grant to write below it. `fs.join` raises if a name leads
  -- out of the directory.
  return fs.join(plugin.settings().volume_root, v.name)
end

return volume.driver({
  -- What users set with `-o NAME=VALUE`; the kit rejects anything else.
  options = {
    mode = { type = "octal", default = "0755", doc = "permissions of the top directory" },
  },

  -- After a crash, the kit calls a function again: each must accept that its work is done already.
  create = function(v)
    fs.mkdir(path(v), { parents = true, mode = v.options.mode })
  end,

  remove = function(v)
    fs.remove_all(path(v))
  end,

  -- Called for the first container that uses the volume. Returns where its files are.
  mount = path,

  -- Where the files are while no container uses the volume.
  path = path,

  -- Next: `unmount = function(v) … end`, called after the last container, and
  -- `status = function(v) return { … } end`, shown by `docker volume inspect`.
  -- `error("no space is left", 0)` in any of them shows the message to Docker's user.
})
