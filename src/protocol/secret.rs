//! `SecretProvider` (protocol 10).

use super::shape::{TEXT_MAP, optional, required};
use super::{Interface::Secret, Method, Shape, Type};

const PORT: Shape = Shape {
    name: "EndpointPort",
    fields: &[
        optional("Name", Type::Text, "The port's name."),
        optional("Protocol", Type::Int, "0: TCP. 1: UDP. 2: SCTP."),
        optional("TargetPort", Type::Int, "The port in the container."),
        optional("PublishedPort", Type::Int, "The port outside."),
        optional("PublishMode", Type::Int, "0: ingress. 1: host."),
    ],
};
const ENDPOINT_SPEC: Shape = Shape {
    name: "EndpointSpec",
    fields: &[
        optional("Mode", Type::Int, "How the service is reached."),
        optional("Ports", Type::List(&Type::Record(&PORT)), "Its ports."),
    ],
};

const REQUEST: Shape = Shape {
    name: "SecretRequest",
    fields: &[
        required("SecretName", Type::Text, "The secret's name."),
        optional("SecretLabels", TEXT_MAP, "Its labels."),
        optional("ServiceHostname", Type::Text, "The host name of the task."),
        optional("ServiceID", Type::Text, "The service's ID."),
        optional("ServiceName", Type::Text, "The service's name."),
        optional("ServiceLabels", TEXT_MAP, "The service's labels."),
        optional("TaskID", Type::Text, "The task's ID."),
        optional("TaskName", Type::Text, "The task's name."),
        optional("TaskImage", Type::Text, "The image that it runs."),
        optional("NodeID", Type::Text, "The node that it runs on."),
        optional(
            "ServiceEndpointSpec",
            Type::Record(&ENDPOINT_SPEC),
            "How the service is reached.",
        ),
    ],
};

/// A swarm takes less than 500 KiB.
const LARGEST: usize = 500 * 1024 - 1;

const REPLY: Shape = Shape {
    name: "SecretReply",
    fields: &[
        required(
            "Value",
            Type::BytesUpTo(LARGEST),
            "The secret: less than 500 KiB, and not empty.",
        ),
        optional(
            "DoNotReuse",
            Type::Bool,
            "True when the value is for this task only.",
        ),
    ],
};

pub(super) static METHODS: &[Method] = &[Method::new(
    Secret,
    "SecretProvider.GetSecret",
    "get_secret",
    &REQUEST,
    &REPLY,
    "Gives a task its secret.",
)
.about("SecretName")];
