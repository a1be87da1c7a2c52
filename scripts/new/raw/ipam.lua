-- Addresses: one pool for each subnet, and its addresses one after the other.
--   docker network create --ipam-driver PLUGIN --subnet 10.20.30.0/24 mynet
-- A function answers one of Docker's methods: `request_pool` answers IpamDriver.RequestPool. The
-- fields of requests and replies have Docker's own names.

local net = require("@moondock/net")
local store = require("@moondock/store")

local function lease(pool: string, address: string)
  return `lease/{pool}/{address}`
end

local ipam = {}

function ipam.request_pool(req: RequestPoolRequest)
  local asked = req.Pool or ""
  if asked == "" then error("name the subnet with --subnet", 0) end
  local pool = net.canonical(asked)
  -- Writes all of its changes or none, and no other call runs meanwhile.
  store.transaction(function(tx)
    for _, entry in tx:list("pool/") do
      if net.overlaps(entry.value, pool) then
        error(`{pool} overlaps {entry.value}, which is in use`, 0)
      end
    end
    tx:set("pool/" .. pool, pool)
  end)
  return { PoolID = pool, Pool = pool }
end

-- Must succeed for an unknown pool, too: Docker may repeat a call.
function ipam.release_pool(req: ReleasePoolRequest)
  store.transaction(function(tx)
    tx:delete("pool/" .. req.PoolID)
    tx:delete_all(lease(req.PoolID, ""))
  end)
end

function ipam.request_address(req: RequestAddressRequest)
  local pool = req.PoolID
  local network = net.parse_cidr(pool)
  local leased = store.transaction(function(tx)
    local address = req.Address or ""
    if address == "" then
      address = net.ip_add(network.address, 1)
      while tx:get(lease(pool, address)) do
        address = net.ip_add(address, 1)
      end
      -- The last address of a subnet is for broadcasts.
      if not net.contains(pool, net.ip_add(address, 1)) then error(`{pool} is full`, 0) end
    elseif tx:get(lease(pool, address)) then
      error(`{address} is in use`, 0)
    end
    tx:set(lease(pool, address), true)
    return address
  end)
  return { Address = `{leased}/{network.prefix}` }
end

-- Must succeed for an unknown lease, too.
function ipam.release_address(req: ReleaseAddressRequest)
  store.delete(lease(req.PoolID, req.Address))
end

return ipam
