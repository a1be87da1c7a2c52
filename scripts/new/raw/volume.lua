-- Volumes that are directories.
--   docker volume create -d PLUGIN notes
--   docker run --rm -v notes:/data busybox touch /data/file
-- A function answers one of Docker's methods: `create` answers VolumeDriver.Create. The fields of
-- requests and replies have Docker's own names.

local fs = require("@moondock/fs")
local plugin = require("@moondock/plugin")

local function root(): string
  -- plugin.toml has the setting, and the grant to write below it.
  return plugin.settings().volume_root
end

local function path(name: string)
  -- Docker does not check names. `fs.join` raises if one leads out of the directory.
  return fs.join(root(), name)
end

local function describe(name: string): VolumeInfo
  return { Name = name, Mountpoint = path(name) }
end

local volume = {}

-- An error fails the call: `error("no space is left", 0)` shows the message to Docker's user.
function volume.create(req: CreateVolumeRequest)
  fs.mkdir(path(req.Name), { parents = true })
end

function volume.remove(req: VolumeRequest)
  fs.remove_all(path(req.Name))
end

-- Called for each container that uses the volume. `req.ID` tells them apart.
function volume.mount(req: MountRequest)
  return { Mountpoint = path(req.Name) }
end

function volume.unmount(_req: MountRequest) end

-- Returns nothing if there is no such volume. Docker asks before it creates one, and would ask again
-- for 15 seconds if this failed, as `path` does for a name that leads out of the directory.
function volume.get(req: VolumeRequest)
  local fine, at = pcall(path, req.Name)
  if not fine or not fs.exists(at) then return nil end
  return { Volume = describe(req.Name) }
end

function volume.list()
  local volumes = {}
  if fs.exists(root()) then
    for _, name in fs.list(root()) do
      table.insert(volumes, describe(name))
    end
  end
  return { Volumes = volumes }
end

return volume
