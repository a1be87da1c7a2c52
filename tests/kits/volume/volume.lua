-- A driver whose steps are those of a program, so that a test decides what becomes of them.

local json = require("@moondock/json")
local plugin = require("@moondock/plugin")
local process = require("@moondock/process")
local store = require("@moondock/store")
local volume = require("@moondock/volume")

local settings = plugin.settings()

local function ask(step, v)
  local answer = process.run({ argv = { "true", step, v.name } })
  if answer.code ~= 0 then error(answer.stderr, 0) end
  return json.decode(answer.stdout)
end

local function asks(step)
  return function(v)
    return ask(step, v)
  end
end

local driver = {
  options = { mode = { type = "octal", default = "0755" }, size = { type = "size" } },
  create = function(v)
    ask("begin", v)
    ask("finish", v)
  end,
  remove = function(v)
    ask("spoil", v)
    ask("wipe", v)
  end,
  mount = asks("mount"),
  unmount = asks("unmount"),
}

for _, name in settings.functions do
  driver[name] = asks(name)
end

local function message_of(f)
  return (string.gsub(select(2, pcall(f)), "^[^ ]+ ", ""))
end

local variants = {}

function variants.slashes()
  driver.names = "%w+/%w+"
end

function variants.any_slashes()
  driver.names = "[%w/]+"
end

function variants.two_results()
  driver.create = function()
    return nil, "no room"
  end
end

-- Stores what a volume has, and what is said of what it has not.
function variants.curious()
  driver.create = function(v)
    local seen = { absent = { v.data == nil, v.options.size == nil }, fields = {} }
    v.own = 1
    seen.own = v.own
    for key in v do
      table.insert(seen.fields, key)
    end
    table.sort(seen.fields)
    seen.field = message_of(function()
      return v.nmae
    end)
    seen.option = message_of(function()
      return v.options.sise
    end)
    store.set("seen", seen)
  end
end

if settings.variant ~= "" then variants[settings.variant]() end

return volume.driver(driver)
