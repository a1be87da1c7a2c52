//! The tables of a request, and what each of them stands for.

use super::records::{Record, unknown};
use crate::authz::{Kind, Node, NodeId, Object, Request};
use crate::host::SELF_FILLING;
use crate::script::{Script, nearest};
use mlua::{Function, IntoLua, Lua, MetaMethod, Table, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Deref;
use std::rc::Rc;

/// A field of a request as a policy sees it.
pub struct RequestField {
    /// The name; lower-case where Moondock derives the value.
    pub name: &'static str,
    /// The Luau type, as it stands in the type stub.
    pub ty: &'static str,
    /// What the value says, in Markdown.
    pub doc: &'static str,
    /// Makes the value.
    pub(super) make: fn(&Lua, &Rc<RunningRequest>) -> mlua::Result<Value>,
}

/// The tables of the calls that run in one Lua state.
pub struct Registry {
    fields: &'static [RequestField],
    meanings: RefCell<HashMap<usize, Meaning, BuildHasherDefault<AddressHasher>>>,
    request_meta: Table,
    object_meta: Table,
    record_metas: RefCell<HashMap<Record, Table>>,
}

/// A request while its call runs, and its registry.
pub struct RunningRequest {
    request: Request,
    registry: Rc<Registry>,
    /// The addresses of its tables.
    tables: RefCell<Vec<usize>>,
}

/// Ends a call when it is dropped: its tables raise an error from then on.
pub struct RunningCall(Rc<RunningRequest>);

/// What a table stands for: the request, or an object of its body.
#[derive(Clone)]
struct Meaning {
    of: Rc<RunningRequest>,
    object: Option<BodyObject>,
}

/// An object of the body, and what is known of its fields.
#[derive(Clone, Copy)]
struct BodyObject {
    id: NodeId,
    known: Option<&'static Object>,
}

/// Hashes addresses, which no client chooses.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        let mixed = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

impl Deref for RunningRequest {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let mut meanings = self.0.registry.meanings.borrow_mut();
        for table in self.0.tables.take() {
            // The collector may have freed a table, and another call got one at the same address.
            if meanings
                .get(&table)
                .is_some_and(|meaning| Rc::ptr_eq(&meaning.of, &self.0))
            {
                meanings.remove(&table);
            }
        }
    }
}

impl Registry {
    /// Returns the registry of a script's state, creating it for the first call.
    pub fn of(script: &Script, fields: &'static [RequestField]) -> mlua::Result<Rc<Self>> {
        let lua = script.lua();
        if let Some(registry) = lua.app_data_ref::<Rc<Registry>>() {
            return Ok(registry.clone());
        }
        let registry = Rc::new(Self {
            fields,
            meanings: RefCell::default(),
            request_meta: lua.create_table()?,
            object_meta: lua.create_table()?,
            record_metas: RefCell::default(),
        });
        registry.fill_metatables(lua)?;
        lua.set_app_data(registry.clone());
        Ok(registry)
    }

    /// Creates the table of a request, and what ends its call.
    pub fn table(
        self: &Rc<Self>,
        lua: &Lua,
        request: Request,
    ) -> mlua::Result<(Table, RunningCall)> {
        let table = lua.create_table_with_capacity(0, 4)?;
        if let Some(action) = request.action {
            table.raw_set("action", action)?;
        }
        table.raw_set("effect", request.effect.as_str())?;
        table.set_metatable(Some(self.request_meta.clone()))?;
        let call = RunningCall(Rc::new(RunningRequest {
            request,
            registry: self.clone(),
            tables: RefCell::default(),
        }));
        self.remember(&table, &call.0, None);
        Ok((table, call))
    }

    fn remember(&self, table: &Table, of: &Rc<RunningRequest>, object: Option<BodyObject>) {
        let address = table.to_pointer() as usize;
        let meaning = Meaning {
            of: of.clone(),
            object,
        };
        let before = self.meanings.borrow_mut().insert(address, meaning);
        // A table of this call may have been collected, and its address given to another.
        if before.is_none_or(|before| !Rc::ptr_eq(&before.of, of)) {
            of.tables.borrow_mut().push(address);
        }
    }

    fn fill_metatables(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        for meta in [&self.request_meta, &self.object_meta] {
            // A strong reference would keep the state alive, which keeps its functions.
            let this = Rc::downgrade(self);
            let index = move |lua: &Lua, (table, key): (Table, Value)| match this.upgrade() {
                Some(this) => this.index(lua, &table, key),
                None => Ok(Value::Nil),
            };
            meta.raw_set(MetaMethod::Index.name(), lua.create_function(index)?)?;
            let this = Rc::downgrade(self);
            let iterate = move |lua: &Lua, table: Table| match this.upgrade() {
                Some(this) => this.iterate(lua, &table),
                None => Err(answered()),
            };
            meta.raw_set(MetaMethod::Iter.name(), lua.create_function(iterate)?)?;
            meta.raw_set("__metatable", SELF_FILLING)?;
        }
        Ok(())
    }

    /// Makes the field `key` of a table, and keeps it in the table.
    fn index(&self, lua: &Lua, table: &Table, key: Value) -> mlua::Result<Value> {
        let meaning = self.meaning(table)?;
        let Some(name) = key.as_string() else {
            return Ok(Value::Nil);
        };
        let name = name.to_str()?;
        let value = match meaning.object {
            None => self.field(lua, &meaning.of, &name)?,
            Some(object) => meaning.of.member(lua, object, &name)?,
        };
        if !value.is_nil() {
            table.raw_set(key, &value)?;
        }
        Ok(value)
    }

