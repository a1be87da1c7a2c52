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
    /// The name in the request's path, such as `VolumeDriver.Create`; of a row [`Origin::Host`] its key.
    pub wire: &'static str,
    /// The interface that it belongs to.
    pub interface: Interface,
    /// Who calls, and who answers.
    pub origin: Origin,
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
    /// How long the hook may take; below the engine's own limit (`protocol.md` 1.6).
    pub deadline: Duration,
    /// What a script without this hook means.
    pub missing: Missing,
    /// What an empty reply means to the engine's user, where it is an answer of its own.
    pub absent: Option<&'static str>,
    /// True where an error reply is taken for the object's absence, so that only a closed connection says
    /// "cannot tell" (`protocol.md` 5.5).
    pub hang_up_on_failure: bool,
    /// What the reply owes to the request.
    pub tie: Option<Tie>,
    /// One sentence for the reference.
    pub doc: &'static str,
}

/// Who calls a method, and who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The engine calls, and the hook answers.
    Engine,
    /// Moondock calls the hook by itself: no request names it.
    Host,
    /// The engine calls, and Moondock answers: a script has no such hook.
    Answered,
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
    /// even with the same value (`protocol.md` 6.4).
    Unset(&'static str),
    /// This record of the reply has this field of the request, as it stands there (`protocol.md` 5.1).
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
            origin: Origin::Engine,
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
            doc,
        }
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

    pub(super) const fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
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

/// The row of a name that a request can have, such as `VolumeDriver.Create`.
pub fn find(wire: &str) -> Option<&'static Method> {
    let (prefix, _) = wire.split_once('.')?;
    let interface = Interface::ALL
        .into_iter()
        .find(|interface| interface.prefix() == prefix)?;
    methods_of(interface)
        .iter()
        .find(|method| method.wire == wire)
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

    /// The exact name in `Plugin.Activate`'s reply (`protocol.md` 1.5).
    pub fn implements(self) -> &'static str {
        match self {
            Interface::Authz => "authz",
            Interface::Secret => "secretprovider",
            other => other.prefix(),
        }
    }

    /// False for what an engine must not be told by a plugin that it did not start itself: it would wait for itself
    /// for ever (`protocol.md` 1.5).
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
    fn rows_stand_with_their_interface() {
        for interface in Interface::ALL {
            for method in methods_of(interface) {
                assert_eq!(method.interface, interface, "{}", method.wire);
                let asked_for = (method.origin != Origin::Host).then_some(method);
                assert_eq!(find(method.wire), asked_for);
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
