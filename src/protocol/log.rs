//! `LogDriver` (protocol 8).

use super::method::row_of;
use super::shape::{EMPTY, TEXT_MAP, TEXTS, optional, required};
use super::{Answer, Field, Interface::Log, Method, Missing, Shape, Type};

const FILE: Field = required(
    "File",
    Type::Text,
    "The FIFO that the container's lines come through.",
);

/// What Docker tells of a container, and the FIFO.
pub const INFO: &Shape = &Shape {
    name: "LogInfo",
    fields: &[
        optional("Config", TEXT_MAP, "The options of `--log-opt`."),
        required("ContainerID", Type::Text, "The container's ID."),
        optional(
            "ContainerName",
            Type::Text,
            "Its name, with a slash before it.",
        ),
        optional("ContainerEntrypoint", Type::Text, "What it runs."),
        optional("ContainerArgs", TEXTS, "With which arguments."),
        optional("ContainerImageID", Type::Text, "The image's ID."),
        optional("ContainerImageName", Type::Text, "The image's name."),
        optional(
            "ContainerCreated",
            Type::Text,
            "When the container was made.",
        ),
        optional("ContainerEnv", TEXTS, "Its environment."),
        optional("ContainerLabels", TEXT_MAP, "Its labels."),
        optional("LogPath", Type::Text, "Empty."),
        optional("DaemonName", Type::Text, "`docker`."),
        optional(
            "File",
            Type::Text,
            "The FIFO, another one for each start: what `seq` counts in. Not for `read`.",
        ),
    ],
};
const OF_CONTAINER: Field = required("Info", Type::Record(INFO), "The container.");

const ENTRY_SHAPE: Shape = Shape {
    name: "LogEntry",
    fields: &[
        optional("source", Type::Text, "`stdout` (the default) or `stderr`."),
        required(
            "time",
            Type::Text,
            "Nanoseconds since 1970, in decimal digits: more than a Lua number holds.",
        ),
        optional(
            "line",
            Type::Text,
            "The line, any bytes, without a newline at its end.",
        ),
        optional(
            "partial",
            Type::Bool,
            "True for a piece of a line that was too long; else absent.",
        ),
        optional("partial_id", Type::Text, "Which line it is a piece of."),
        optional("ordinal", Type::Int, "Which piece, from 1."),
        optional("last", Type::Bool, "True for the last piece."),
        optional(
            "seq",
            Type::Int,
            "Its number in the stream, from 1; the same when it is handed over again. Not needed for `read`.",
        ),
    ],
};

const CONFIG: Shape = Shape {
    name: "ReadConfig",
    fields: &[
        optional("Since", Type::Text, "From when; year 1 for the beginning."),
        optional("Until", Type::Text, "Until when; year 1 for no end."),
        optional("Tail", Type::Int, "How many of the last lines; -1 for all."),
        optional("Follow", Type::Bool, "Whether to go on with new lines."),
    ],
};

const START: Shape = Shape {
    name: "StartLoggingRequest",
    fields: &[FILE, OF_CONTAINER],
};
const STOP: Shape = Shape {
    name: "StopLoggingRequest",
    fields: &[FILE],
};
const READ: Shape = Shape {
    name: "ReadLogsRequest",
    fields: &[
        OF_CONTAINER,
        optional("Config", Type::Record(&CONFIG), "Which lines."),
    ],
};
const WRITE: Shape = Shape {
    name: "WriteRequest",
    fields: &[
        required("Entry", Type::Record(&ENTRY_SHAPE), "The entry."),
        OF_CONTAINER,
    ],
};
const WRITE_BATCH: Shape = Shape {
    name: "WriteBatchRequest",
    fields: &[
        required(
            "Entries",
            Type::List(&Type::Record(&ENTRY_SHAPE)),
            "The entries, in their order.",
        ),
        OF_CONTAINER,
    ],
};

const CAP: Shape = Shape {
    name: "LogCapabilities",
    fields: &[optional(
        "ReadLogs",
        Type::Bool,
        "True when the script has the hook `read`.",
    )],
};
const CAPABILITIES_REPLY: Shape = Shape {
    name: "LogCapabilitiesReply",
    fields: &[required(
        "Cap",
        Type::Record(&CAP),
        "What the driver can do.",
    )],
};

const ARGUMENT: (&str, &str) = ("info", "LogInfo");

/// The hook that gives a log back.
pub static READ_LOG: &Method = row_of(METHODS, "read");
/// The hook that is called when a stream has ended.
pub static STOP_LOG: &Method = row_of(METHODS, "stop");
/// The hook that takes one entry; called by Moondock.
pub static WRITE_ENTRY: &Method = row_of(METHODS, "write");
/// The hook that takes a batch of entries; called by Moondock.
pub static WRITE_ENTRIES: &Method = row_of(METHODS, "write_batch");

pub(super) static METHODS: &[Method] = &[
    Method::new(
        Log,
        "LogDriver.Capabilities",
        "capabilities",
        &EMPTY,
        &CAPABILITIES_REPLY,
        "Says whether logs can be read: they can when the script has the hook `read`.",
    )
    .answer(Answer::LogCapabilities),
    Method::new(
        Log,
        "LogDriver.StartLogging",
        "start",
        &START,
        &EMPTY,
        "A container's log begins: the place to check its `--log-opt`. Raising refuses to start the container. Called once for a stream, not again when \
         the script or Moondock was started anew; and also before `docker logs` of a stopped container, so it must not clear what is kept.",
    )
    .answer(Answer::StartLog)
    .arguments(&[ARGUMENT])
    .about("File")
    .missing(Missing::Answered("{}")),
    Method::new(
        Log,
        "log.write",
        "write",
        &WRITE,
        &EMPTY,
        "One entry of a container's log. What was handed over once is handed over again when the hook raises, or Moondock was killed before it returned.",
    )
    .answer(Answer::Uncalled)
    .arguments(&[("entry", "LogEntry"), ARGUMENT])
    .missing(Missing::Instead("write_batch")),
    Method::new(
        Log,
        "log.write_batch",
        "write_batch",
        &WRITE_BATCH,
        &EMPTY,
        "Entries of a container's log, as many as have come meanwhile. They count as written when the hook returns; when it raises, or Moondock is \
         killed before, they are handed over again, with the same `seq`.",
    )
    .answer(Answer::Uncalled)
    .arguments(&[("entries", "{ LogEntry }"), ARGUMENT])
    .missing(Missing::Instead("write")),
    Method::new(
        Log,
        "LogDriver.StopLogging",
        "stop",
        &STOP,
        &EMPTY,
        "A container's log has ended, and all of it has been written. Docker does not wait for it.",
    )
    .answer(Answer::StopLog)
    .arguments(&[ARGUMENT])
    .about("File")
    .missing(Missing::Answered("{}")),
    Method::new(
        Log,
        "LogDriver.ReadLogs",
        "read",
        &READ,
        &EMPTY,
        "Gives a container's log back, for `docker logs`. `emit` sends an entry, or a list of them, and waits while the reader is slow. `wait` waits until \
         new entries were written for the container, and returns true; false once its log has ended. The hook ends when the reader goes.",
    )
    .arguments(&[
        ARGUMENT,
        ("config", "ReadConfig"),
        ("emit", "(LogEntry | { LogEntry }) -> ()"),
        ("wait", "() -> boolean"),
    ])
    .answer(Answer::ReadLog)
    .without_deadline()
    .missing(Missing::NotFound),
];
