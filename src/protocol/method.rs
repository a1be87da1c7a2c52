//! The row of a method, and the table of all rows.

use super::{Shape, authz, ipam, log, metrics, network, secret, volume};
use std::time::Duration;

/// One of Docker's plugin types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// Authorization of Engine API requests.
    Authz,
    /// Volumes.
    Volume,
    /// Networks (libnetwork's remote driver).
    Network,
    /// Address pools.
    Ipam,
    /// Container logs.
    Log,
    /// Metrics collectors.
    Metrics,
    /// Secrets of a swarm.
    Secret,
}

/// Everything known about one method.
#[derive(Debug, PartialEq)]
pub struct Method {
    /// The name in the request's path, such as `VolumeDriver.Create`; the key of a row that is
    /// [`Answer::Uncalled`].
    pub wire: &'static str,
    /// The interface that it belongs to.
    pub interface: Interface,
    /// How a call is answered.
    pub answer: Answer,
    /// The Lua function that answers it.
    pub hook: &'static str,
    /// The hook's arguments, each with its Luau type.
    pub arguments: &'static [(&'static str, &'static str)],
    /// What the engine sends.
    pub request: &'static Shape,
    /// What the engine reads.
    pub reply: &'static Shape,
    /// The field of the request that names what the call is about, for the log.
    pub object: Option<&'static str>,
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// How long the hook may take; below the engine's own limit (protocol 1.6).
    pub deadline: Duration,
    /// What a script without this hook means.
    pub missing: Missing,
    /// What an empty reply means to the engine's user, where it is an answer of its own.
    pub absent: Option<&'static str>,
    /// True where an error reply is taken for the object's absence, so that only a closed connection says
    /// "cannot tell" (protocol 5.5).
    pub hang_up_on_failure: bool,
    /// What the reply owes to the request.
    pub tie: Option<Tie>,
    /// The field of the reply with a path that containers must reach; those of a managed plugin
    /// reach only its propagated mount (protocol 2.4).
    pub reachable: Option<&'static str>,
    /// The rank of a question that an engine asks a managed plugin at its start (protocol 2.1).
    /// Of those that a plugin has, the one of the lowest rank comes first.
    pub greeting: Option<u8>,
    /// One sentence for the reference.
    pub doc: &'static str,
}

/// How a call of a method is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The hook's reply, in the shape of the row.
    Hook,
    /// The policy's decision.
    Policy,
    /// What the log script can do. Moondock answers, and a script has no such hook.
    LogCapabilities,
    /// A log stream is started.
    StartLog,
    /// A log stream is stopped.
    StopLog,
    /// What the hook emits, as a stream.
    ReadLog,
    /// The metrics collector is started after the hook.
    StartMetrics,
    /// The metrics collector is stopped before the hook.
    StopMetrics,
    /// Never: no request names the method. Moondock calls its hook on its own.
    Uncalled,
}

/// What it means that a script has no hook for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The script is refused.
    Refused,
    /// The script is refused unless it has this other hook; and also when it has both.
    Instead(&'static str),
    /// The engine is told so with 404, which it takes for "not implemented".
    NotFound,
    /// The engine gets this reply (JSON).
    Answered(&'static str),
}

/// What a reply owes to its request, beyond its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// This record of the reply has only what the same record of the request left unset: the engine refuses the rest,
    /// even with the same value (protocol 6.4).
    Unset(&'static str),
    /// This record of the reply has this field of the request, as it stands there (protocol 5.1).
    Echo(&'static str, &'static str),
}

/// Bodies of all methods but those of authorization are small.
const BODY_LIMIT: usize = 1 << 20;

impl Method {
    /// A row with the usual limits, to be refined by the methods below.
    pub(super) const fn new(
        interface: Interface,
        wire: &'static str,
        hook: &'static str,
        request: &'static Shape,
        reply: &'static Shape,
        doc: &'static str,
    ) -> Self {
        Self {
            wire,
            interface,
            answer: Answer::Hook,
            hook,
            arguments: &[("req", "")],
            request,
            reply,
            object: None,
            body_limit: BODY_LIMIT,
            deadline: Duration::from_secs(55),
            missing: Missing::Refused,
            absent: None,
            hang_up_on_failure: false,
            tie: None,
            reachable: None,
            greeting: None,
            doc,
        }
    }

    /// Whether a script can have a hook for the method.
    pub fn has_hook(&self) -> bool {
        self.answer != Answer::LogCapabilities
    }

    /// Whether the engine calls the method. Moondock calls the hooks of all others on its own.
    pub fn is_called_by_engine(&self) -> bool {
        self.answer != Answer::Uncalled
    }

    /// The name by which authors know it, such as `volume.create`.
    pub fn key(&self) -> String {
        format!("{}.{}", self.interface.name(), self.hook)
    }

    /// The hook's arguments as a function's head has them, such as `entries, info`.
    pub fn parameters(&self) -> String {
        self.arguments
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(super) const fn arguments(
        mut self,
        arguments: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.arguments = arguments;
        self
    }

    pub(super) const fn about(mut self, field: &'static str) -> Self {
        self.object = Some(field);
        self
    }

    pub(super) const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    pub(super) const fn deadline(mut self, seconds: u64) -> Self {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    pub(super) const fn without_deadline(mut self) -> Self {
        self.deadline = Duration::MAX;
        self
    }

    pub(super) const fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    pub(super) const fn absent(mut self, message: &'static str) -> Self {
        self.absent = Some(message);
        self
    }

    pub(super) const fn tie(mut self, tie: Tie) -> Self {
        self.tie = Some(tie);
        self
    }

    pub(super) const fn answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    pub(super) const fn reachable(mut self, field: &'static str) -> Self {
        self.reachable = Some(field);
        self
    }

    pub(super) const fn greeting(mut self, rank: u8) -> Self {
        self.greeting = Some(rank);
        self
    }

    pub(super) const fn hang_up_on_failure(mut self) -> Self {
        self.hang_up_on_failure = true;
        self
    }
}

/// All rows, interface by interface.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    Interface::ALL.into_iter().flat_map(methods_of)
}

/// The rows of one interface.
pub fn methods_of(interface: Interface) -> &'static [Method] {
    match interface {
        Interface::Authz => authz::METHODS,
        Interface::Volume => volume::METHODS,
        Interface::Network => network::METHODS,
        Interface::Ipam => ipam::METHODS,
        Interface::Log => log::METHODS,
        Interface::Metrics => metrics::METHODS,
        Interface::Secret => secret::METHODS,
    }
}

/// Returns the row of a method that a request can name, such as `VolumeDriver.Create`.
pub fn find(wire: &str) -> Option<&'static Method> {
    let (prefix, _) = wire.split_once('.')?;
    let interface = Interface::ALL
        .into_iter()
        .find(|interface| interface.prefix() == prefix)?;
    methods_of(interface)
        .iter()
        .find(|method| method.wire == wire)
}

