//! The std modules: what a script gets from `require("@moondock/…")`.
//!
//! Each module is a file with its table of functions at the top: name, grant, implementation. The
//! types and the documentation of the functions are in `scripts/types/NAME.luau`, from which the
//! reference page is made. A test holds the two together.

mod arguments;
mod binding;
mod budget;
mod closed;
mod frames;
mod line_meter;
mod near;
mod needs;
mod protected;
mod record;
mod results;
mod shared;
mod stage;
mod stubs;
mod values;

pub mod docker;
pub mod env;
pub mod firewall;
pub mod fs;
pub mod hash;
pub mod http;
pub mod json;
pub mod log;
pub mod names;
pub mod net;
pub mod plugin;
pub mod process;
pub mod store;
pub mod time;

pub use crate::sys::state::store::StoreSize;
pub use binding::{Binding, Name};
pub use budget::{Budget, Exhausted, Limits};
pub use closed::{close, closing, hint, keep_index, keys, unknown_field};
pub use frames::{OWN, own_frame};
pub use near::{nearest, suggestion};
pub use needs::Needs;
pub use protected::{PRELUDE, keep_error, keep_pcall};
pub use shared::{Host, Shared};
pub use stage::{Double, Played, Stage};
pub use stubs::{definitions, stub_text};
pub use values::SELF_FILLING;

use mlua::{Lua, Table};
use std::rc::Rc;

pub use crate::sys::scripts::MANIFEST;

/// All modules, by name.
pub const MODULES: &[&Module] = &[
    &docker::MODULE,
    &env::MODULE,
    &firewall::MODULE,
    &fs::MODULE,
    &hash::MODULE,
    &http::MODULE,
    &json::MODULE,
    &log::MODULE,
    &names::MODULE,
    &net::MODULE,
    &plugin::MODULE,
    &process::MODULE,
    &store::MODULE,
    &time::MODULE,
];

/// A std module.
pub struct Module {
    /// The name after `@moondock/`.
    pub name: &'static str,
    /// Its functions, in the order of its stub.
    pub functions: &'static [Function],
}

/// A function of a std module.
pub struct Function {
    /// Its name in the module's table.
    pub name: &'static str,
    /// What the plugin must be granted for it.
    pub needs: Needs,
    /// Makes the Lua function, by one of [`Binding`]'s constructors.
    pub make: fn(&Lua, Binding) -> mlua::Result<mlua::Function>,
}

/// A row of a module's table.
const fn function(
    name: &'static str,
    needs: Needs,
    make: fn(&Lua, Binding) -> mlua::Result<mlua::Function>,
) -> Function {
    Function { name, needs, make }
}

impl Module {
    /// Creates the module's table for one script.
    pub fn table(&self, lua: &Lua, host: &Rc<Host>) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        for function in self.functions {
            let name = Name {
                module: self.name,
                function: function.name,
            };
            let binding = Binding::new(host.clone(), name, function.needs, &table);
            table.raw_set(function.name, (function.make)(lua, binding)?)?;
        }
        close(lua, &table, self.name)?;
        table.set_readonly(true);
        Ok(table)
    }
}
