//! `NetworkDriver` (protocol 6).

use super::shape::{ANY_MAP, EMPTY, TEXT_MAP, optional, required};
use super::{Field, Interface::Network, Method, Missing, Shape, Tie, Type};

const NETWORK_ID: Field = required("NetworkID", Type::Text, "The network's ID.");
const ENDPOINT_ID: Field = required("EndpointID", Type::Text, "The endpoint's ID, a new one at each start of a container.");
const OPTIONS: Field = optional("Options", ANY_MAP, "The options by their full names, such as `com.docker.network.…`.");

const IPAM_DATA: Shape = Shape::new("IpamData", &[
    optional("AddressSpace", Type::Text, "The address space of the pool."),
    optional("Pool",         Type::Text, "The pool, in CIDR form."),
    optional("Gateway",      Type::Text, "The gateway, in CIDR form."),
    optional("AuxAddresses", TEXT_MAP,   "The reserved addresses by name, in CIDR form."),
]);
const IPV4_DATA: Field = optional("IPv4Data", Type::List(&Type::Record(&IPAM_DATA)), "The IPv4 pools.");
const IPV6_DATA: Field = optional("IPv6Data", Type::List(&Type::Record(&IPAM_DATA)), "The IPv6 pools.");

const NETWORK: Shape = Shape::new("NetworkRequest", &[NETWORK_ID]);
const ENDPOINT: Shape = Shape::new("EndpointRequest", &[NETWORK_ID, ENDPOINT_ID]);
const ENDPOINT_WITH_OPTIONS: Shape = Shape::new("EndpointOptionsRequest", &[NETWORK_ID, ENDPOINT_ID, OPTIONS]);
const CREATE_NETWORK: Shape = Shape::new("CreateNetworkRequest", &[NETWORK_ID, OPTIONS, IPV4_DATA, IPV6_DATA]);

const ALLOCATE: Shape = Shape::new("AllocateNetworkRequest", &[
    NETWORK_ID,
    optional("Options", TEXT_MAP, "The options of `-o`."),
    IPV4_DATA,
    IPV6_DATA,
]);
const ALLOCATE_REPLY: Shape = Shape::new("AllocateNetworkReply", &[
    optional("Options", TEXT_MAP, "Options that `create_network` gets in addition, on every node."),
]);

const GW_ALLOC_CHECK: Shape = Shape::new("GwAllocCheckRequest", &[OPTIONS]);
const GW_ALLOC_CHECK_REPLY: Shape = Shape::new("GwAllocCheckReply", &[
    optional("SkipIPv4", Type::Bool, "True if the network needs no IPv4 gateway."),
    optional("SkipIPv6", Type::Bool, "True if the network needs no IPv6 gateway."),
]);

const CAPABILITIES_REPLY: Shape = Shape::new("NetworkCapabilitiesReply", &[
    required("Scope",             Type::Scope, "`local` or `global`."),
    optional("ConnectivityScope", Type::Scope, "`local` or `global`; by default the same as `Scope`."),
    optional("GwAllocChecker",    Type::Bool,  "True if the engine is to call `gw_alloc_check` (engines from 28)."),
]);

const INTERFACE: Shape = Shape::new("EndpointInterface", &[
    optional("Address",     Type::Cidr, "The IPv4 address, in CIDR form."),
    optional("AddressIPv6", Type::Cidr, "The IPv6 address, in CIDR form."),
    optional("MacAddress",  Type::Mac,  "The MAC address."),
]);
const CREATE_ENDPOINT: Shape = Shape::new("CreateEndpointRequest", &[
    NETWORK_ID,
    ENDPOINT_ID,
    optional("Interface", Type::Record(&INTERFACE), "The addresses that are set already; others are empty."),
    OPTIONS,
]);
const CREATE_ENDPOINT_REPLY: Shape = Shape::new("CreateEndpointReply", &[
    optional("Interface", Type::Record(&INTERFACE), "Only addresses that are empty in the request. \
        The engine rejects any other, even the same value."),
]);
const OPER_INFO_REPLY: Shape = Shape::new("EndpointOperInfoReply", &[
    optional("Value", ANY_MAP, "Any values that describe the endpoint."),
]);