/// Returns the row of a hook among `rows`; a missing one is an error of the compiler.
pub(super) const fn row_of(rows: &'static [Method], hook: &str) -> &'static Method {
    let mut at = 0;
    while at < rows.len() {
        if is_same(rows[at].hook, hook) {
            return &rows[at];
        }
        at += 1;
    }
    panic!("no row has this hook")
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// What the path of an engine's request names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Call {
    /// The handshake (protocol 1.5).
    Activate,
    /// A method of an interface.
    Method(&'static Method),
}

/// The handshake's path, without its slash.
pub const ACTIVATE: &str = "Plugin.Activate";

/// The handshake has no body that matters.
const ACTIVATE_BODY_LIMIT: usize = 64 << 10;

impl Call {
    /// Returns what a path such as `/VolumeDriver.Create` names.
    pub fn of(path: &str) -> Option<Self> {
        match path.strip_prefix('/').unwrap_or(path) {
            ACTIVATE => Some(Self::Activate),
            wire => find(wire).map(Self::Method),
        }
    }

    /// The limit on the request's body, in bytes.
    pub fn body_limit(self) -> usize {
        match self {
            Self::Activate => ACTIVATE_BODY_LIMIT,
            Self::Method(method) => method.body_limit,
        }
    }

    /// The name in the request's path, such as `VolumeDriver.Create`.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Activate => ACTIVATE,
            Self::Method(method) => method.wire,
        }
    }
}

impl Interface {
    /// All interfaces.
    pub const ALL: [Interface; 7] = [
        Interface::Authz,
        Interface::Volume,
        Interface::Network,
        Interface::Ipam,
        Interface::Log,
        Interface::Metrics,
        Interface::Secret,
    ];

    /// The script's file name without its ending.
    pub fn name(self) -> &'static str {
        match self {
            Interface::Authz => "authz",
            Interface::Volume => "volume",
            Interface::Network => "network",
            Interface::Ipam => "ipam",
            Interface::Log => "log",
            Interface::Metrics => "metrics",
            Interface::Secret => "secret",
        }
    }

    /// The script's file name.
    pub fn file(self) -> String {
        format!("{}.lua", self.name())
    }

    /// The part of its methods' wire names before the dot.
    pub fn prefix(self) -> &'static str {
        match self {
            Interface::Authz => "AuthZPlugin",
            Interface::Volume => "VolumeDriver",
            Interface::Network => "NetworkDriver",
            Interface::Ipam => "IpamDriver",
            Interface::Log => "LogDriver",
            Interface::Metrics => "MetricsCollector",
            Interface::Secret => "SecretProvider",
        }
    }

    /// The exact name in `Plugin.Activate`'s reply (protocol 1.5).
    pub fn implements(self) -> &'static str {
        match self {
            Interface::Authz => "authz",
            Interface::Secret => "secretprovider",
            other => other.prefix(),
        }
    }

    /// False for what an engine must not be told by a plugin that it did not start itself: it would wait for itself
    /// for ever (protocol 1.5).
    pub fn is_announced(self) -> bool {
        !matches!(self, Interface::Metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_method_has_one_row() {
        let count = |interface| methods_of(interface).len();
        assert_eq!(Interface::ALL.map(count), [2, 8, 15, 6, 6, 3, 1]);
        assert_eq!(methods().map(|m| m.wire).collect::<BTreeSet<_>>().len(), 41);
    }

    #[test]
    fn rows_are_sorted_by_interface() {
        for interface in Interface::ALL {
            for method in methods_of(interface) {
                assert_eq!(method.interface, interface, "{}", method.wire);
                let found = method.is_called_by_engine().then_some(method);
                assert_eq!(find(method.wire), found);
                assert!(
                    method
                        .object
                        .is_none_or(|object| method.request.field(object).is_some())
                );
            }
        }
    }

    #[test]
    fn unknown_names_have_no_row() {
        for wire in [
            "",
            "VolumeDriver",
            "VolumeDriver.",
            "VolumeDriver.Nope",
            "Nope.Create",
            "volumedriver.Create",
        ] {
            assert_eq!(find(wire), None, "{wire}");
        }
    }
}
