-- The program of the driver: what it has made, and what is attached.

local json = require("@moondock/json")
local test = require("@moondock/test")

local backing = {
  made = {} :: { [string]: any },
  attached = {} :: { [string]: any },
  steps = {} :: { [string]: any },
}
local made, attached, steps = backing.made, backing.attached, backing.steps

function steps.begin(name)
  made[name] = "half"
end

function steps.finish(name)
  made[name] = "whole"
end

function steps.spoil(name)
  made[name] = made[name] and "half"
end

function steps.wipe(name)
  made[name] = nil
end

function steps.mount(name)
  if made[name] ~= "whole" then error(`{name} is half made`, 0) end
  attached[name] = true
  return "/mnt/" .. name
end

function steps.unmount(name)
  attached[name] = nil
end

-- Returns the names of the volumes that Docker sees.
function backing.names()
  local list = {}
  for _, v in test.driver("volume").list().Volumes do
    table.insert(list, v.Name)
  end
  return list
end

test.process({
  argv = "true",
  answer = function(command)
    local fine, result = pcall(steps[command.argv[2]], command.argv[3])
    return if fine then { stdout = json.encode(result) } else { code = 1, stderr = result }
  end,
})

return backing