    fn field(&self, lua: &Lua, request: &Rc<RunningRequest>, name: &str) -> mlua::Result<Value> {
        match self.fields.iter().find(|field| field.name == name) {
            Some(field) => (field.make)(lua, request),
            None => Err(self.unknown_field(name)),
        }
    }

    fn unknown_field(&self, name: &str) -> mlua::Error {
        let near = nearest(name, self.fields.iter().map(|field| field.name));
        unknown(&format!("a request has no field `{name}`"), near)
    }

    /// Returns what `for key, value in table do` walks over: all fields, those of an object as
    /// written in the request.
    fn iterate(&self, lua: &Lua, table: &Table) -> mlua::Result<(Function, Table)> {
        let Meaning { of, object } = self.meaning(table)?;
        let all = match object {
            None => self.all_fields(lua, &of, table)?,
            Some(object) => {
                let known = |name: &str| object.known?.within(name);
                of.members(lua, of.node(object.id)?, known)?
            }
        };
        Ok((lua.globals().get("next")?, all))
    }

    fn all_fields(
        &self,
        lua: &Lua,
        request: &Rc<RunningRequest>,
        table: &Table,
    ) -> mlua::Result<Table> {
        let all = lua.create_table()?;
        for field in self.fields {
            let value = match table.raw_get(field.name)? {
                Value::Nil => (field.make)(lua, request)?,
                known => known,
            };
            all.raw_set(field.name, value)?;
        }
        Ok(all)
    }

    fn meaning(&self, table: &Table) -> mlua::Result<Meaning> {
        let address = table.to_pointer() as usize;
        let meanings = self.meanings.borrow();
        meanings.get(&address).cloned().ok_or_else(answered)
    }
}

impl RunningRequest {
    /// Converts a value of the body. An object becomes a table that is filled as it is read,
    /// anything else is converted at once. `known` is what is known of the object, or of each in a
    /// list or a map.
    pub fn value(
        self: &Rc<Self>,
        lua: &Lua,
        node: Node,
        known: Option<&'static Object>,
    ) -> mlua::Result<Value> {
        match node.kind() {
            Kind::Null => Ok(Value::Nil),
            Kind::Bool => node.as_bool().into_lua(lua),
            Kind::Number => node.as_f64().into_lua(lua),
            Kind::String => node.as_str().as_deref().into_lua(lua),
            Kind::Array => {
                let items = lua.create_table()?;
                // A `null` among them would end the list for `#` and `ipairs`, and hide what
                // follows.
                for item in node.items().filter(|item| !item.is_null()) {
                    items.raw_push(self.value(lua, item, known)?)?;
                }
                Ok(Value::Table(items))
            }
            Kind::Object if node.is_map() => self.members(lua, node, |_| known).map(Value::Table),
            Kind::Object => {
                let table = lua.create_table()?;
                table.set_metatable(Some(self.registry.object_meta.clone()))?;
                let object = BodyObject {
                    id: node.id(),
                    known,
                };
                self.registry.remember(&table, self, Some(object));
                Ok(Value::Table(table))
            }
        }
    }

    /// Makes reading an unknown name of a table raise.
    pub fn as_record(&self, lua: &Lua, table: Table, record: Record) -> mlua::Result<Table> {
        let mut metas = self.registry.record_metas.borrow_mut();
        let meta = match metas.entry(record) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => place.insert(record.metatable(lua)?),
        };
        table.set_metatable(Some(meta.clone()))?;
        Ok(table)
    }

    /// Returns the field `name` of an object of the body. It is `nil` if it is absent, and an error
    /// if no engine knows it either.
    fn member(self: &Rc<Self>, lua: &Lua, object: BodyObject, name: &str) -> mlua::Result<Value> {
        match (self.node(object.id)?.get(name), object.known) {
            (Some(node), known) => {
                self.value(lua, node, known.and_then(|known| known.within(name)))
            }
            (None, Some(known)) if !known.has(name) => Err(self.no_field(object.id, known, name)),
            (None, _) => Ok(Value::Nil),
        }
    }

    fn no_field(&self, id: NodeId, known: &Object, name: &str) -> mlua::Error {
        let path = self.body.document().map(|body| body.path_of(id));
        let path = path.filter(|path| !path.is_empty());
        let place = path.map_or_else(String::new, |path| path + ".");
        let action = self.action.unwrap_or_default();
        let what = format!("the body of {action} has no field `{place}{name}`");
        match known.holder_of(name) {
            Some(holder) => unknown(&what, Some(&format!("{holder}.{name}"))),
            None => unknown(&what, nearest(name, known.names().into_iter())),
        }
    }

    fn members(
        self: &Rc<Self>,
        lua: &Lua,
        object: Node,
        known: impl Fn(&str) -> Option<&'static Object>,
    ) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        for (key, value) in object.entries() {
            table.raw_set(key.as_ref(), self.value(lua, value, known(&key))?)?;
        }
        Ok(table)
    }

    fn node(&self, id: NodeId) -> mlua::Result<Node<'_>> {
        let body = self.body.document();
        body.and_then(|body| body.node(id)).ok_or_else(answered)
    }
}

fn answered() -> mlua::Error {
    mlua::Error::runtime(
        "this request has been answered: keep the values that you need, not its tables",
    )
}
