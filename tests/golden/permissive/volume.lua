local volume = {}

local function describe(name)
  return {
    Name = name,
    Mountpoint = "/m/" .. name,
    CreatedAt = "2026-01-02T03:04:05.5+01:00",
    Status = {},
  }
end

function volume.create(req)
  for key, value in req.Opts or {} do
    assert(type(key) == "string" and type(value) == "string")
  end
end

function volume.remove(req)
  return {}
end

function volume.mount(req)
  assert(req.ID ~= "")
  return { Mountpoint = "/m/" .. req.Name }
end

function volume.unmount(req) end

function volume.path(req)
  return { Mountpoint = "/m/" .. req.Name }
end

function volume.get(req)
  return { Volume = describe(req.Name) }
end

function volume.list(req)
  return {
    Volumes = {
      describe("a"),
      { Name = "b", Status = { ids = {}, n = 1.5, list = { 1, "x", true } } },
    },
  }
end

function volume.capabilities(req)
  return { Capabilities = { Scope = "global" } }
end

return volume
