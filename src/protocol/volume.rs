//! `VolumeDriver` (protocol 5).

use super::shape::{ANY_MAP, EMPTY, TEXT_MAP, optional, required};
use super::{Interface::Volume, Method, Missing, Shape, Tie, Type};

const NAMED: Shape = Shape::new("VolumeRequest", &[
    required("Name", Type::Text, "The volume's name."),
]);

const CREATE: Shape = Shape::new("CreateVolumeRequest", &[
    required("Name", Type::Text, "The volume's name, which the engine does not check."),
    optional("Opts", TEXT_MAP,   "The options of `-o`; absent if there are none."),
]);

const MOUNT: Shape = Shape::new("MountRequest", &[
    required("Name", Type::Text, "The volume's name."),
    required("ID",   Type::Text, "The mount's ID. A container may send it more than once."),
]);

const MOUNTPOINT: Shape = Shape::new("MountpointReply", &[
    required("Mountpoint", Type::Path, "The path of the volume on the host."),
]);

const VOLUME: Shape = Shape::new("VolumeInfo", &[
    required("Name",       Type::Text, "The name in the request, unchanged."),
    optional("Mountpoint", Type::Text, "The path at which the volume is mounted, if it is."),
    optional("CreatedAt",  Type::Time, "When the volume was created."),
    optional("Status",     ANY_MAP,    "Any values, for `docker volume inspect`."),
]);

const GET: Shape = Shape::new("GetVolumeReply", &[
    required("Volume", Type::Record(&VOLUME), "The volume. Return nothing if it does not exist."),
]);

const LIST: Shape = Shape::new("ListVolumesReply", &[
    required("Volumes", Type::List(&Type::Record(&VOLUME)), "All volumes of the driver."),
]);

const SCOPE: Shape = Shape::new("VolumeCapabilities", &[
    required("Scope", Type::Scope, "`local`, or `global` if every host sees the same volumes."),
]);

const CAPABILITIES: Shape = Shape::new("VolumeCapabilitiesReply", &[
    required("Capabilities", Type::Record(&SCOPE), "The driver's capabilities."),
]);

/// The engine waits 120 s for `Create` and `Mount`, and 60 s for the others.
const LONG_DEADLINE: u64 = 110;

const fn row(
    wire: &'static str,
    hook: &'static str,
    request: &'static Shape,
    reply: &'static Shape,
    doc: &'static str,
) -> Method {
    Method::new(Volume, wire, hook, request, reply, doc)
}

pub(super) static METHODS: &[Method] = &[
    row("VolumeDriver.Create", "create", &CREATE, &EMPTY, "Creates a volume.")
        .about("Name")
        .deadline(LONG_DEADLINE),
    row("VolumeDriver.Remove", "remove", &NAMED, &EMPTY, "Deletes a volume and its data.")
        .about("Name"),
    row("VolumeDriver.Mount", "mount", &MOUNT, &MOUNTPOINT, "Mounts a volume for a container.")
        .about("Name")
        .deadline(LONG_DEADLINE)
        .reachable("Mountpoint"),
    row("VolumeDriver.Unmount", "unmount", &MOUNT, &EMPTY, "Ends one use of a volume.")
        .about("Name"),
    row("VolumeDriver.Path", "path", &NAMED, &MOUNTPOINT, "Returns where a volume is mounted.")
        .about("Name")
        .missing(Missing::NotFound),
    row("VolumeDriver.Get", "get", &NAMED, &GET, "Describes a volume.")
        .about("Name")
        .tie(Tie::Echo("Volume", "Name"))
        .absent("no such volume")
        .hang_up_on_failure(),
    row("VolumeDriver.List", "list", &EMPTY, &LIST, "Describes all volumes of the driver."),
    row("VolumeDriver.Capabilities", "capabilities", &EMPTY, &CAPABILITIES, "Returns the scope of volumes.")
        .missing(Missing::Answered(r#"{"Capabilities":{"Scope":"local"}}"#)),
];
