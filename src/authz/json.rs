//! JSON as the engine reads it: Go's folding of keys, and nothing that two decoders could read
//! differently.
//!
//! A [`Document`] keeps the text, and a tape with eight bytes for each value. Strings and numbers
//! are decoded when a policy reads them, so reading two fields costs one pass over the text and
//! little more.

mod keys;
mod scan;
mod tape;
mod text;

use std::borrow::Cow;

pub use self::keys::is_same_field;

use self::tape::{Tag, Tape};
use super::Refusal;

/// A JSON text with exactly one reading.
#[derive(Debug)]
pub struct Document {
    text: String,
    tape: Tape,
}

/// The position of a node in its document, for keeping it without a borrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(u32);

/// A value of a document.
#[derive(Debug, Clone, Copy)]
pub struct Node<'d> {
    document: &'d Document,
    at: usize,
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Document {
    /// The limit on the nesting of values. Real requests stay below ten.
    pub const MAX_DEPTH: usize = 128;
    /// The limit on the length of a text, in bytes. Engines pass on 4 MiB.
    pub const MAX_BYTES: usize = 16 << 20;

    /// Checks a text and indexes it in one pass.
    ///
    /// # Errors
    /// [`Refusal::Json`] for anything that is not JSON or that two decoders could read differently:
    /// keys of one object that mean the same, invalid UTF-8, half surrogates, trailing data, deep
    /// nesting (protocol 3.5).
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Document, Refusal> {
        let text = scan::checked(bytes.into())?;
        let tape = scan::tape(&text)?;
        Ok(Document { text, tape })
    }

    /// Returns the outermost value.
    pub fn root(&self) -> Node<'_> {
        Node {
            document: self,
            at: 0,
        }
    }

    /// Returns the value at the position of a node of this same document, or `None` beyond the end.
    pub fn node(&self, id: NodeId) -> Option<Node<'_>> {
        let at = id.0 as usize;
        (at < self.tape.len()).then_some(Node { document: self, at })
    }

    /// Returns where a value stands, as in `HostConfig.Mounts[0]`; empty for the outermost.
    pub fn path_of(&self, id: NodeId) -> String {
        let (mut path, mut node) = (String::new(), self.root());
        while let Some((step, inner)) = node.step_to(id.0 as usize) {
            let dot = if path.is_empty() || step.starts_with('[') {
                ""
            } else {
                "."
            };
            path.extend([dot, &step]);
            node = inner;
        }
        path
    }

    /// Returns the text as sent.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<'d> Node<'d> {
    /// Returns its position, for [`Document::node`].
    pub fn id(self) -> NodeId {
        NodeId(u32::try_from(self.at).unwrap_or(u32::MAX))
    }

    /// Returns its type.
    pub fn kind(self) -> Kind {
        match self.tag() {
            Tag::Null => Kind::Null,
            Tag::False | Tag::True => Kind::Bool,
            Tag::Number => Kind::Number,
            Tag::String => Kind::String,
            Tag::Array => Kind::Array,
            Tag::Object | Tag::Map => Kind::Object,
        }
    }

    /// Returns whether it is `null`, which Go treats as absent.
    pub fn is_null(self) -> bool {
        self.tag() == Tag::Null
    }

    /// Returns whether it is an object whose keys are data (labels, options, …). They do not fold.
    pub fn is_map(self) -> bool {
        self.tag() == Tag::Map
    }

    /// Returns the value that Go decodes into the field `key`: keys fold, except in maps. `None`
    /// unless it is an object.
    pub fn get(self, key: &str) -> Option<Node<'d>> {
        let [value] = self.get_all([key]);
        value
    }

    /// Returns the values of several fields, in one pass.
    pub fn get_all<const N: usize>(self, keys: [&str; N]) -> [Option<Node<'d>>; N] {
        let same = if self.is_map() {
            keys::is_same
        } else {
            keys::is_folded
        };
        let (tape, ascii) = (&self.document.tape, keys.map(str::is_ascii));
        let (mut found, mut missing) = ([None; N], N);
        let mut entries = self.entries();
        while let Some((name, value)) = entries.next_nodes() {
            for (index, key) in keys.iter().enumerate() {
                let other = ascii[index] && tape.is_plain_other(name.at, key.len());
                if !other && same(name.raw_string(), key) {
                    missing -= usize::from(found[index].replace(value).is_none());
                }
            }
            if missing == 0 {
                break;
            }
        }
        found
    }

    /// Returns the entries of an object in order, none of anything else.
    pub fn entries(self) -> Entries<'d> {
        Entries {
            inner: self.children(matches!(self.tag(), Tag::Object | Tag::Map)),
        }
    }

    /// Returns the items of an array in order, none of anything else.
    pub fn items(self) -> Items<'d> {
        self.children(self.tag() == Tag::Array)
    }

    /// Returns the text of a string.
    pub fn as_str(self) -> Option<Cow<'d, str>> {
        (self.tag() == Tag::String).then(|| text::unescape(self.raw_string()))
    }

    /// Returns the value of a number.
    pub fn as_f64(self) -> Option<f64> {
        self.number().and_then(|number| number.parse().ok())
    }

    /// Returns the value of a number that Go decodes into an `int64`: no fraction, no exponent, in
    /// range.
    pub fn as_i64(self) -> Option<i64> {
        self.number().and_then(|number| number.parse().ok())
    }

    /// Returns the value of a boolean.
    pub fn as_bool(self) -> Option<bool> {
        match self.tag() {
            Tag::True => Some(true),
            Tag::False => Some(false),
            _ => None,
        }
    }

    /// Returns the part of this value that holds the one at `at`, and how it is reached.
    fn step_to(self, at: usize) -> Option<(String, Node<'d>)> {
        let holds = |node: Node<'_>| (node.at..self.document.tape.next(node.at)).contains(&at);
        let mut items = self.items().enumerate();
        let item = items.find(|(_, item)| holds(*item));
        let item = item.map(|(number, item)| (format!("[{number}]"), item));
        item.or_else(|| {
            let mut entries = self.entries();
            let entry = entries.find(|(_, value)| holds(*value));
            entry.map(|(key, value)| (key.into_owned(), value))
        })
    }

    fn number(self) -> Option<&'d str> {
        (self.tag() == Tag::Number).then(|| self.slice())
    }

    fn tag(self) -> Tag {
        self.document.tape.tag(self.at)
    }

    fn slice(self) -> &'d str {
        &self.document.text[self.document.tape.range(self.at)]
    }

    fn raw_string(self) -> text::RawString<'d> {
        self.document.tape.string(self.at, &self.document.text)
    }

    fn children(self, any: bool) -> Items<'d> {
        let end = if any {
            self.document.tape.next(self.at)
        } else {
            self.at
        };
        Items {
            document: self.document,
            at: self.at + 1,
            end,
        }
    }
}

/// The items of an array.
#[derive(Debug, Clone)]
pub struct Items<'d> {
    document: &'d Document,
    at: usize,
    end: usize,
}

impl<'d> Iterator for Items<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Node<'d>> {
        if self.at >= self.end {
            return None;
        }
        let node = Node {
            document: self.document,
            at: self.at,
        };
        self.at = self.document.tape.next(self.at);
        Some(node)
    }
}

/// The entries of an object, with keys as written but unescaped.
#[derive(Debug, Clone)]
pub struct Entries<'d> {
    inner: Items<'d>,
}

impl<'d> Entries<'d> {
    fn next_nodes(&mut self) -> Option<(Node<'d>, Node<'d>)> {
        Some((self.inner.next()?, self.inner.next()?))
    }
}

impl<'d> Iterator for Entries<'d> {
    type Item = (Cow<'d, str>, Node<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_nodes()
            .map(|(key, value)| (text::unescape(key.raw_string()), value))
    }
}

#[cfg(test)]
mod tests;
