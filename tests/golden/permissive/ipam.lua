local ipam = {}

function ipam.get_capabilities(req)
  return { RequiresMACAddress = true, RequiresRequestReplay = false }
end

function ipam.get_default_address_spaces(req)
  return { LocalDefaultAddressSpace = "local", GlobalDefaultAddressSpace = "global" }
end

function ipam.request_pool(req)
  local pool = req.Pool or ""
  if pool == "" then pool = if req.V6 then "fd00:9::/64" else "10.9.0.0/24" end
  return { PoolID = "pool/" .. pool, Pool = pool, Data = {} }
end

function ipam.release_pool(req) end

function ipam.request_address(req)
  local address = req.Address or ""
  if address == "" then
    address = if string.find(req.PoolID, "::", 1, true) then "fd00:9::2" else "10.9.0.2"
  end
  return {
    Address = address .. (if string.find(address, ":", 1, true) then "/64" else "/24"),
    Data = { a = "b" },
  }
end

function ipam.release_address(req)
  assert(not string.find(req.Address, "/", 1, true))
end

return ipam
