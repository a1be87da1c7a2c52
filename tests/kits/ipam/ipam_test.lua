local json = require("@moondock/json")
local kit = require("@moondock/ipam")
local test = require("@moondock/test")

local GATEWAY = { RequestAddressType = "com.docker.network.gateway" }

local hooks, network, refused = test.driver("ipam"), test.network, test.refused

local function keys(prefix)
  local list = {}
  for key in test.stored(prefix) do
    table.insert(list, key)
  end
  table.sort(list)
  return list
end

-- Sets the routes of the host.
local function routes(...)
  network.routes = {}
  for _, destination in { ... } do
    table.insert(network.routes, { destination = destination })
  end
end

-- Lets the driver ask which addresses have an endpoint, and answers by `f`: nothing where that is
-- unknown. Without `f`, it does not ask.
local function in_use(f)
  test.settings({ asks = f ~= nil })
  test.process({
    argv = "true in-use",
    answer = function(command)
      return { stdout = json.encode(f(command.argv[3])) }
    end,
  })
end

local function always(answer)
  return function()
    return answer
  end
end

local function pool(cidr, sub, v6)
  return hooks.request_pool({
    AddressSpace = "ipam-local",
    Pool = cidr or "",
    SubPool = sub or "",
    V6 = v6 == true,
  })
end

local function address(id, ip, options)
  return hooks.request_address({ PoolID = id, Address = ip or "", Options = options }).Address
end

test.case("capabilities and spaces", function()
  test.equal(
    hooks.get_capabilities({}),
    { RequiresMACAddress = false, RequiresRequestReplay = false }
  )
  test.equal(
    hooks.get_default_address_spaces({}),
    { LocalDefaultAddressSpace = "ipam-local", GlobalDefaultAddressSpace = "ipam-global" }
  )
end)

test.case("an explicit pool", function()
  local reply = pool("10.80.0.9/16", "10.80.5.0/24")
  test.equal(reply.Pool, "10.80.0.0/16")
  test.equal(address(reply.PoolID, "10.80.0.254", GATEWAY), "10.80.0.254/16")
  test.equal(address(reply.PoolID, "10.80.7.1"), "10.80.7.1/16") -- an auxiliary address, outside of the ip-range
  test.equal(address(reply.PoolID), "10.80.5.0/16")
  test.equal(address(reply.PoolID), "10.80.5.1/16")
  test.equal(address(reply.PoolID, "10.80.5.77"), "10.80.5.77/16")
  test.equal(refused(address, reply.PoolID, "10.80.5.77"), "address 10.80.5.77 is already in use")
  test.equal(
    refused(address, reply.PoolID, "10.80.255.255"),
    "address 10.80.255.255 is not a host address of 10.80.0.0/16"
  )
  test.equal(
    refused(address, reply.PoolID, "10.81.0.1"),
    "address 10.81.0.1 is not a host address of 10.80.0.0/16"
  )
end)

test.case("pools do not overlap", function()
  local id = pool("10.80.0.0/16").PoolID
  address(id, nil, GATEWAY)
  test.equal(
    refused(pool, "10.80.4.0/24"),
    `subnet 10.80.4.0/24 overlaps 10.80.0.0/16, which is in use (pool {id})`
  )
  test.equal(
    refused(pool, "10.80.0.0/16"),
    `subnet 10.80.0.0/16 overlaps 10.80.0.0/16, which is in use (pool {id})`
  )
  hooks.release_pool({ PoolID = id })
  hooks.release_pool({ PoolID = id })
  pool("10.80.4.0/24")
  test.equal(keys("@lease/"), {})
end)

