//! Elements of nftables' sets and maps, which contain all that differs from network to network.
//!
//! They are read and changed by netlink: `nft` reads what the tables contain before each change,
//! so that it becomes slower with each network. It makes only the rules, which are always the same.

use super::nft::Family;
use crate::sys::network::netfilter::{
    Request, Socket, attribute, attributes, encoded, encoded_text, nested, text,
};
use std::io;
use std::net::IpAddr;

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The set or map.
    pub set: &'static str,
    /// The key.
    pub key: Vec<u8>,
    /// The address or port that a map has under the key.
    pub value: Option<Vec<u8>>,
    /// The comment.
    pub comment: Option<String>,
    /// Whether the key is the first one after an interval.
    pub end: bool,
}

/// A change of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Adds an element; one that exists stays.
    Add,
    /// Deletes an element that exists.
    Delete,
}

/// The number of nftables among netfilter's subsystems.
const NFTABLES: u8 = 10;
/// The kinds of messages.
const GET_TABLE: u16 = kind(1);
const GET_CHAIN: u16 = kind(4);
const GET_RULE: u16 = kind(7);
const ADD_ELEMENTS: u16 = kind(12);
const GET_ELEMENTS: u16 = kind(13);
const DELETE_ELEMENTS: u16 = kind(14);
/// Attributes of tables, chains, rules, elements, values, and the comment's number.
const TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const RULE_USERDATA: u16 = 7;
const SET: u16 = 2;
const ELEMENTS: u16 = 3;
const ELEMENT: u16 = 1;
const KEY: u16 = 1;
const VALUE: u16 = 2;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_USERDATA: u16 = 6;
const DATA: u16 = 1;
const INTERVAL_END: u32 = 1;
const COMMENT: u8 = 0;
/// How many elements a message has: the length of a list is limited to 64 KiB.
const ELEMENTS_PER_MESSAGE: usize = 128;

const fn kind(message: u16) -> u16 {
    (NFTABLES as u16) << 8 | message
}

impl Element {
    /// Creates an element of a set.
    pub fn new(set: &'static str, key: Vec<u8>) -> Self {
        Self {
            set,
            key,
            value: None,
            comment: None,
            end: false,
        }
    }

    /// Sets what a map has under the key.
    pub fn value(self, value: Vec<u8>) -> Self {
        let value = Some(value);
        Self { value, ..self }
    }

    /// Sets the comment.
    pub fn comment(self, comment: String) -> Self {
        let comment = Some(comment);
        Self { comment, ..self }
    }

    fn read(set: &'static str, attributes: &[u8]) -> Option<Self> {
        let data = |kind| attribute(attribute(attributes, kind)?, DATA);
        let flags = attribute(attributes, ELEMENT_FLAGS).and_then(|flags| flags.first_chunk());
        Some(Self {
            set,
            key: data(KEY)?.to_vec(),
            value: data(VALUE).map(<[u8]>::to_vec),
            comment: attribute(attributes, ELEMENT_USERDATA).and_then(comment),
            end: flags.is_some_and(|flags| u32::from_be_bytes(*flags) & INTERVAL_END != 0),
        })
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = nested(KEY, &encoded(DATA, &self.key));
        if let Some(value) = &self.value {
            bytes.extend(nested(VALUE, &encoded(DATA, value)));
        }
        if self.end {
            bytes.extend(encoded(ELEMENT_FLAGS, &INTERVAL_END.to_be_bytes()));
        }
        if let Some(comment) = &self.comment {
            let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
            let userdata = [&[COMMENT, length], comment.as_bytes(), &[0]].concat();
            bytes.extend(encoded(ELEMENT_USERDATA, &userdata));
        }
        nested(ELEMENT, &bytes)
    }
}

/// Returns the names of the tables with their families.
pub fn tables(socket: &Socket) -> io::Result<Vec<(Family, String)>> {
    socket.dump(request(GET_TABLE, None), &[], |family, attributes| {
        Some((
            Family::from_number(family)?,
            text(attributes, TABLE)?.to_owned(),
        ))
    })
}

