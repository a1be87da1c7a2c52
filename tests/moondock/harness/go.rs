//! Replies as the engines read them: Go's decoder on the engines' structs, and the checks that follow it. Written
//! from protocol 0, 3.2, 5 to 7 and 10 without a look at the method table.

use base64::Engine;
use moondock::plugin::Reply;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// How much is asked of a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// That Go can decode it.
    Types,
    /// That the engine can also make use of it.
    Meaning,
}

/// What stands in a field.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Int,
    Text,
    /// A text that may not be empty.
    Name,
    /// `local` or `global`, in lower case.
    Scope,
    /// The same, or empty.
    Reach,
    /// An absolute path.
    Path,
    /// RFC 3339; anything else makes the whole reply undecodable.
    Time,
    /// A bare address, or empty.
    Ip,
    /// An address with its prefix length, or empty.
    Cidr,
    /// Six bytes in hexadecimal, or empty.
    Mac,
    /// The name of a link: at most 15 bytes.
    Link,
    Base64,
    TextMap,
    Object,
    List,
}
use Kind::*;

/// A field: where (`*` is each item of a list), what, and whether it must be there.
type Field = (&'static str, Kind, bool);

const NONE: &[Field] = &[];
const DECISION: &[Field] = &[("Allow", Bool, true), ("Msg", Text, false)];
const MOUNTPOINT: &[Field] = &[("Mountpoint", Path, true)];

/// What the engine reads of each reply.
const REPLIES: &[(&str, &[Field])] = &[
    (
        "/Plugin.Activate",
        &[("Implements", List, true), ("Implements.*", Name, true)],
    ),
    ("/AuthZPlugin.AuthZReq", DECISION),
    ("/AuthZPlugin.AuthZRes", DECISION),
    ("/VolumeDriver.Create", NONE),
    ("/VolumeDriver.Remove", NONE),
    ("/VolumeDriver.Mount", MOUNTPOINT),
    ("/VolumeDriver.Unmount", NONE),
    ("/VolumeDriver.Path", MOUNTPOINT),
    (
        "/VolumeDriver.Get",
        &[
            ("Volume", Object, true),
            ("Volume.Name", Name, true),
            ("Volume.Mountpoint", Text, false),
            ("Volume.CreatedAt", Time, false),
            ("Volume.Status", Object, false),
        ],
    ),
    (
        "/VolumeDriver.List",
        &[
            ("Volumes", List, true),
            ("Volumes.*", Object, true),
            ("Volumes.*.Name", Name, true),
            ("Volumes.*.Mountpoint", Text, false),
            ("Volumes.*.CreatedAt", Time, false),
            ("Volumes.*.Status", Object, false),
        ],
    ),
    (
        "/VolumeDriver.Capabilities",
        &[
            ("Capabilities", Object, true),
            ("Capabilities.Scope", Scope, true),
        ],
    ),
    (
        "/NetworkDriver.GetCapabilities",
        &[
            ("Scope", Scope, true),
            ("ConnectivityScope", Reach, false),
            ("GwAllocChecker", Bool, false),
        ],
    ),
    (
        "/NetworkDriver.GwAllocCheck",
        &[("SkipIPv4", Bool, false), ("SkipIPv6", Bool, false)],
    ),
    (
        "/NetworkDriver.AllocateNetwork",
        &[("Options", TextMap, false)],
    ),
    ("/NetworkDriver.FreeNetwork", NONE),
    ("/NetworkDriver.CreateNetwork", NONE),
    ("/NetworkDriver.DeleteNetwork", NONE),
    (
        "/NetworkDriver.CreateEndpoint",
        &[
            ("Interface", Object, false),
            ("Interface.Address", Cidr, false),
            ("Interface.AddressIPv6", Cidr, false),
            ("Interface.MacAddress", Mac, false),
        ],
    ),
    ("/NetworkDriver.DeleteEndpoint", NONE),
    (
        "/NetworkDriver.EndpointOperInfo",
        &[("Value", Object, false)],
    ),
    (
        "/NetworkDriver.Join",
        &[
            ("InterfaceName", Object, false),
            ("InterfaceName.SrcName", Link, true),
            ("InterfaceName.DstPrefix", Link, true),
            ("Gateway", Ip, false),
            ("GatewayIPv6", Ip, false),
            ("StaticRoutes", List, false),
            ("StaticRoutes.*", Object, true),
            ("StaticRoutes.*.Destination", Cidr, true),
            ("StaticRoutes.*.RouteType", Int, true),
            ("StaticRoutes.*.NextHop", Ip, false),
            ("DisableGatewayService", Bool, false),
        ],
    ),
    ("/NetworkDriver.Leave", NONE),
    ("/NetworkDriver.ProgramExternalConnectivity", NONE),
    ("/NetworkDriver.RevokeExternalConnectivity", NONE),
    ("/NetworkDriver.DiscoverNew", NONE),
    ("/NetworkDriver.DiscoverDelete", NONE),
    (
        "/IpamDriver.GetCapabilities",
        &[
            ("RequiresMACAddress", Bool, false),
            ("RequiresRequestReplay", Bool, false),
        ],
    ),
    (
        "/IpamDriver.GetDefaultAddressSpaces",
        &[
            ("LocalDefaultAddressSpace", Name, true),
            ("GlobalDefaultAddressSpace", Name, true),
        ],
    ),
    (
        "/IpamDriver.RequestPool",
        &[
            ("PoolID", Name, true),
            ("Pool", Cidr, true),
            ("Data", TextMap, false),
        ],
    ),
    ("/IpamDriver.ReleasePool", NONE),
    (
        "/IpamDriver.RequestAddress",
        &[("Address", Cidr, true), ("Data", TextMap, false)],
    ),
    ("/IpamDriver.ReleaseAddress", NONE),
    ("/MetricsCollector.StartMetrics", NONE),
    ("/MetricsCollector.StopMetrics", NONE),
    (
        "/SecretProvider.GetSecret",
        &[("Value", Base64, true), ("DoNotReuse", Bool, false)],
    ),
];

/// Whether the engine takes `reply` for a success of the call.
pub fn accept(
    path: &str,
    request: &str,
    reply: &Reply,
    strictness: Strictness,
) -> Result<(), String> {
    let Reply::Answer { status, body } = reply else {
        return Err("no answer".to_owned());
    };
    if *status != 200 {
        return Err(format!("status {status}"));
    }
    let object = one_object(body)?;
    let fields = REPLIES
        .iter()
        .find(|(name, _)| *name == path)
        .ok_or("no such method")?
        .1;
    let known = |key: &String| fields.iter().any(|(field, ..)| field == key);
    if let Some(key) = object.keys().find(|key| !known(key)) {
        return Err(format!("the engine does not read `{key}`"));
    }
    let reply = Value::Object(object);
    for (field, kind, must) in fields {
        let segments: Vec<_> = field.split('.').collect();
        check(&reply, &segments, *kind, *must, strictness)
            .map_err(|problem| format!("{field} {problem}"))?;
    }
    match (strictness, path) {
        (Strictness::Meaning, "/NetworkDriver.CreateEndpoint") => {
            changes_nothing_set(request, &reply)
        }
        (Strictness::Meaning, "/VolumeDriver.Get") => {
            same_text(&parsed(request)["Name"], &reply["Volume"]["Name"])
        }
        _ => Ok(()),
    }
}

/// The status and the message of a failure, which says the same in both error fields.
pub fn refusal(reply: &Reply) -> Result<(u16, String), String> {
    let Reply::Answer { status, body } = reply else {
        return Err("no answer".to_owned());
    };
    let object = one_object(body)?;
    match (object.get("Err"), object.get("Error")) {
        _ if !(400..600).contains(status) => Err(format!("status {status}")),
        (Some(Value::String(err)), Some(Value::String(error)))
            if err == error && !err.is_empty() && !err.contains('\n') =>
        {
            Ok((*status, err.clone()))
        }
        _ => Err(format!(
            "{object:?} has not the same line in `Err` and `Error`"
        )),
    }
}

fn one_object(body: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(body).map_err(|e| format!("not one JSON object: {e}"))
}

fn parsed(request: &str) -> Value {
    serde_json::from_str(request).unwrap_or_default()
}

fn check(
    value: &Value,
    at: &[&str],
    kind: Kind,
    must: bool,
    strictness: Strictness,
) -> Result<(), String> {
    let Some((first, rest)) = at.split_first() else {
        return kind.check(value, strictness);
    };
    if *first == "*" {
        let mut items = value.as_array().into_iter().flatten();
        return items.try_for_each(|item| check(item, rest, kind, must, strictness));
    }
    match value.get(first) {
        None | Some(Value::Null) if must && rest.is_empty() => Err("is missing".to_owned()),
        None | Some(Value::Null) => Ok(()),
        Some(value) => check(value, rest, kind, must, strictness),
    }
}

impl Kind {
    fn check(self, value: &Value, strictness: Strictness) -> Result<(), String> {
        let is_right =
            self.decodes(value) && (strictness == Strictness::Types || self.makes_sense(value));
        if is_right {
            Ok(())
        } else {
            Err(format!("cannot be {value}"))
        }
    }

    fn decodes(self, value: &Value) -> bool {
        match self {
            Bool => value.is_boolean(),
            Int => value.is_i64(),
            Time => value.as_str().is_some_and(is_time),
            Base64 => value.as_str().is_some_and(is_base64),
            TextMap => value
                .as_object()
                .is_some_and(|map| map.values().all(Value::is_string)),
            Object => value.is_object(),
            List => value.is_array(),
            Name | Path => value.as_str().is_some_and(|text| !text.is_empty()),
            Text | Scope | Reach | Ip | Cidr | Mac | Link => value.is_string(),
        }
    }

    fn makes_sense(self, value: &Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        match self {
            Scope => ["local", "global"].contains(&text),
            Reach => ["", "local", "global"].contains(&text),
            Path => text.starts_with('/'),
            Ip => text.is_empty() || text.parse::<IpAddr>().is_ok(),
            Cidr => text.is_empty() || is_cidr(text),
            Mac => text.is_empty() || is_mac(text),
            Link => (1..=15).contains(&text.len()),
            _ => true,
        }
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<_> = text.split(':').collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok())
}

fn is_base64(text: &str) -> bool {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .is_ok()
}

/// As Go's `time.Parse` of RFC 3339 has it, days of the month included; older ones take at most nine digits of a
/// fraction.
fn is_time(text: &str) -> bool {
    let Some((stem, offset)) = text
        .strip_suffix('Z')
        .map(|stem| (stem, "+00:00"))
        .or_else(|| {
            text.is_char_boundary(text.len().checked_sub(6)?)
                .then(|| text.split_at(text.len() - 6))
        })
    else {
        return false;
    };
    let (stem, fraction) = stem.split_once('.').unwrap_or((stem, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let shape: String = stem
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let zone: String = offset
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    if shape != "0000-00-00T00:00:00" || !["+00:00", "-00:00"].contains(&zone.as_str()) {
        return false;
    }
    let number = |text: &str| text.parse::<u32>().unwrap();
    let (year, month, day) = (
        number(&stem[..4]),
        number(&stem[5..7]),
        number(&stem[8..10]),
    );
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
        && number(&stem[11..13]) < 24
        && number(&stem[14..16]) < 60
        && number(&stem[17..]) < 60
        && digits(fraction)
        && fraction.len() <= 9
        && number(&offset[1..3]) <= 24
        && number(&offset[4..]) <= 60
}

/// Setting again what the request has already, even to the same, fails the connect.
fn changes_nothing_set(request: &str, reply: &Value) -> Result<(), String> {
    let set = |value: &Value, field: &str| {
        value["Interface"][field]
            .as_str()
            .is_some_and(|s| !s.is_empty())
    };
    let request = parsed(request);
    match ["Address", "AddressIPv6", "MacAddress"]
        .iter()
        .find(|f| set(&request, f) && set(reply, f))
    {
        Some(field) => Err(format!("`{field}` is set already")),
        None => Ok(()),
    }
}

fn same_text(asked: &Value, told: &Value) -> Result<(), String> {
    if asked == told {
        Ok(())
    } else {
        Err(format!("{asked} was asked for, not {told}"))
    }
}
