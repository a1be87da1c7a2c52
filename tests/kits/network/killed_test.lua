local docker = require("./docker_test")
local test = require("@moondock/test")

local hooks, network = docker.hooks, test.network
local create, endpoint, of, map = docker.create, docker.endpoint, docker.of, docker.map
local N, M, E, F = docker.id("a"), docker.id("b"), docker.id("e"), docker.id("f")
local BRIDGE, HOST_SIDE, CONTAINER_SIDE = "br-aaaaaaaaaaaa", "h-eeeeeeeeeeee", "c-eeeeeeeeeeee"

-- Runs one container on one network; `told` collects the replies that reached Docker.
local function life(told)
  create(N)
  told.network = true
  endpoint(N, E)
  hooks.join(of(N, E))
  hooks.program_external_connectivity(of(N, E, { map(80, 80) }))
  docker.end_container(N, E)
  told.network = false
  hooks.delete_network({ NetworkID = N })
end

-- Runs another container on a network, with the port of the old one.
local function use(on, ep)
  endpoint(on, ep)
  hooks.join(of(on, ep))
  hooks.program_external_connectivity(of(on, ep, { map(80, 80) }))
  test.equal(#network.rules[on].ports, 1)
  docker.end_container(on, ep)
end

local function remove_all()
  hooks.delete_network({ NetworkID = N })
  hooks.delete_network({ NetworkID = M })
  test.equal({ network.links, network.rules, test.stored() }, { {}, {}, {} }, "what is left")
end

test.case("a kill at any moment loses and doubles nothing", function()
  local told = {}
  local steps = test.killed_anywhere(function()
    life(told)
  end, function()
    -- Docker cleans up what it knows, and the user continues.
    if told.network then
      test.is_true(network.links[BRIDGE], "the network")
      docker.end_container(N, E)
      use(N, F)
      hooks.delete_network({ NetworkID = N })
    end
    create(M)
    use(M, F)
    remove_all()
    told = {}
  end)
  test.is_true(steps > 50, `only {steps} steps`)
end)

test.case("what Docker forgot during the kill is collected", function()
  test.killed_anywhere(function()
    life({})
  end, function()
    -- The container stopped while Moondock was not running, and Docker sent no call.
    network.links[HOST_SIDE], network.links[CONTAINER_SIDE] = nil, nil
    test.advance(1000)
    create(M)
    use(M, F)
    remove_all()
  end)
end)