/// Returns the names of the chains of all tables of that name, with their families.
pub fn chains(socket: &Socket, table: &str) -> io::Result<Vec<(Family, String)>> {
    socket.dump(request(GET_CHAIN, None), &[], |family, attributes| {
        let family = Family::from_number(family)?;
        let name = text(attributes, CHAIN_NAME)?;
        (text(attributes, TABLE)? == table).then(|| (family, name.to_owned()))
    })
}

/// Returns the comment of each rule of a table.
pub fn rules(socket: &Socket, family: Family, table: &str) -> io::Result<Vec<Option<String>>> {
    let of = encoded_text(TABLE, table);
    socket.dump(request(GET_RULE, Some(family)), &of, |_, attributes| {
        // Old kernels list the rules of all tables.
        let comment = || attribute(attributes, RULE_USERDATA).and_then(comment);
        (text(attributes, TABLE)? == table).then(comment)
    })
}

/// Returns the elements of a set or map. Without the table, there are none.
pub fn list(
    socket: &Socket,
    family: Family,
    table: &str,
    set: &'static str,
) -> io::Result<Vec<Element>> {
    let of = [encoded_text(TABLE, table), encoded_text(SET, set)].concat();
    let lists = socket.dump(request(GET_ELEMENTS, Some(family)), &of, |_, message| {
        let list = attributes(attribute(message, ELEMENTS)?);
        Some(
            list.filter_map(|(_, element)| Element::read(set, element))
                .collect::<Vec<_>>(),
        )
    })?;
    Ok(lists.concat())
}

/// Makes changes of tables of that name in one transaction, in their order.
pub fn change(socket: &Socket, table: &str, changes: &[(Verb, Family, Element)]) -> io::Result<()> {
    let alike = |(verb, family, element): &(Verb, Family, Element)| (*verb, *family, element.set);
    let requests: Vec<_> = changes
        .chunk_by(|one, other| alike(one) == alike(other))
        .flat_map(|changes| changes.chunks(ELEMENTS_PER_MESSAGE))
        .map(|changes| {
            let (verb, family, set) = alike(&changes[0]);
            let elements = changes.iter().flat_map(|(_, _, element)| element.encoded());
            let attributes = [
                encoded_text(TABLE, table),
                encoded_text(SET, set),
                nested(ELEMENTS, &elements.collect::<Vec<_>>()),
            ];
            let kind = match verb {
                Verb::Add => ADD_ELEMENTS,
                Verb::Delete => DELETE_ELEMENTS,
            };
            (request(kind, Some(family)), attributes.concat())
        })
        .collect();
    socket.transact(NFTABLES, &requests)
}

fn request(kind: u16, family: Option<Family>) -> Request {
    let family = family.map_or(0, Family::number);
    Request { kind, family }
}

/// Returns the comment in what `nft` keeps with an object.
fn comment(mut userdata: &[u8]) -> Option<String> {
    loop {
        let (kind, length) = (*userdata.first()?, usize::from(*userdata.get(1)?));
        let value = userdata.get(2..2 + length)?;
        if kind == COMMENT {
            let text = value.strip_suffix(b"\0").unwrap_or(value);
            return String::from_utf8(text.to_vec()).ok();
        }
        userdata = &userdata[2 + length..];
    }
}

/// Returns the key of a device: its name, as long as names can be.
pub fn device_key(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(16, 0);
    key
}

/// Returns a part of a key that has several, each of which fills four bytes.
pub fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Returns the bytes of an address.
pub fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Returns the address that bytes are.
pub fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || bytes.try_into().ok().map(|ip: [u8; 4]| IpAddr::from(ip));
    let v6 = || bytes.try_into().ok().map(|ip: [u8; 16]| IpAddr::from(ip));
    v4().or_else(v6)
}
