local network = {}

function network.get_capabilities(req)
  return { Scope = "global", ConnectivityScope = "local", GwAllocChecker = true }
end

function network.gw_alloc_check(req)
  return { SkipIPv4 = false, SkipIPv6 = true }
end

function network.allocate_network(req)
  return { Options = {} }
end

function network.free_network(req) end

function network.create_network(req)
  for _, data in req.IPv4Data or {} do
    assert(type(data.AddressSpace) == "string")
  end
end

function network.delete_network(req)
  return {}
end

function network.create_endpoint(req)
  local set, answer = req.Interface or {}, {}
  for field, value in
    { Address = "10.9.0.2/24", AddressIPv6 = "fd00:9::2/64", MacAddress = "02:42:0a:09:00:02" }
  do
    if (set[field] or "") == "" then answer[field] = value end
  end
  return { Interface = answer }
end

function network.delete_endpoint(req) end

function network.endpoint_oper_info(req)
  return { Value = {} }
end

function network.join(req)
  return {
    InterfaceName = { SrcName = "md" .. string.sub(req.EndpointID, 1, 10), DstPrefix = "eth" },
    Gateway = "10.9.0.1",
    GatewayIPv6 = "fd00:9::1",
    StaticRoutes = if string.find(req.EndpointID, "^2")
      then {}
      else {
        { Destination = "10.10.0.0/16", RouteType = 0, NextHop = "10.9.0.254" },
        { Destination = "fd00:10::/64", RouteType = 1 },
      },
    DisableGatewayService = true,
  }
end

function network.leave(req) end

function network.program_external_connectivity(req) end

function network.revoke_external_connectivity(req) end

function network.discover_new(req)
  assert(req.DiscoveryType == 1)
end

function network.discover_delete(req) end

return network
