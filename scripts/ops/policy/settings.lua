-- What the settings allow, and helpers of the rules.

local plugin = require("@moondock/plugin")

local M = {}

-- Returns a setting that is a list.
function M.list(setting)
  return rawget(plugin.settings(), setting) or {}
end

-- Returns the reason unless a setting is true.
function M.unless(setting, reason)
  if rawget(plugin.settings(), setting) then return nil end
  return `{reason} (see the setting {setting})`
end

-- Returns the reason unless `allows` is true for an entry of a setting that is a list.
function M.unless_listed(setting, allows, reason)
  for _, entry in M.list(setting) do
    if allows(entry) then return nil end
  end
  return `{reason} (see the setting {setting})`
end

function M.equals(value)
  return function(entry)
    return entry == value
  end
end

local PART = "[%w][%w._-]*"
local FIRST, MIDDLE, LAST = `^{PART}:?%d*$`, `^{PART}$`, `^({PART}):[%w_][%w._-]*$`

-- Returns the last part of a managed plugin's name, `[host[:port]/]a/b:tag`, and nothing for any
-- other text.
local function plugin_of(driver)
  local parts = string.split(driver, "/")
  local last = table.remove(parts)
  for i, part in parts do
    if not string.match(part, if i == 1 then FIRST else MIDDLE) then return nil end
  end
  return string.match(last, LAST)
end

-- Like `equals`, for a driver. The engine names that of a managed plugin by its repository and tag:
-- `acme/ops:1.0`.
function M.names(driver)
  local short = plugin_of(driver)
  return function(entry)
    return entry == driver or entry == short
  end
end

-- Docker accepts a single string for some lists.
function M.each(list)
  if list == nil then return {} end
  if type(list) == "string" then return { list } end
  return if type(list) == "table" then list else error(`a {type(list)} where a list belongs`, 0)
end

-- Returns whether a path is `root` or below it.
function M.within(path, root)
  root = string.gsub(root, "/+$", "")
  return path == root or string.sub(path, 1, #root + 1) == root .. "/"
end

return M
