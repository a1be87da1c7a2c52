//! `NetworkDriver` (protocol 6).

use super::shape::{ANY_MAP, EMPTY, TEXT_MAP, optional, required};
use super::{Field, Interface::Network, Method, Missing, Shape, Tie, Type};

const NETWORK_ID: Field = required("NetworkID", Type::Text, "The network's ID.");
const ENDPOINT_ID: Field = required(
    "EndpointID",
    Type::Text,
    "The endpoint's ID; new at each start of a container.",
);
const OPTIONS: Field = optional(
    "Options",
    ANY_MAP,
    "Options by their full names, `com.docker.network.…`.",
);

const IPAM_DATA: Shape = Shape {
    name: "IpamData",
    fields: &[
        optional("AddressSpace", Type::Text, "The address space of the pool."),
        optional("Pool", Type::Text, "The pool, in CIDR form."),
        optional("Gateway", Type::Text, "The gateway, in CIDR form."),
        optional(
            "AuxAddresses",
            TEXT_MAP,
            "Reserved addresses by name, in CIDR form.",
        ),
    ],
};
const IPV4_DATA: Field = optional(
    "IPv4Data",
    Type::List(&Type::Record(&IPAM_DATA)),
    "The IPv4 pools.",
);
const IPV6_DATA: Field = optional(
    "IPv6Data",
    Type::List(&Type::Record(&IPAM_DATA)),
    "The IPv6 pools.",
);

const NETWORK: Shape = Shape {
    name: "NetworkRequest",
    fields: &[NETWORK_ID],
};
const ENDPOINT: Shape = Shape {
    name: "EndpointRequest",
    fields: &[NETWORK_ID, ENDPOINT_ID],
};
const ENDPOINT_WITH_OPTIONS: Shape = Shape {
    name: "EndpointOptionsRequest",
    fields: &[NETWORK_ID, ENDPOINT_ID, OPTIONS],
};
const CREATE_NETWORK: Shape = Shape {
    name: "CreateNetworkRequest",
    fields: &[NETWORK_ID, OPTIONS, IPV4_DATA, IPV6_DATA],
};

const ALLOCATE: Shape = Shape {
    name: "AllocateNetworkRequest",
    fields: &[
        NETWORK_ID,
        optional("Options", TEXT_MAP, "The options of `-o`."),
        IPV4_DATA,
        IPV6_DATA,
    ],
};
const ALLOCATE_REPLY: Shape = Shape {
    name: "AllocateNetworkReply",
    fields: &[optional(
        "Options",
        TEXT_MAP,
        "Merged into the options of CreateNetwork on every node.",
    )],
};

const GW_ALLOC_CHECK: Shape = Shape {
    name: "GwAllocCheckRequest",
    fields: &[OPTIONS],
};
const GW_ALLOC_CHECK_REPLY: Shape = Shape {
    name: "GwAllocCheckReply",
    fields: &[
        optional("SkipIPv4", Type::Bool, "No IPv4 gateway is wanted."),
        optional("SkipIPv6", Type::Bool, "No IPv6 gateway is wanted."),
    ],
};

const CAPABILITIES_REPLY: Shape = Shape {
    name: "NetworkCapabilitiesReply",
    fields: &[
        required("Scope", Type::Scope, "`local` or `global`."),
        optional(
            "ConnectivityScope",
            Type::Scope,
            "`local` or `global`; the same as `Scope` when absent.",
        ),
        optional(
            "GwAllocChecker",
            Type::Bool,
            "True when `gw_alloc_check` is to be asked (engines from 28).",
        ),
    ],
};

const INTERFACE: Shape = Shape {
    name: "EndpointInterface",
    fields: &[
        optional("Address", Type::Cidr, "The IPv4 address, in CIDR form."),
        optional("AddressIPv6", Type::Cidr, "The IPv6 address, in CIDR form."),
        optional("MacAddress", Type::Mac, "The MAC address."),
    ],
};
const CREATE_ENDPOINT: Shape = Shape {
    name: "CreateEndpointRequest",
    fields: &[
        NETWORK_ID,
        ENDPOINT_ID,
        optional(
            "Interface",
            Type::Record(&INTERFACE),
            "What is set already; unset fields are empty.",
        ),
        OPTIONS,
    ],
};
const CREATE_ENDPOINT_REPLY: Shape = Shape {
    name: "CreateEndpointReply",
    fields: &[optional(
        "Interface",
        Type::Record(&INTERFACE),
        "Only what the request left empty: the engine refuses anything else, even the same value.",
    )],
};
const OPER_INFO_REPLY: Shape = Shape {
    name: "EndpointOperInfoReply",
    fields: &[optional(
        "Value",
        ANY_MAP,
        "Anything to show of the endpoint.",
    )],
};

