//! `SecretProvider` (protocol 10).

use super::shape::{TEXT_MAP, optional, required};
use super::{Interface::Secret, Method, Shape, Type};

const PORT: Shape = Shape::new("EndpointPort", &[
    optional("Name",          Type::Text, "The port's name."),
    optional("Protocol",      Type::Int,  "0 for TCP, 1 for UDP, 2 for SCTP."),
    optional("TargetPort",    Type::Int,  "The port in the container."),
    optional("PublishedPort", Type::Int,  "The port outside the swarm."),
    optional("PublishMode",   Type::Int,  "0 for ingress, 1 for host."),
]);
const ENDPOINT_SPEC: Shape = Shape::new("EndpointSpec", &[
    optional("Mode",  Type::Int,                        "How clients reach the service."),
    optional("Ports", Type::List(&Type::Record(&PORT)), "The service's ports."),
]);

const REQUEST: Shape = Shape::new("SecretRequest", &[
    required("SecretName",          Type::Text,                   "The secret's name."),
    optional("SecretLabels",        TEXT_MAP,                     "The secret's labels."),
    optional("ServiceHostname",     Type::Text,                   "The task's host name."),
    optional("ServiceID",           Type::Text,                   "The service's ID."),
    optional("ServiceName",         Type::Text,                   "The service's name."),
    optional("ServiceLabels",       TEXT_MAP,                     "The service's labels."),
    optional("TaskID",              Type::Text,                   "The task's ID."),
    optional("TaskName",            Type::Text,                   "The task's name."),
    optional("TaskImage",           Type::Text,                   "The task's image."),
    optional("NodeID",              Type::Text,                   "The ID of the task's node."),
    optional("ServiceEndpointSpec", Type::Record(&ENDPOINT_SPEC), "The service's endpoint."),
]);

/// The largest secret in bytes: a swarm stores less than 500 KiB.
const VALUE_LIMIT: usize = 500 * 1024 - 1;

const REPLY: Shape = Shape::new("SecretReply", &[
    required("Value",      Type::BytesUpTo(VALUE_LIMIT), "The secret, of 1 byte to less than 500 KiB."),
    optional("DoNotReuse", Type::Bool,                   "True if the value is for this task only."),
]);

pub(super) static METHODS: &[Method] = &[
    Method::new(Secret, "SecretProvider.GetSecret", "get_secret", &REQUEST, &REPLY,
        "Returns a secret to a task.")
        .about("SecretName"),
];
