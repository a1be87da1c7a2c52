//! `IpamDriver` (protocol 7). Errors go in `Error` here, and in `Err` everywhere else: failures carry both.

use super::shape::{EMPTY, TEXT_MAP, optional, required};
use super::{Field, Interface::Ipam, Method, Missing, Shape, Type};

const POOL_ID: Field = required(
    "PoolID",
    Type::Text,
    "The pool's ID, as `request_pool` gave it.",
);
const DATA: Field = optional("Data", TEXT_MAP, "Further facts for the network driver.");

const CAPABILITIES_REPLY: Shape = Shape {
    name: "IpamCapabilitiesReply",
    fields: &[
        optional(
            "RequiresMACAddress",
            Type::Bool,
            "Addresses depend on the MAC address.",
        ),
        optional(
            "RequiresRequestReplay",
            Type::Bool,
            "The engine is to ask for everything again at its start.",
        ),
    ],
};

const SPACES_REPLY: Shape = Shape {
    name: "AddressSpacesReply",
    fields: &[
        required(
            "LocalDefaultAddressSpace",
            Type::Text,
            "The name of the local address space.",
        ),
        required(
            "GlobalDefaultAddressSpace",
            Type::Text,
            "The name of the global address space.",
        ),
    ],
};

const REQUEST_POOL: Shape = Shape {
    name: "RequestPoolRequest",
    fields: &[
        optional(
            "AddressSpace",
            Type::Text,
            "The address space to take it from.",
        ),
        optional(
            "Pool",
            Type::Text,
            "The pool wanted, in CIDR form; empty for any.",
        ),
        optional(
            "SubPool",
            Type::Text,
            "The part of it to hand out (`--ip-range`).",
        ),
        optional("Options", TEXT_MAP, "The options of `--ipam-opt`."),
        optional("V6", Type::Bool, "True for an IPv6 pool."),
    ],
};
const REQUEST_POOL_REPLY: Shape = Shape {
    name: "RequestPoolReply",
    fields: &[
        required(
            "PoolID",
            Type::Text,
            "The pool's ID, of the driver's own making.",
        ),
        required("Pool", Type::Cidr, "The pool, in CIDR form."),
        DATA,
    ],
};

const RELEASE_POOL: Shape = Shape {
    name: "ReleasePoolRequest",
    fields: &[POOL_ID],
};

const REQUEST_ADDRESS: Shape = Shape {
    name: "RequestAddressRequest",
    fields: &[
        POOL_ID,
        optional("Address", Type::Text, "The address wanted; empty for any."),
        optional(
            "Options",
            TEXT_MAP,
            "`RequestAddressType` says when it is a gateway's.",
        ),
    ],
};
const REQUEST_ADDRESS_REPLY: Shape = Shape {
    name: "RequestAddressReply",
    fields: &[
        required(
            "Address",
            Type::Cidr,
            "The address, with the pool's prefix length.",
        ),
        DATA,
    ],
};

const RELEASE_ADDRESS: Shape = Shape {
    name: "ReleaseAddressRequest",
    fields: &[
        POOL_ID,
        required("Address", Type::Text, "The bare address to release."),
    ],
};

const fn row(
    wire: &'static str,
    hook: &'static str,
    request: &'static Shape,
    reply: &'static Shape,
    doc: &'static str,
) -> Method {
    Method::new(Ipam, wire, hook, request, reply, doc).deadline(25)
}

pub(super) static METHODS: &[Method] = &[
    row(
        "IpamDriver.GetCapabilities",
        "get_capabilities",
        &EMPTY,
        &CAPABILITIES_REPLY,
        "Says what the driver needs to be told.",
    )
    .greeting(0)
    .missing(Missing::Answered("{}")),
    row(
        "IpamDriver.GetDefaultAddressSpaces",
        "get_default_address_spaces",
        &EMPTY,
        &SPACES_REPLY,
        "Names the address spaces.",
    )
    .missing(Missing::Answered(
        r#"{"LocalDefaultAddressSpace":"local","GlobalDefaultAddressSpace":"global"}"#,
    )),
    row(
        "IpamDriver.RequestPool",
        "request_pool",
        &REQUEST_POOL,
        &REQUEST_POOL_REPLY,
        "Reserves a pool.",
    )
    .about("Pool"),
    row(
        "IpamDriver.ReleasePool",
        "release_pool",
        &RELEASE_POOL,
        &EMPTY,
        "Releases a pool; unknown ones too succeed.",
    )
    .about("PoolID"),
    row(
        "IpamDriver.RequestAddress",
        "request_address",
        &REQUEST_ADDRESS,
        &REQUEST_ADDRESS_REPLY,
        "Leases an address.",
    )
    .about("PoolID"),
    row(
        "IpamDriver.ReleaseAddress",
        "release_address",
        &RELEASE_ADDRESS,
        &EMPTY,
        "Ends a lease; unknown ones too succeed.",
    )
    .about("Address"),
];