const JOIN: Shape = Shape {
    name: "JoinRequest",
    fields: &[
        NETWORK_ID,
        ENDPOINT_ID,
        required(
            "SandboxKey",
            Type::Text,
            "The path of the sandbox; it may not exist yet.",
        ),
        OPTIONS,
    ],
};
const INTERFACE_NAME: Shape = Shape {
    name: "InterfaceName",
    fields: &[
        required(
            "SrcName",
            Type::Link,
            "The link in the host's namespace, at most 15 bytes.",
        ),
        required(
            "DstPrefix",
            Type::Link,
            "The name in the container without its number, such as `eth`.",
        ),
    ],
};
const STATIC_ROUTE: Shape = Shape {
    name: "StaticRoute",
    fields: &[
        required("Destination", Type::Cidr, "Where to, in CIDR form."),
        required(
            "RouteType",
            Type::Int,
            "0: by the next hop. 1: on the link.",
        ),
        optional("NextHop", Type::Address, "The next hop of type 0."),
    ],
};
const JOIN_REPLY: Shape = Shape {
    name: "JoinReply",
    fields: &[
        optional(
            "InterfaceName",
            Type::Record(&INTERFACE_NAME),
            "The link that the engine moves.",
        ),
        optional(
            "Gateway",
            Type::Address,
            "The IPv4 gateway, a bare address.",
        ),
        optional(
            "GatewayIPv6",
            Type::Address,
            "The IPv6 gateway, a bare address.",
        ),
        optional(
            "StaticRoutes",
            Type::List(&Type::Record(&STATIC_ROUTE)),
            "Routes to add in the container.",
        ),
        optional(
            "DisableGatewayService",
            Type::Bool,
            "True keeps the container off `docker_gwbridge`.",
        ),
    ],
};

const DISCOVERY: Shape = Shape {
    name: "DiscoveryRequest",
    fields: &[
        required("DiscoveryType", Type::Int, "1: a node."),
        optional(
            "DiscoveryData",
            ANY_MAP,
            "`Address`, `BindAddress` and `Self` of the node.",
        ),
    ],
};

/// The engine has no limit of its own for a plain service, and 30 s for a managed plugin by default.
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
    row(
        "NetworkDriver.GetCapabilities",
        "get_capabilities",
        &EMPTY,
        &CAPABILITIES_REPLY,
        "Says how far networks reach.",
    )
    .greeting(1)
    .missing(Missing::Answered(
        r#"{"Scope":"local","ConnectivityScope":"local"}"#,
    )),
    row(
        "NetworkDriver.GwAllocCheck",
        "gw_alloc_check",
        &GW_ALLOC_CHECK,
        &GW_ALLOC_CHECK_REPLY,
        "Says whether a network needs gateway addresses.",
    )
    .missing(Missing::NotFound),
    row(
        "NetworkDriver.AllocateNetwork",
        "allocate_network",
        &ALLOCATE,
        &ALLOCATE_REPLY,
        "Reserves what a swarm's network needs.",
    )
    .about("NetworkID")
    .missing(Missing::NotFound),
    row(
        "NetworkDriver.FreeNetwork",
        "free_network",
        &NETWORK,
        &EMPTY,
        "Frees what was reserved for a swarm's network.",
    )
    .about("NetworkID")
    .missing(Missing::NotFound),
    row(
        "NetworkDriver.CreateNetwork",
        "create_network",
        &CREATE_NETWORK,
        &EMPTY,
        "Makes a network.",
    )
    .about("NetworkID"),
    row(
        "NetworkDriver.DeleteNetwork",
        "delete_network",
        &NETWORK,
        &EMPTY,
        "Deletes a network; unknown ones too succeed.",
    )
    .about("NetworkID"),
    row(
        "NetworkDriver.CreateEndpoint",
        "create_endpoint",
        &CREATE_ENDPOINT,
        &CREATE_ENDPOINT_REPLY,
        "Prepares a container's place in a network.",
    )
    .about("EndpointID")
    .tie(Tie::Unset("Interface")),
    row(
        "NetworkDriver.DeleteEndpoint",
        "delete_endpoint",
        &ENDPOINT,
        &EMPTY,
        "Deletes an endpoint; unknown ones too succeed.",
    )
    .about("EndpointID"),
    row(
        "NetworkDriver.EndpointOperInfo",
        "endpoint_oper_info",
        &ENDPOINT,
        &OPER_INFO_REPLY,
        "Describes an endpoint.",
    )
    .about("EndpointID")
    .missing(Missing::Answered(r#"{"Value":{}}"#)),
    row(
        "NetworkDriver.Join",
        "join",
        &JOIN,
        &JOIN_REPLY,
        "Gives a container's sandbox its link.",
    )
    .about("EndpointID"),
    row(
        "NetworkDriver.Leave",
        "leave",
        &ENDPOINT,
        &EMPTY,
        "Takes the link back; unknown ones too succeed.",
    )
    .about("EndpointID"),
    row(
        "NetworkDriver.ProgramExternalConnectivity",
        "program_external_connectivity",
        &ENDPOINT_WITH_OPTIONS,
        &EMPTY,
        "Publishes ports.",
    )
    .about("EndpointID")
    .missing(Missing::NotFound),
    row(
        "NetworkDriver.RevokeExternalConnectivity",
        "revoke_external_connectivity",
        &ENDPOINT,
        &EMPTY,
        "Withdraws published ports.",
    )
    .about("EndpointID")
    .missing(Missing::NotFound),
    row(
        "NetworkDriver.DiscoverNew",
        "discover_new",
        &DISCOVERY,
        &EMPTY,
        "Tells of a node that joined the swarm.",
    )
    .missing(Missing::NotFound),
    row(
        "NetworkDriver.DiscoverDelete",
        "discover_delete",
        &DISCOVERY,
        &EMPTY,
        "Tells of a node that left the swarm.",
    )
    .missing(Missing::NotFound),
];