test.case("wrong requests are told plainly", function()
  test.equal(refused(pool, "10.80.0.0"), '"10.80.0.0" is not a subnet such as 10.1.0.0/24')
  test.equal(
    refused(pool, "10.80.0.0/16", "10.81.0.0/24"),
    "ip-range 10.81.0.0/24 is not within 10.80.0.0/16"
  )
  test.equal(refused(address, "nothing"), "unknown pool nothing")
  test.equal(
    refused(hooks.request_pool, { Pool = "10.1.0.0/24", SubPool = "", Options = { x = "1" } }),
    'unknown option "x": this driver has no options'
  )
  hooks.request_pool({
    Pool = "10.1.0.0/24",
    SubPool = "",
    Options = { ["com.docker.network.ipam.serial"] = "true" },
  })
end)

test.case("automatic pools avoid what is there", function()
  routes("0.0.0.0/0", "10.9.1.128/25", "10.9.0.0/30", "fd00:9:0:0:ffff:ffff:ffff:ff00/120")
  test.equal(pool().Pool, "10.9.2.0/24")
  test.equal(pool().Pool, "10.9.3.0/24")
  test.equal(refused(pool), "no free subnet left in 10.9.0.0/22 (in /24): choose one with --subnet")
  test.equal(pool(nil, nil, true).Pool, "fd00:9:0:1::/64")
  test.equal(pool(nil, nil, true).Pool, "fd00:9:0:2::/64")
end)

test.case("all of a range may be taken", function()
  test.settings({ is_function = true })
  routes("10.0.0.0/8")
  test.match(refused(pool), "no free subnet left")
  test.settings({ pools = {}, is_function = false })
  test.equal(refused(pool), "no free subnet left in (none is configured): choose one with --subnet")
end)

test.case("addresses rotate and run out", function()
  local id = pool("10.1.0.0/29").PoolID
  test.equal(address(id, nil, GATEWAY), "10.1.0.1/29")
  local first = address(id)
  test.equal(first, "10.1.0.2/29")
  hooks.release_address({ PoolID = id, Address = "10.1.0.2" })
  test.equal(address(id), "10.1.0.3/29")
  for _ = 1, 4 do
    address(id)
  end
  test.equal(refused(address, id), "no free address left in 10.1.0.0/29")
  hooks.release_address({ PoolID = id, Address = "10.1.0.5" })
  hooks.release_address({ PoolID = id, Address = "10.1.0.5" })
  test.equal(address(id), "10.1.0.5/29")
  test.equal(refused(address, id), "no free address left in 10.1.0.0/29")
  hooks.release_address({ PoolID = "gone", Address = "10.1.0.5" })
  hooks.release_address({ PoolID = id, Address = "rubbish" })
end)

test.case("ipv6", function()
  local id = pool("fd00:1::/64").PoolID
  test.equal(address(id, nil, GATEWAY), "fd00:1::1/64")
  test.equal(address(id), "fd00:1::2/64")
  test.equal(address(id, "fd00:1::FF"), "fd00:1::ff/64")
  test.equal(refused(address, id, "fd00:1:0::ff"), "address fd00:1::ff is already in use")
  test.equal(address(id, "fd00:1:0:0:ffff:ffff:ffff:ffff"), "fd00:1::ffff:ffff:ffff:ffff/64")
  hooks.release_address({ PoolID = id, Address = "fd00:1:0::FF" })
  test.equal(address(id, "fd00:1::ff"), "fd00:1::ff/64")
end)

test.case("a kill while a large pool is dropped leaves nothing", function()
  local function fill()
    local id = pool("10.1.0.0/24").PoolID
    for last = 1, 110 do
      address(id, `10.1.0.{last}`)
    end
    return id
  end
  local id = fill()
  local steps = test.killed_anywhere(function()
    hooks.release_pool({ PoolID = id })
  end, function()
    hooks.release_pool({ PoolID = id })
    hooks.release_pool({ PoolID = pool("10.1.0.0/24").PoolID })
    test.equal({ keys("@lease"), keys("@pool/"), keys("@pool-") }, { {}, {}, {} })
    id = fill()
  end)
  test.is_true(steps > 5, `only {steps} steps`)
end)

