//! Messages about arguments that a host function cannot take.

use super::stubs::{Named, Stub};

const ORDINALS: [&str; 4] = ["first", "second", "third", "fourth"];

/// Says which argument is wrong, and what it must be.
pub fn wrong_argument(stub: Stub, parameters: &[Named], error: &mlua::Error) -> String {
    let mlua::Error::BadArgument { pos, cause, .. } = error else {
        return error.to_string();
    };
    let mlua::Error::FromLuaConversionError { from, message, .. } = &**cause else {
        return cause.to_string();
    };
    let index = pos.saturating_sub(1);
    let ordinal = ORDINALS.get(index).unwrap_or(&"last");
    let Some(parameter) = parameters.get(index) else {
        return cause.to_string();
    };
    let (noun, given) = (stub.noun(parameter.ty), described(from));
    let name = parameter.name;
    match message {
        // The type is right, and the value is not.
        Some(message) if noun == given => {
            format!("the {ordinal} argument, `{name}`, is not valid: {message}")
        }
        _ => format!("the {ordinal} argument, `{name}`, must be {noun}, not {given}"),
    }
}

fn described(ty: &str) -> String {
    match ty {
        "nil" => "nil".to_owned(),
        "integer" => "a number".to_owned(),
        _ => format!("a {ty}"),
    }
}
