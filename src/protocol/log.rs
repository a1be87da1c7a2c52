//! `LogDriver` (protocol 8).

use super::shape::{EMPTY, TEXT_MAP, TEXTS, optional, required};
use super::method::row_of;
use super::{Answer, Field, Interface::Log, Method, Missing, Shape, Type};

const FILE: Field = required("File", Type::Text, "The FIFO that the engine writes the log to.");

/// A container, and the FIFO of its log.
pub const INFO: &Shape = &Shape::new("LogInfo", &[
    optional("Config",              TEXT_MAP,   "The options of `--log-opt`."),
    required("ContainerID",         Type::Text, "The container's ID."),
    optional("ContainerName",       Type::Text, "The container's name, with a leading slash."),
    optional("ContainerEntrypoint", Type::Text, "The container's program."),
    optional("ContainerArgs",       TEXTS,      "The arguments of the program."),
    optional("ContainerImageID",    Type::Text, "The image's ID."),
    optional("ContainerImageName",  Type::Text, "The image's name."),
    optional("ContainerCreated",    Type::Text, "When the container was created."),
    optional("ContainerEnv",        TEXTS,      "The container's environment."),
    optional("ContainerLabels",     TEXT_MAP,   "The container's labels."),
    optional("LogPath",             Type::Text, "Empty."),
    optional("DaemonName",          Type::Text, "`docker`."),
    optional("File",                Type::Text, "The FIFO, a new one at each start, in which `seq` counts. Absent for `read`."),
]);
const OF_CONTAINER: Field = required("Info", Type::Record(INFO), "The container.");

/// An entry of a log.
pub const ENTRY: &Shape = &Shape::new("LogEntry", &[
    optional("source",     Type::Text, "`stdout` (the default) or `stderr`."),
    required("time",       Type::Text, "Nanoseconds since 1970, in decimal digits: a Lua number is not precise enough."),
    optional("line",       Type::Text, "The line, of any bytes, without a trailing newline."),
    optional("partial",    Type::Bool, "True for a part of a line that was too long; otherwise absent."),
    optional("partial_id", Type::Text, "The ID of the line that a part belongs to."),
    optional("ordinal",    Type::Int,  "The number of a part, from 1."),
    optional("last",       Type::Bool, "True for the last part."),
    optional("seq",        Type::Int,  "The entry's number in its stream, from 1; the same if it is delivered again. \
                                        Not needed for `read`."),
]);

/// Which lines of a log to read.
pub const CONFIG: &Shape = &Shape::new("ReadConfig", &[
    optional("Since",  Type::Text, "The time of the first line; year 1 for the beginning."),
    optional("Until",  Type::Text, "The time of the last line; year 1 for the end."),
    optional("Tail",   Type::Int,  "The number of lines, counted from the last; -1 for all."),
    optional("Follow", Type::Bool, "True to continue with new lines."),
]);

const ENTRIES: Type = Type::List(&Type::Record(ENTRY));

const START: Shape = Shape::new("StartLoggingRequest", &[FILE, OF_CONTAINER]);
const STOP: Shape = Shape::new("StopLoggingRequest", &[FILE]);
const READ: Shape = Shape::new("ReadLogsRequest", &[
    OF_CONTAINER,
    optional("Config", Type::Record(CONFIG), "The lines to read."),
]);
const WRITE: Shape = Shape::new("WriteRequest", &[
    required("Entry", Type::Record(ENTRY), "The entry."),
    OF_CONTAINER,
]);
const WRITE_BATCH: Shape = Shape::new("WriteBatchRequest", &[
    required("Entries", ENTRIES, "The entries, in their order."),
    OF_CONTAINER,
]);

const CAP: Shape = Shape::new("LogCapabilities", &[
    optional("ReadLogs", Type::Bool, "True if the script has the hook `read`."),
]);
const CAPABILITIES_REPLY: Shape = Shape::new("LogCapabilitiesReply", &[
    required("Cap", Type::Record(&CAP), "The driver's capabilities."),
]);

const ARGUMENT: (&str, &str) = ("info", "LogInfo");

/// The row of the hook that returns a log.
pub static READ_LOG: &Method = row_of(METHODS, "read");
/// The row of the hook that is called when a stream has ended.
pub static STOP_LOG: &Method = row_of(METHODS, "stop");
/// The row of the hook that writes one entry, which Moondock calls.
pub static WRITE_ENTRY: &Method = row_of(METHODS, "write");
/// The row of the hook that writes a batch of entries, which Moondock calls.
pub static WRITE_ENTRIES: &Method = row_of(METHODS, "write_batch");

const fn row(
    wire: &'static str,
    hook: &'static str,
    request: &'static Shape,
    doc: &'static str,
) -> Method {
    Method::new(Log, wire, hook, request, &EMPTY, doc)
}

pub(super) static METHODS: &[Method] = &[
    Method::new(Log, "LogDriver.Capabilities", "capabilities", &EMPTY, &CAPABILITIES_REPLY,
        "Returns whether logs can be read, which requires the hook `read`.")
        .answer(Answer::LogCapabilities),
    row("LogDriver.StartLogging", "start", &START,
        "Called when the log of a container begins: the place to check its `--log-opt`. \
         If the hook raises, the container does not start. \
         It is called once for each stream, and not again after a restart of the script or of Moondock. \
         It is also called before `docker logs` of a stopped container, so it must not delete stored logs.")
        .answer(Answer::StartLog)
        .arguments(&[ARGUMENT])
        .about("File")
        .missing(Missing::Answered("{}")),
    row("log.write", "write", &WRITE,
        "Writes one entry of a container's log. \
         If the hook raises, or Moondock is killed before it returns, the same entry is delivered again.")
        .answer(Answer::Uncalled)
        .arguments(&[("entry", "LogEntry"), ARGUMENT])
        .missing(Missing::Instead("write_batch")),
    row("log.write_batch", "write_batch", &WRITE_BATCH,
        "Writes the entries of a container's log that are available. \
         They count as written when the hook returns. \
         If it raises, or Moondock is killed before it returns, they are delivered again, with the same `seq`.")
        .answer(Answer::Uncalled)
        .arguments(&[("entries", "{ LogEntry }"), ARGUMENT])
        .missing(Missing::Instead("write")),
    row("LogDriver.StopLogging", "stop", &STOP,
        "Called when the log of a container has ended and all of it is written. Docker does not wait for it.")
        .answer(Answer::StopLog)
        .arguments(&[ARGUMENT])
        .about("File")
        .missing(Missing::Answered("{}")),
    row("LogDriver.ReadLogs", "read", &READ,
        "Returns the log of a container, for `docker logs`. \
         `emit` sends an entry or a list of entries, and waits while the reader is slow. \
         `wait` waits for new entries of the container: it returns true once there are some, and false once the log has ended. \
         The hook is cancelled when the reader disconnects.")
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
