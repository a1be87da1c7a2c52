local docker = require("./docker_test")
local kit = require("@moondock/network")
local test = require("@moondock/test")

local hooks, create, endpoint, of, map =
  docker.hooks, docker.create, docker.endpoint, docker.of, docker.map
local N, M, F = docker.id("a"), docker.id("b"), docker.id("f")

-- Returns the cost of a network, and of a container with a published port on the network N.
local function costs()
  local network = test.cost(function()
    create(M, nil, "10.9.9")
    hooks.delete_network({ NetworkID = M })
  end)
  local container = test.cost(function()
    endpoint(N, F, { Address = "10.1.0.250/24" })
    hooks.join(of(N, F))
    hooks.program_external_connectivity(of(N, F, { map(8888, 80) }))
    hooks.leave(of(N, F))
    hooks.delete_endpoint(of(N, F))
  end)
  return { network = network, container = container }
end

test.case("calls cost the same however many networks and endpoints there are", function()
  create(N)
  local function fill(first, last)
    for n = first, last do
      local network = string.rep(string.format("%04x", n), 16)
      create(network, nil, `10.3.{n}`)
      local ep, ip = string.rep(string.format("%04x", 4096 + n), 16), `10.1.0.{n + 10}/24`
      endpoint(N, ep, { Address = ip })
      hooks.join(of(N, ep))
      endpoint(network, ep, { Address = `10.3.{n}.5/24` })
      hooks.program_external_connectivity(of(network, ep, { map(8000 + n, 80) }))
    end
  end
  fill(1, 30)
  local before = costs()
  fill(31, 70)
  local after = costs()
  test.is_true(after.network <= before.network, `{after.network} instead of {before.network}`)
  test.is_true(
    after.container <= before.container,
    `{after.container} instead of {before.container}`
  )
  local search = test.cost(function()
    test.is_true(kit.in_use("10.1.0.50"))
  end)
  test.is_true(search < 80, `the search costs {search}`)
end)