-- Returns the cost of leasing an address and of releasing it.
local function turn(id)
  return test.cost(function()
    local ip = address(id)
    hooks.release_address({ PoolID = id, Address = (string.gsub(ip, "/.*", "")) })
  end)
end

test.case("large pools cost no more", function()
  local id = pool("10.0.0.0/8").PoolID
  address(id, nil, GATEWAY)
  address(id)
  local before = turn(id)
  for _ = 1, 200 do
    address(id)
  end
  test.equal(turn(id), before)
end)

test.case("a pool full to the last costs no more", function()
  local id = pool("10.1.0.0/25").PoolID
  address(id, nil, GATEWAY)
  for _ = 1, 124 do
    address(id)
  end
  local last = turn(id)
  hooks.release_address({ PoolID = id, Address = "10.1.0.77" })
  local again = turn(id)
  test.is_true(again <= last + 4, `{again} instead of {last}`)
  test.equal(address(id), "10.1.0.77/25")
end)

test.case("released addresses wait for their turn", function()
  local id = pool("10.1.0.0/29").PoolID
  for _ = 1, 6 do
    address(id)
  end
  for _, last in { 5, 2, 4, 6 } do
    hooks.release_address({ PoolID = id, Address = `10.1.0.{last}` })
  end
  test.equal(address(id, "10.1.0.4"), "10.1.0.4/29")
  test.equal(address(id), "10.1.0.5/29")
  hooks.release_address({ PoolID = id, Address = "10.1.0.5" })
  test.equal(address(id), "10.1.0.2/29")
  test.equal(address(id), "10.1.0.6/29")
  test.equal(address(id), "10.1.0.5/29")
  test.equal(refused(address, id), "no free address left in 10.1.0.0/29")
  hooks.release_pool({ PoolID = id })
  test.equal(keys("@lease"), {})
end)

test.case("an address released before its first turn is leased once", function()
  local id = pool("10.1.0.0/29").PoolID
  address(id, "10.1.0.3")
  hooks.release_address({ PoolID = id, Address = "10.1.0.3" })
  local given = {}
  for _ = 1, 6 do
    local ip = address(id)
    test.is_true(not given[ip], `{ip} was given twice`)
    given[ip] = true
  end
  test.equal(refused(address, id), "no free address left in 10.1.0.0/29")
end)

test.case("pools cost the same however many there are", function()
  test.settings({ pools = { { range = "10.0.0.0/12", prefix = 24 } } })
  local function one()
    hooks.release_pool({ PoolID = pool().PoolID })
    hooks.release_pool({ PoolID = pool("10.77.0.0/24").PoolID })
  end
  pool()
  one()
  local before = test.cost(one)
  for n = 1, 60 do
    pool()
    pool(`10.78.{n}.0/24`)
  end
  test.equal(test.cost(one), before)
end)

test.case("the lowest subnet that was given back comes first", function()
  local first, second = pool(), pool()
  hooks.release_pool({ PoolID = second.PoolID })
  hooks.release_pool({ PoolID = first.PoolID })
  test.equal(pool().Pool, first.Pool)
  routes(second.Pool) -- it was taken by the host meanwhile
  test.equal(pool().Pool, "10.9.2.0/24")
  routes()
  test.equal(pool().Pool, "10.9.3.0/24")
  test.equal(pool().Pool, second.Pool)
end)

test.case("tiny subnets", function()
  local id = pool("10.1.0.0/31").PoolID
  test.equal(address(id), "10.1.0.0/31")
  test.equal(address(id), "10.1.0.1/31")
  test.equal(refused(address, id), "no free address left in 10.1.0.0/31")
end)

test.case("automatic pools are taken back when nobody came for them", function()
  test.settings({ pools = { { range = "10.9.0.0/23", prefix = 24 } } })
  local lost = pool()
  address(pool().PoolID, nil, GATEWAY)
  refused(pool) -- the engine may be asking until one suits it
  test.restart()
  test.equal(pool().Pool, lost.Pool)
  test.equal(refused(address, lost.PoolID), `unknown pool {lost.PoolID}`)
end)

