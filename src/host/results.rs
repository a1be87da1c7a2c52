//! What host functions return: reading a field that its type does not have raises.

use super::closed::{closing, unknown_field};
use super::stubs::{Stub, item_of};
use mlua::{IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::cell::OnceCell;

/// The results of one function, whose type is looked up when the first table is returned.
pub struct Results {
    function: String,
    form: OnceCell<Option<Form>>,
}

/// The metatable of the results.
struct Form {
    metatable: Table,
    /// Whether it is that of the entries of a list.
    each: bool,
}

impl Results {
    /// Creates the results of a function, such as `fs.stat`.
    pub fn of(function: &str) -> Self {
        Self {
            function: function.to_owned(),
            form: OnceCell::new(),
        }
    }

    /// Converts what the function returned, and closes the tables in it.
    ///
    /// # Errors
    /// A value that cannot be converted.
    pub fn close(&self, lua: &Lua, result: impl IntoLuaMulti) -> mlua::Result<MultiValue> {
        let values = result.into_lua_multi(lua)?;
        let Some(Value::Table(table)) = values.front() else {
            return Ok(values);
        };
        let Some(form) = self.form(lua)? else {
            return Ok(values);
        };
        if form.each {
            for entry in table.sequence_values::<Table>() {
                entry?.set_metatable(Some(form.metatable.clone()))?;
            }
        } else {
            table.set_metatable(Some(form.metatable.clone()))?;
        }
        Ok(values)
    }

    fn form(&self, lua: &Lua) -> mlua::Result<Option<&Form>> {
        if self.form.get().is_none() {
            // Only this function sets it.
            let _ = self.form.set(self.make_form(lua)?);
        }
        Ok(self.form.get().and_then(Option::as_ref))
    }

    fn make_form(&self, lua: &Lua) -> mlua::Result<Option<Form>> {
        let (module, function) = self.function.split_once('.').unwrap_or_default();
        let stub = Stub::of(module);
        let result = stub.signature(function).map_or("", |s| s.result);
        let (ty, each) = item_of(result).map_or((result, false), |item| (item, true));
        let Some(fields) = stub.fields(ty) else {
            return Ok(None);
        };
        let known: Vec<_> = fields.iter().map(|field| field.name).collect();
        let subject = format!("the result of `{}`", self.function);
        let names = known.clone();
        let metatable = closing(lua, &names, move |_, _, name| {
            unknown_field(&subject, &known, name)
        })?;
        Ok(Some(Form { metatable, each }))
    }
}
