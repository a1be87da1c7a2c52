-- Which paths of the host containers may mount.
--
-- The engine follows the links of a path again whenever a container starts. So no container may
-- write to the directory that an allowed path is in: it could replace the path by a link to
-- anything. Therefore only what is directly in a root is allowed, and no root itself.

local settings = require("./settings")

local M = {}

local function plain(path)
  return (string.gsub(string.gsub(path, "/+", "/"), "/$", ""))
end

-- Returns two entries of the settings of which one contains the other.
local function nested()
  local all = table.clone(settings.list("roots"))
  table.move(settings.list("paths"), 1, #settings.list("paths"), #all + 1, all)
  for i, one in all do
    for j, other in all do
      if i ~= j and settings.within(plain(one), plain(other)) then return one, other end
    end
  end
  return nil
end

local function of_root(path, root)
  if path == root then return `contains what containers mount: mount a directory in it` end
  local child, rest = string.match(string.sub(path, #root + 2), "^([^/]+)(.*)$")
  if rest == "" then return nil end
  return `is inside of {root}/{child}, where a container can replace it by a link: mount {root}/{child}`
end

local function of_path(path, allowed)
  if path == allowed then return nil end
  return `is inside of {allowed}, where a container can replace it by a link: mount {allowed}`
end

-- Returns what is wrong with a path, or nothing.
local function problem(path)
  for setting, judge in { roots = of_root, paths = of_path } do
    for _, entry in settings.list(setting) do
      if settings.within(path, plain(entry)) then return judge(path, plain(entry)) end
    end
  end
  return "is not in one of the allowed roots"
end

-- Returns the reason for a denial, or nothing.
function M.denial(mounts)
  if #mounts == 0 then return nil end
  local inner, outer = nested()
  if inner then
    return `mounts: the settings roots and paths may not contain one another: {inner} is in {outer}`
  end
  for _, mount in mounts do
    local path = plain(mount.resolved or mount.source)
    local wrong = if string.find(path .. "/", "/../", 1, true)
      then "has .. in it"
      else problem(path)
    if wrong then return `mounts: host path {mount.source} {wrong}` end
  end
  return nil
end

return M
