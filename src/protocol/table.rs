//! The table of all methods.

use super::{Interface, Method, authz, ipam, log, metrics, network, secret, volume};

/// The target of an engine's request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Call {
    /// The handshake (protocol 1.5).
    Activate,
    /// A method of an interface.
    Method(&'static Method),
}

/// The path of the handshake, without the leading slash.
pub const ACTIVATE: &str = "Plugin.Activate";

/// The limit on the body of the handshake, in bytes. Moondock ignores the body.
const ACTIVATE_BODY_LIMIT: usize = 64 << 10;

/// Returns all rows, interface by interface.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    Interface::ALL.into_iter().flat_map(methods_of)
}

/// Returns the rows of an interface.
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

/// Returns the row of a method by that name or by the name for authors, such as `volume.create`.
pub fn named(name: &str) -> Option<&'static Method> {
    methods().find(|method| method.wire == name || method.key() == name)
}

impl Call {
    /// Returns the target of a path such as `/VolumeDriver.Create`.
    pub fn of(path: &str) -> Option<Self> {
        match path.strip_prefix('/').unwrap_or(path) {
            ACTIVATE => Some(Self::Activate),
            wire => find(wire).map(Self::Method),
        }
    }

    /// Returns the limit on the request's body, in bytes.
    pub fn body_limit(self) -> usize {
        match self {
            Self::Activate => ACTIVATE_BODY_LIMIT,
            Self::Method(method) => method.body_limit,
        }
    }

    /// Returns the name in the request's path, such as `VolumeDriver.Create`.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Activate => ACTIVATE,
            Self::Method(method) => method.wire,
        }
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
    fn rows_have_the_interface_of_their_table() {
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