const JOIN: Shape = Shape::new("JoinRequest", &[
    NETWORK_ID,
    ENDPOINT_ID,
    required("SandboxKey", Type::Text, "The path of the sandbox, which may not exist yet."),
    OPTIONS,
]);
const INTERFACE_NAME: Shape = Shape::new("InterfaceName", &[
    required("SrcName",   Type::Link, "The link in the host's namespace, of at most 15 bytes."),
    required("DstPrefix", Type::Link, "The link's name in the container without its number, such as `eth`."),
]);
const STATIC_ROUTE: Shape = Shape::new("StaticRoute", &[
    required("Destination", Type::Cidr,    "The destination, in CIDR form."),
    required("RouteType",   Type::Int,     "0 for a route by the next hop, 1 for a route on the link."),
    optional("NextHop",     Type::Address, "The next hop of a route of type 0."),
]);
const JOIN_REPLY: Shape = Shape::new("JoinReply", &[
    optional("InterfaceName", Type::Record(&INTERFACE_NAME), "The link that the engine moves into the container."),
    optional("Gateway", Type::Address, "The IPv4 gateway, a bare address."),
    optional("GatewayIPv6", Type::Address, "The IPv6 gateway, a bare address."),
    optional("StaticRoutes", Type::List(&Type::Record(&STATIC_ROUTE)), "Routes to add in the container."),
    optional("DisableGatewayService", Type::Bool, "True to keep the container off `docker_gwbridge`."),
]);

const DISCOVERY: Shape = Shape::new("DiscoveryRequest", &[
    required("DiscoveryType", Type::Int, "1 for a node."),
    optional("DiscoveryData", ANY_MAP,   "`Address`, `BindAddress` and `Self` of the node."),
]);

/// The engine waits without limit for a plain service, and 30 s for a managed plugin by default.
const DEADLINE: u64 = 25;

const fn row(
    wire: &'static str,
    hook: &'static str,
    request: &'static Shape,
    reply: &'static Shape,
    doc: &'static str,
) -> Method {
    Method::new(Network, wire, hook, request, reply, doc).deadline(DEADLINE)
}

pub(super) static METHODS: &[Method] = &[
    row("NetworkDriver.GetCapabilities", "get_capabilities", &EMPTY, &CAPABILITIES_REPLY,
        "Returns the scope of networks.")
        .greeting(1)
        .missing(Missing::Answered(r#"{"Scope":"local","ConnectivityScope":"local"}"#)),
    row("NetworkDriver.GwAllocCheck", "gw_alloc_check", &GW_ALLOC_CHECK, &GW_ALLOC_CHECK_REPLY,
        "Returns whether a network needs gateway addresses.")
        .missing(Missing::NotFound),
    row("NetworkDriver.AllocateNetwork", "allocate_network", &ALLOCATE, &ALLOCATE_REPLY,
        "Reserves the resources of a swarm's network.")
        .about("NetworkID")
        .missing(Missing::NotFound),
    row("NetworkDriver.FreeNetwork", "free_network", &NETWORK, &EMPTY,
        "Releases the resources of a swarm's network.")
        .about("NetworkID")
        .missing(Missing::NotFound),
    row("NetworkDriver.CreateNetwork", "create_network", &CREATE_NETWORK, &EMPTY,
        "Creates a network.")
        .about("NetworkID"),
    row("NetworkDriver.DeleteNetwork", "delete_network", &NETWORK, &EMPTY,
        "Deletes a network. It must succeed for an unknown network, too.")
        .about("NetworkID"),
    row("NetworkDriver.CreateEndpoint", "create_endpoint", &CREATE_ENDPOINT, &CREATE_ENDPOINT_REPLY,
        "Creates an endpoint, which attaches one container to a network.")
        .about("EndpointID")
        .tie(Tie::Unset("Interface")),
    row("NetworkDriver.DeleteEndpoint", "delete_endpoint", &ENDPOINT, &EMPTY,
        "Deletes an endpoint. It must succeed for an unknown endpoint, too.")
        .about("EndpointID"),
    row("NetworkDriver.EndpointOperInfo", "endpoint_oper_info", &ENDPOINT, &OPER_INFO_REPLY,
        "Describes an endpoint.")
        .about("EndpointID")
        .missing(Missing::Answered(r#"{"Value":{}}"#)),
    row("NetworkDriver.Join", "join", &JOIN, &JOIN_REPLY,
        "Creates the link of a container's sandbox.")
        .about("EndpointID"),
    row("NetworkDriver.Leave", "leave", &ENDPOINT, &EMPTY,
        "Removes the link of a container's sandbox. It must succeed for an unknown endpoint, too.")
        .about("EndpointID"),
    row("NetworkDriver.ProgramExternalConnectivity", "program_external_connectivity", &ENDPOINT_WITH_OPTIONS, &EMPTY,
        "Publishes the ports of an endpoint.")
        .about("EndpointID")
        .missing(Missing::NotFound),
    row("NetworkDriver.RevokeExternalConnectivity", "revoke_external_connectivity", &ENDPOINT, &EMPTY,
        "Withdraws the published ports of an endpoint.")
        .about("EndpointID")
        .missing(Missing::NotFound),
    row("NetworkDriver.DiscoverNew", "discover_new", &DISCOVERY, &EMPTY,
        "Announces a node that joined the swarm.")
        .missing(Missing::NotFound),
    row("NetworkDriver.DiscoverDelete", "discover_delete", &DISCOVERY, &EMPTY,
        "Announces a node that left the swarm.")
        .missing(Missing::NotFound),
];