test.case("has pool knows its own spaces", function()
  local has_pool = kit.has_pool
  test.equal(has_pool("LocalDefault", "10.1.0.0/24"), nil)
  test.equal(has_pool("ipam-local", "10.1.0.0/24"), false)
  pool("10.1.0.0/24")
  test.equal(has_pool("ipam-local", "10.1.0.0/24"), true)
end)

-- Runs the life of a network; `held` collects the leases that Docker knows.
local function life(held)
  held.pool = pool("10.1.0.0/29").PoolID
  held["10.1.0.1/29"] = address(held.pool, "10.1.0.1", GATEWAY) ~= nil
  held[address(held.pool)] = true
  held[address(held.pool, "10.1.0.6")] = true
  held[address(held.pool)] = true
  held["10.1.0.6/29"] = nil
  hooks.release_address({ PoolID = held.pool, Address = "10.1.0.6" })
  held[address(held.pool)] = true
end

test.case("a kill at any moment gives no address twice", function()
  local held: { [string]: any } = {}
  local steps = test.killed_anywhere(function()
    life(held)
  end, function()
    -- The networks show which addresses are in use.
    in_use(function(ip)
      return held[ip .. "/29"] == true
    end)
    held.pool = held.pool or pool("10.1.0.0/29").PoolID
    -- A gateway's lease is kept until the pool is released, whether Docker knows it or not.
    pcall(address, held.pool, "10.1.0.1", GATEWAY)
    held["10.1.0.1/29"] = true
    local fine, ip = pcall(address, held.pool)
    while fine do
      test.is_true(not held[ip], `{ip} is given once`)
      held[ip] = true
      fine, ip = pcall(address, held.pool)
    end
    -- Nothing leaked: all six addresses of the subnet could be leased.
    local count = -1
    for _ in held do
      count += 1
    end
    test.equal(count, 6, "the number of addresses")
    test.equal(test.stored()["@pool/" .. held.pool].used, #keys("@lease/"))
    hooks.release_pool({ PoolID = held.pool })
    test.equal({ keys("@lease/"), keys("@pool/") }, { {}, {} })
    held = {}
    in_use(nil)
  end)
  test.is_true(steps > 20, `only {steps} steps`)
end)

test.case("a lease of an earlier process stays where nobody can tell", function()
  local id = pool("10.1.0.0/29").PoolID
  address(id, "10.1.0.4")
  test.restart()
  local taken = "address 10.1.0.4 is already in use"
  test.equal(refused(address, id, "10.1.0.4"), taken)
  in_use(always(nil))
  test.equal(refused(address, id, "10.1.0.4"), taken)
  in_use(always(true))
  test.equal(refused(address, id, "10.1.0.4"), taken)
  in_use(always(false))
  test.equal(address(id, "10.1.0.4"), "10.1.0.4/29")
end)

test.case("a daemon that died over a network does not keep its subnet", function()
  in_use(always(nil))
  local first = pool("10.1.0.0/29").PoolID
  address(first, "", GATEWAY)
  local message = "subnet 10.1.0.0/29 overlaps 10.1.0.0/29, which is in use (pool 10.1.0.0/29#1)"
  test.equal(refused(pool, "10.1.0.0/29"), message)
  test.restart_engine()
  in_use(always(true))
  test.equal(refused(pool, "10.1.0.0/29"), message)
  in_use(nil)
  test.equal(refused(pool, "10.1.0.0/29"), message)
  in_use(always(nil))
  local second = pool("10.1.0.0/29").PoolID
  test.equal(address(second, "", GATEWAY), "10.1.0.1/29")
  test.equal(refused(address, first, "", GATEWAY), "unknown pool 10.1.0.0/29#1")
  address(second)
  test.restart_engine()
  test.equal(
    refused(pool, "10.1.0.0/29"),
    "subnet 10.1.0.0/29 overlaps 10.1.0.0/29, which is in use (pool 10.1.0.0/29#2)"
  )
end)

local BEING_MADE = "subnet 10.1.0.0/24 overlaps 10.1.0.0/24, whose network is being created (pool 10.1.0.0/24#1): "
  .. "if that failed, try again in 120 s"

test.case("two networks asked for at once do not get one subnet", function()
  local first = pool("10.1.0.0/24").PoolID
  test.equal(refused(pool, "10.1.0.0/24"), BEING_MADE)
  test.equal(
    refused(pool, "10.1.0.128/25"),
    (string.gsub(BEING_MADE, "10.1.0.0/24", "10.1.0.128/25", 1))
  )
  test.equal(address(first, nil, GATEWAY), "10.1.0.1/24")
end)

-- The reply was lost, or the call cancelled: the engine will never request the pool's gateway.
test.case("a subnet whose answer was lost is free again", function()
  pool("10.1.0.0/24")
  test.advance(119)
  test.equal(refused(pool, "10.1.0.0/24"), (string.gsub(BEING_MADE, "120 s", "1 s")))
  test.advance(1)
  test.equal(pool("10.1.0.0/24").PoolID, "10.1.0.0/24#2")
  test.restart_engine()
  test.equal(pool("10.1.0.0/24").PoolID, "10.1.0.0/24#3")
  test.restart()
  test.equal(pool("10.1.0.0/24").PoolID, "10.1.0.0/24#4")
end)

-- Some network drivers request no gateway, so a pool without a lease may have a network.
test.case("a pool without a lease stays with a network that the host has", function()
  pool("10.1.0.0/24")
  test.restart_engine()
  test.restart()
  routes("0.0.0.0/0", "10.1.0.0/24")
  local message = "subnet 10.1.0.0/24 overlaps 10.1.0.0/24, which is in use (pool 10.1.0.0/24#1)"
  test.equal(refused(pool, "10.1.0.0/24"), message)
  in_use(always(nil))
  test.equal(refused(pool, "10.1.0.0/24"), message)
  in_use(nil)
  routes("10.0.0.0/8") -- of a VPN, say
  test.equal(pool("10.1.0.0/24").PoolID, "10.1.0.0/24#2")
end)

-- The networks of this plugin do request one. Without it, Docker was about to remove the network.
test.case("a deletion that was cut short does not keep the subnet", function()
  local id = pool("10.1.0.0/24").PoolID
  address(id, nil, GATEWAY)
  hooks.release_address({ PoolID = id, Address = "10.1.0.1" })
  in_use(always(false))
  routes("10.1.0.0/24")
  test.equal(pool("10.1.0.0/24").PoolID, "10.1.0.0/24#2")
end)

-- An engine that could not reach Moondock retries the creation of an endpoint for some seconds.
test.case("an address is not given again before its endpoint can have come", function()
  local known = {}
  in_use(function(ip)
    return known[ip] == true
  end)
  local id = pool("10.1.0.0/30").PoolID
  address(id, nil, GATEWAY)
  test.equal(address(id), "10.1.0.2/30")
  test.advance(1000)
  test.restart()
  local started = test.now()
  known["10.1.0.2"] = true
  test.equal(refused(address, id), "no free address left in 10.1.0.0/30")
  known["10.1.0.2"] = nil
  test.advance(5) -- a full pool is not searched all the time
  test.equal(address(id), "10.1.0.2/30")
  local age = test.now() - started
  test.is_true(age >= 10, `it is given again {age} s after the start, which is late`)
end)

test.case("an address whose endpoint comes late is kept", function()
  local known = {}
  in_use(function(ip)
    return known[ip] == true
  end)
  local id = pool("10.1.0.0/30").PoolID
  address(id, nil, GATEWAY)
  address(id)
  test.restart()
  test.together(function()
    test.equal(refused(address, id), "no free address left in 10.1.0.0/30")
  end, function()
    test.advance(1)
    known["10.1.0.2"] = true -- while the other request waits
  end)
  test.is_true(known["10.1.0.2"])
end)
