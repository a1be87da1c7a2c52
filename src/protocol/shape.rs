//! The shapes of messages, as data for the codec, the checks, the type stubs and the reference.

/// The type of a value on the wire.
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
    /// An IP address with a prefix length.
    Cidr,
    /// An IP address without a prefix length.
    Address,
    /// A MAC address.
    Mac,
    /// A scope, `local` or `global`.
    Scope,
    /// The name of a link, or the part of it before the number.
    Link,
    /// An absolute path.
    Path,
    /// An RFC 3339 time. If it is empty or malformed, the engine drops the whole reply
    /// (`CreatedAt`).
    Time,
    /// Bytes, in Base64 on the wire and a string in Lua.
    Bytes,
    /// Bytes, at least one, and at most as many as given here.
    BytesUpTo(usize),
    /// Any JSON value.
    Any,
    /// A list of values of the same type.
    List(&'static Type),
    /// A map from text to values of the same type.
    Map(&'static Type),
    /// An object with known fields.
    Record(&'static Shape),
}

/// An object with known fields.
#[derive(Debug, PartialEq)]
pub struct Shape {
    /// The name of the type stub.
    pub name: &'static str,
    /// The fields, in the order of Docker's documentation.
    pub fields: &'static [Field],
}

/// One field of a [`Shape`].
#[derive(Debug, PartialEq)]
pub struct Field {
    /// The name in Docker's messages.
    pub name: &'static str,
    /// The type.
    pub ty: Type,
    /// Whether a message without the field is rejected.
    pub required: bool,
    /// A description for the reference.
    pub doc: &'static str,
}

/// A list of texts.
pub const TEXTS: Type = Type::List(&Type::Text);
/// A map from text to text.
pub const TEXT_MAP: Type = Type::Map(&Type::Text);
/// A map from text to anything.
pub const ANY_MAP: Type = Type::Map(&Type::Any);
/// A message without fields.
pub const EMPTY: Shape = Shape::new("Empty", &[]);

/// Creates a field that must be present, and not empty if it is text.
pub const fn required(name: &'static str, ty: Type, doc: &'static str) -> Field {
    Field {
        name,
        ty,
        required: true,
        doc,
    }
}

/// Creates a field that may be absent or `null`.
pub const fn optional(name: &'static str, ty: Type, doc: &'static str) -> Field {
    Field {
        name,
        ty,
        required: false,
        doc,
    }
}

impl Shape {
    /// Creates a shape.
    pub(super) const fn new(name: &'static str, fields: &'static [Field]) -> Self {
        Self { name, fields }
    }

    /// Returns the field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the first field that must be present.
    pub fn first_required(&self) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.required)
    }
}

impl Type {
    /// Returns the name of the type for messages to authors, with its article.
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

    /// Whether the value is text, of any form.
    pub fn is_text(self) -> bool {
        self == Type::Text || self.form().is_some()
    }
}
