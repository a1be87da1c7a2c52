//! Why a call into a state failed, read from what Luau and mlua raise.

use super::place::{Place, has_place, without_prelude};
use crate::host::Exhausted;
use mlua::{LuaString, Table, Value};

/// What Luau raises when an allocation fails, and what mlua makes of it in a host function's error.
const OUT_OF_MEMORY: [&str; 2] = ["not enough memory", "memory error: not enough memory"];

/// What passes the prelude's handler in a full state: Luau's message, and that of a failing
/// handler.
const UNHANDLED: [&str; 2] = [OUT_OF_MEMORY[0], "error in error handling"];

/// What Luau raises where a function that waits cannot yield.
const CANNOT_YIELD: &str = "attempt to yield across";

/// What is left out of traces: the prelude, and what mlua waits in.
const NOT_OF_SCRIPT: [&str; 2] = ["moondock:", "__mlua_"];

/// Why a call into a state returned no result.
#[derive(Debug, Clone)]
pub enum CallFailure {
    /// The budget is exhausted, at a place in the script if it is known.
    Exhausted(Exhausted, Option<Place>),
    /// The script raised an error.
    Raised(Raised),
}

/// An error that a script raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// The message, with the place in front if Luau put one there.
    pub message: String,
    /// Whether the script raised the message for Docker's user, with `error(message, 0)` or a
    /// table. The script then has no fault.
    pub deliberate: bool,
    /// The frames from the inside out, each as `file:line` and perhaps a function's name.
    pub trace: Vec<String>,
}

impl CallFailure {
    /// Reads what the prelude returned for a failed call; `None` if the state is out of memory.
    pub(super) fn of_value(raised: &Value) -> Option<Self> {
        match raised {
            Value::Table(located) => Some(Self::of_located(located)),
            Value::String(text) if UNHANDLED.contains(&&*text.to_string_lossy()) => None,
            Value::Error(error) => Self::of_error(error),
            other => Some(Self::raised(&message_of(other), "", false)),
        }
    }

    /// Reads an error on the Rust side of the state; `None` if the state is out of memory.
    pub(super) fn of_error(error: &mlua::Error) -> Option<Self> {
        let message = root_message(error);
        let is_memory = message == OUT_OF_MEMORY[0] || message.contains(OUT_OF_MEMORY[1]);
        (!is_memory).then(|| Self::raised(&message, "", false))
    }

    /// Reads the table that the prelude makes of an error.
    fn of_located(located: &Table) -> Self {
        let value = located.raw_get("value").unwrap_or(Value::Nil);
        let deliberate = located.raw_get("deliberate").unwrap_or_default();
        let text = |name| {
            let text = located.raw_get::<Option<LuaString>>(name).ok().flatten();
            text.map(|text| text.to_string_lossy())
        };
        let outer = text("trace").unwrap_or_default();
        let trace = format!("{}\n{outer}", trace_of(&value));
        let message = text("text").unwrap_or_else(|| message_of(&value));
        Self::raised(&message, &trace, deliberate)
    }

    fn raised(message: &str, trace: &str, deliberate: bool) -> Self {
        let of_script = |line: &&str| {
            !line.is_empty() && !NOT_OF_SCRIPT.iter().any(|chunk| line.starts_with(chunk))
        };
        let frames = trace.lines().map(str::trim).filter(of_script);
        let message = without_prelude(message);
        Self::Raised(Raised {
            deliberate: deliberate && !has_place(message),
            message: message.to_owned(),
            trace: frames.map(str::to_owned).collect(),
        })
    }

    /// Returns whether the call may have left coroutines that wait for something.
    pub(super) fn abandons_coroutines(&self) -> bool {
        match self {
            Self::Exhausted(..) => true,
            Self::Raised(raised) => raised.message.contains(CANNOT_YIELD),
        }
    }
}

/// Returns the text of what `error` was given: a string, or a host function's error. The prelude
/// reads tables itself.
pub(super) fn message_of(value: &Value) -> String {
    match value {
        Value::Error(error) => root_message(error),
        Value::Table(_) => "error with a table without `message`".to_owned(),
        Value::String(text) => text.to_string_lossy(),
        Value::Boolean(_) | Value::Integer(_) | Value::Number(_) => {
            value.to_string().unwrap_or_default()
        }
        Value::Nil => "error without a message".to_owned(),
        other => format!("error with a {}", other.type_name()),
    }
}

/// Returns the frames of the file in which `require` failed; the trace of the whole call does not
/// include them.
fn trace_of(value: &Value) -> &str {
    let mut error = value.as_error();
    let mut innermost = "";
    while let Some(mlua::Error::CallbackError { traceback, cause }) = error {
        (innermost, error) = (traceback, Some(cause.as_ref()));
    }
    innermost
}

fn root_message(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } => root_message(cause),
        mlua::Error::WithContext { context, cause } => {
            format!("{context}: {}", root_message(cause))
        }
        mlua::Error::RuntimeError(message)
        | mlua::Error::MemoryError(message)
        | mlua::Error::SyntaxError { message, .. } => {
            let text = message.split("\nstack traceback:").next();
            text.unwrap_or_default().trim_end().to_owned()
        }
        other => other.to_string(),
    }
}
