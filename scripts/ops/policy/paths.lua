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

-- Returns what the settings allow: each entry as it is written, its path, and what judges a path
-- within it.
local function entries()
  local all = {}
  for _, kind in { { "roots", of_root }, { "paths", of_path } } do
    for _, entry in settings.list(kind[1]) do
      table.insert(all, { shown = entry, path = plain(entry), judge = kind[2] })
    end
  end
  return all
end

-- Returns two entries of which one contains the other.
local function nested(all)
  for i, one in all do
    for j, other in all do
      if i ~= j and settings.within(one.path, other.path) then return one.shown, other.shown end
    end
  end
  return nil
end

-- Returns what is wrong with a path, or nothing.
local function problem(path, all)
  for _, entry in all do
    if settings.within(path, entry.path) then return entry.judge(path, entry.path) end
  end
  return "is not in one of the allowed roots (see the settings roots and paths)"
end

-- Returns the reason for a denial, or nothing.
function M.denial(mounts)
  if #mounts == 0 then return nil end
  local all = entries()
  local inner, outer = nested(all)
  if inner then
    return `mounts: the settings roots and paths may not contain one another: {inner} is in {outer}`
  end
  for _, mount in mounts do
    local path = plain(mount.resolved or mount.source)
    local wrong = if string.find(path .. "/", "/../", 1, true)
      then "has .. in it"
      else problem(path, all)
    if wrong then return `mounts: host path {mount.source} {wrong}` end
  end
  return nil
end

return M
