//! What is wrong with a reply, and where.

use crate::protocol::{Shape, Type};
use mlua::Value;

/// Why a reply is not what the engine can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at} {problem}")]
pub struct Mismatch {
    /// Where, for example: the reply's `Volume.Name`.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
    /// What to do about it, if that is known.
    pub cure: Option<String>,
}

/// A place in a reply, as a list from the inside out.
#[derive(Default)]
pub(super) enum Path<'a> {
    #[default]
    Reply,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    pub fn field<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    pub fn item(&self, number: usize) -> Path<'_> {
        Path::Item(self, number)
    }

    fn render(&self) -> String {
        match self {
            Path::Reply => String::new(),
            Path::Field(Path::Reply, name) => (*name).to_owned(),
            Path::Field(outer, name) => format!("{}.{name}", outer.render()),
            Path::Item(outer, number) => format!("{}[{number}]", outer.render()),
        }
    }

    pub fn mismatch(&self, problem: impl Into<String>) -> Mismatch {
        let place = self.render();
        let at = if place.is_empty() {
            "the reply".to_owned()
        } else {
            format!("the reply's `{place}`")
        };
        Mismatch {
            at,
            problem: problem.into(),
            cure: None,
        }
    }

    pub fn wrong_type(&self, ty: Type, value: &Value) -> Mismatch {
        self.mismatch(format!("must be {}, not {}", ty.noun(), describe(value)))
    }

    /// A failure of Lua itself.
    pub fn failed(&self, error: &mlua::Error) -> Mismatch {
        self.mismatch(error.to_string())
    }
}

impl Mismatch {
    pub(super) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }
}

/// Returns a cure that shows the fields of `shape`.
pub(super) fn expected_fields(shape: &Shape) -> String {
    let fields = shape
        .fields
        .iter()
        .map(|field| format!("{} = …", field.name));
    match shape.fields {
        [] => "return nothing".to_owned(),
        _ => format!("return {{ {} }}", fields.collect::<Vec<_>>().join(", ")),
    }
}

/// Describes a value for a message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Boolean(value) => format!("`{value}`"),
        Value::Number(_) | Value::Integer(_) => "a number".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Nil => "nil".to_owned(),
        other => format!("a {}", other.type_name()),
    }
}
