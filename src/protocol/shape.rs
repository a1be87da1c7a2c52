//! The shape of a message as data: read by the codec, the checks, the type stubs and the reference pages.

/// The type of one value on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// Any number.
    Number,
    /// Text.
    Text,
    /// An address with the length of its prefix.
    Cidr,
    /// An address alone.
    Address,
    /// A MAC address.
    Mac,
    /// How far something reaches. The engine knows two words.
    Scope,
    /// The name of a link, or what is to become one with a number behind it.
    Link,
    /// An absolute path.
    Path,
    /// An RFC 3339 time. An empty or malformed one makes the engine drop the whole reply (`CreatedAt`).
    Time,
    /// Bytes, Base64 on the wire and a plain string in Lua.
    Bytes,
    /// The same: at least one byte, and at most so many.
    BytesUpTo(usize),
    /// Any JSON value.
    Any,
    /// A list of values of one type.
    List(&'static Type),
    /// A map from text to values of one type.
    Map(&'static Type),
    /// An object with known fields.
    Record(&'static Shape),
}

/// An object with known fields.
#[derive(Debug, PartialEq)]
pub struct Shape {
    /// The name of its type stub.
    pub name: &'static str,
    /// Its fields, in the order of Docker's documentation.
    pub fields: &'static [Field],
}

/// One field of a [`Shape`].
#[derive(Debug, PartialEq)]
pub struct Field {
    /// Docker's own name of it.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Whether a message without it is refused.
    pub required: bool,
    /// What it says, for the reference.
    pub doc: &'static str,
}

/// A list of texts.
pub const TEXTS: Type = Type::List(&Type::Text);
/// A map from text to text.
pub const TEXT_MAP: Type = Type::Map(&Type::Text);
/// A map from text to anything.
pub const ANY_MAP: Type = Type::Map(&Type::Any);
/// A message without fields.
pub const EMPTY: Shape = Shape {
    name: "Empty",
    fields: &[],
};

/// A field that a message must have, and not empty where it is text.
pub const fn required(name: &'static str, ty: Type, doc: &'static str) -> Field {
    Field {
        name,
        ty,
        required: true,
        doc,
    }
}

/// A field that may be absent or `null`.
pub const fn optional(name: &'static str, ty: Type, doc: &'static str) -> Field {
    Field {
        name,
        ty,
        required: false,
        doc,
    }
}

impl Shape {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The first field that may not be absent.
    pub fn first_required(&self) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.required)
    }
}

impl Type {
    /// The type's name in messages to authors, with its article.
    pub fn noun(self) -> &'static str {
        match self {
            Type::Bool => "a boolean",
            Type::Int => "a whole number",
            Type::Number => "a number",
            Type::Bytes | Type::BytesUpTo(_) => "a string",
            ty if ty.is_text() => "a string",
            Type::Time => "a time such as `2026-01-31T12:00:00Z`",
            Type::Any => "any value",
            Type::List(_) => "a list",
            _ => "a table",
        }
    }

    /// Whether it is text, of whatever form.
    pub fn is_text(self) -> bool {
        self == Type::Text || self.form().is_some()
    }
}
