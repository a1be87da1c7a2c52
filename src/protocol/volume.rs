//! `VolumeDriver` (protocol 5).

use super::shape::{ANY_MAP, EMPTY, TEXT_MAP, optional, required};
use super::{Interface::Volume, Method, Missing, Shape, Tie, Type};

const NAMED: Shape = Shape {
    name: "VolumeRequest",
    fields: &[required("Name", Type::Text, "The volume's name.")],
};

const CREATE: Shape = Shape {
    name: "CreateVolumeRequest",
    fields: &[
        required(
            "Name",
            Type::Text,
            "The volume's name; the engine passes it on unchecked.",
        ),
        optional(
            "Opts",
            TEXT_MAP,
            "The options of `-o`; absent when there are none.",
        ),
    ],
};

const MOUNT: Shape = Shape {
    name: "MountRequest",
    fields: &[
        required("Name", Type::Text, "The volume's name."),
        required(
            "ID",
            Type::Text,
            "The mount's ID; one container may send it more than once.",
        ),
    ],
};

const MOUNTPOINT: Shape = Shape {
    name: "MountpointReply",
    fields: &[required(
        "Mountpoint",
        Type::Path,
        "The absolute path that containers are given.",
    )],
};

const VOLUME: Shape = Shape {
    name: "Volume",
    fields: &[
        required("Name", Type::Text, "The name that was asked for, exactly."),
        optional("Mountpoint", Type::Text, "Where it is mounted, if it is."),
        optional("CreatedAt", Type::Time, "When it was made."),
        optional(
            "Status",
            ANY_MAP,
            "Anything; shown by `docker volume inspect`.",
        ),
    ],
};

const GET: Shape = Shape {
    name: "GetVolumeReply",
    fields: &[required(
        "Volume",
        Type::Record(&VOLUME),
        "The volume; return nothing when there is none.",
    )],
};

const LIST: Shape = Shape {
    name: "ListVolumesReply",
    fields: &[required(
        "Volumes",
        Type::List(&Type::Record(&VOLUME)),
        "All volumes of this driver.",
    )],
};

const SCOPE: Shape = Shape {
    name: "VolumeCapabilities",
    fields: &[required(
        "Scope",
        Type::Scope,
        "`local`, or `global` when every host sees the same volumes.",
    )],
};

const CAPABILITIES: Shape = Shape {
    name: "VolumeCapabilitiesReply",
    fields: &[required(
        "Capabilities",
        Type::Record(&SCOPE),
        "What the driver can do.",
    )],
};

/// The engine gives up after 120 s (Create, Mount) or 60 s.
pub(super) static METHODS: &[Method] = &[
    Method::new(
        Volume,
        "VolumeDriver.Create",
        "create",
        &CREATE,
        &EMPTY,
        "Makes a volume.",
    )
    .about("Name")
    .deadline(110),
    Method::new(
        Volume,
        "VolumeDriver.Remove",
        "remove",
        &NAMED,
        &EMPTY,
        "Deletes a volume and its data.",
    )
    .about("Name"),
    Method::new(
        Volume,
        "VolumeDriver.Mount",
        "mount",
        &MOUNT,
        &MOUNTPOINT,
        "Makes a volume usable by a container.",
    )
    .reachable("Mountpoint")
    .about("Name")
    .deadline(110),
    Method::new(
        Volume,
        "VolumeDriver.Unmount",
        "unmount",
        &MOUNT,
        &EMPTY,
        "Takes one use of a volume back.",
    )
    .about("Name"),
    Method::new(
        Volume,
        "VolumeDriver.Path",
        "path",
        &NAMED,
        &MOUNTPOINT,
        "Says where a volume is mounted.",
    )
    .about("Name")
    .missing(Missing::NotFound),
    Method::new(
        Volume,
        "VolumeDriver.Get",
        "get",
        &NAMED,
        &GET,
        "Describes one volume.",
    )
    .about("Name")
    .tie(Tie::Echo("Volume", "Name"))
    .absent("no such volume")
    .hang_up_on_failure(),
    Method::new(
        Volume,
        "VolumeDriver.List",
        "list",
        &EMPTY,
        &LIST,
        "Describes all volumes.",
    ),
    Method::new(
        Volume,
        "VolumeDriver.Capabilities",
        "capabilities",
        &EMPTY,
        &CAPABILITIES,
        "Says how far volumes reach.",
    )
    .missing(Missing::Answered(r#"{"Capabilities":{"Scope":"local"}}"#)),
];
