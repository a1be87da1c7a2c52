//! `IpamDriver` (protocol 7). The engine reads its errors from `Error`, and those of all other
//! interfaces from `Err`; a failure has both.

use super::shape::{EMPTY, TEXT_MAP, optional, required};
use super::{Field, Interface::Ipam, Method, Missing, Shape, Type};

const POOL_ID: Field = required("PoolID", Type::Text, "The pool's ID, which `request_pool` returned.");
const DATA: Field = optional("Data", TEXT_MAP, "Additional data for the network driver.");

const CAPABILITIES_REPLY: Shape = Shape::new("IpamCapabilitiesReply", &[
    optional("RequiresMACAddress",    Type::Bool, "True if addresses depend on the MAC address."),
    optional("RequiresRequestReplay", Type::Bool, "True if the engine is to repeat all requests when it starts."),
]);

const SPACES_REPLY: Shape = Shape::new("AddressSpacesReply", &[
    required("LocalDefaultAddressSpace",  Type::Text, "The name of the local address space."),
    required("GlobalDefaultAddressSpace", Type::Text, "The name of the global address space."),
]);

const REQUEST_POOL: Shape = Shape::new("RequestPoolRequest", &[
    optional("AddressSpace", Type::Text, "The address space of the pool."),
    optional("Pool",         Type::Text, "The requested pool, in CIDR form; empty for any."),
    optional("SubPool",      Type::Text, "The part of the pool from which to assign addresses (`--ip-range`)."),
    optional("Options",      TEXT_MAP,   "The options of `--ipam-opt`."),
    optional("V6",           Type::Bool, "True for an IPv6 pool."),
]);
const REQUEST_POOL_REPLY: Shape = Shape::new("RequestPoolReply", &[
    required("PoolID", Type::Text, "The pool's ID, which the driver chooses."),
    required("Pool",   Type::Cidr, "The pool, in CIDR form."),
    DATA,
]);

const RELEASE_POOL: Shape = Shape::new("ReleasePoolRequest", &[POOL_ID]);

const REQUEST_ADDRESS: Shape = Shape::new("RequestAddressRequest", &[
    POOL_ID,
    optional("Address", Type::Text, "The requested address; empty for any."),
    optional("Options", TEXT_MAP,   "The options. `RequestAddressType` tells a gateway's address from others."),
]);
const REQUEST_ADDRESS_REPLY: Shape = Shape::new("RequestAddressReply", &[
    required("Address", Type::Cidr, "The address, with the prefix length of the pool."),
    DATA,
]);

const RELEASE_ADDRESS: Shape = Shape::new("ReleaseAddressRequest", &[
    POOL_ID,
    required("Address", Type::Text, "The address, without a prefix length."),
]);

/// The same as for networks.
const DEADLINE: u64 = 25;

const fn row(
    wire: &'static str,
    hook: &'static str,
    request: &'static Shape,
    reply: &'static Shape,
    doc: &'static str,
) -> Method {
    Method::new(Ipam, wire, hook, request, reply, doc).deadline(DEADLINE)
}

pub(super) static METHODS: &[Method] = &[
    row("IpamDriver.GetCapabilities", "get_capabilities", &EMPTY, &CAPABILITIES_REPLY,
        "Returns the driver's requirements.")
        .greeting(0)
        .missing(Missing::Answered("{}")),
    row("IpamDriver.GetDefaultAddressSpaces", "get_default_address_spaces", &EMPTY, &SPACES_REPLY,
        "Returns the names of the address spaces.")
        .missing(Missing::Answered(
            r#"{"LocalDefaultAddressSpace":"local","GlobalDefaultAddressSpace":"global"}"#,
        )),
    row("IpamDriver.RequestPool", "request_pool", &REQUEST_POOL, &REQUEST_POOL_REPLY,
        "Reserves a pool.")
        .about("Pool"),
    row("IpamDriver.ReleasePool", "release_pool", &RELEASE_POOL, &EMPTY,
        "Releases a pool. It must succeed for an unknown pool, too.")
        .about("PoolID"),
    row("IpamDriver.RequestAddress", "request_address", &REQUEST_ADDRESS, &REQUEST_ADDRESS_REPLY,
        "Leases an address.")
        .about("PoolID"),
    row("IpamDriver.ReleaseAddress", "release_address", &RELEASE_ADDRESS, &EMPTY,
        "Ends a lease. It must succeed for an unknown lease, too.")
        .about("Address"),
];
