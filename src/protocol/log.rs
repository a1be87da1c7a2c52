//! LogDriver (`protocol.md` 8).

use super::shape::{EMPTY, TEXT_MAP, TEXTS, optional, required};
use super::{Field, Interface::Log, Method, Missing, Shape, Type};

const FILE: Field = required("File", Type::Text, "The FIFO that the container's lines come through.");

const INFO_SHAPE: Shape = Shape {
    name: "LogInfo",
    fields: &[
        optional("Config", TEXT_MAP, "The options of `--log-opt`."),
        required("ContainerID", Type::Text, "The container's ID."),
        optional("ContainerName", Type::Text, "Its name, with a slash before it."),
        optional("ContainerEntrypoint", Type::Text, "What it runs."),
        optional("ContainerArgs", TEXTS, "With which arguments."),
        optional("ContainerImageID", Type::Text, "The image's ID."),
        optional("ContainerImageName", Type::Text, "The image's name."),
        optional("ContainerCreated", Type::Text, "When the container was made."),
        optional("ContainerEnv", TEXTS, "Its environment."),
        optional("ContainerLabels", TEXT_MAP, "Its labels."),
        optional("LogPath", Type::Text, "Empty."),
        optional("DaemonName", Type::Text, "`docker`."),
    ],
};
const INFO: Field = required("Info", Type::Record(&INFO_SHAPE), "The container.");

const CONFIG: Shape = Shape {
    name: "ReadConfig",
    fields: &[
        optional("Since", Type::Text, "From when; year 1 for the beginning."),
        optional("Until", Type::Text, "Until when; year 1 for no end."),
        optional("Tail", Type::Int, "How many of the last lines; -1 for all."),
        optional("Follow", Type::Bool, "Whether to go on with new lines."),
    ],
};

const START: Shape = Shape { name: "StartLoggingRequest", fields: &[FILE, INFO] };
const STOP: Shape = Shape { name: "StopLoggingRequest", fields: &[FILE] };
const READ: Shape = Shape {
    name: "ReadLogsRequest",
    fields: &[INFO, optional("Config", Type::Record(&CONFIG), "Which lines.")],
};

const CAP: Shape = Shape {
    name: "LogCapabilities",
    fields: &[optional("ReadLogs", Type::Bool, "True when `read` can give lines back.")],
};
const CAPABILITIES_REPLY: Shape = Shape {
    name: "LogCapabilitiesReply",
    fields: &[required("Cap", Type::Record(&CAP), "What the driver can do.")],
};

pub(super) const METHODS: &[Method] = &[
    Method::new(
        Log,
        "LogDriver.Capabilities",
        "capabilities",
        &EMPTY,
        &CAPABILITIES_REPLY,
        "Says whether logs can be read.",
    )
    .missing(Missing::NotFound),
    Method::new(Log, "LogDriver.StartLogging", "start", &START, &EMPTY, "Opens a container's log.")
        .about("File"),
    Method::new(Log, "LogDriver.StopLogging", "stop", &STOP, &EMPTY, "Closes a container's log.")
        .about("File"),
    Method::new(Log, "LogDriver.ReadLogs", "read", &READ, &EMPTY, "Gives a container's log back.")
        .missing(Missing::NotFound),
];
