//! A request to the engine as a policy sees it: a table whose fields are made when they are first read.
//!
//! The tables are plain. What Rust keeps of a request is found by the table's address while the call runs and
//! is dropped with it, so that the collector never holds a body.

mod fields;

pub use fields::{REQUEST_FIELDS, REQUEST_TYPES, RequestField};

use crate::authz::{Document, Effect, HostMount, Node, NodeId, Target};
use crate::host::SELF_FILLING;
use crate::script::{Script, nearest};
use mlua::{IntoLua, Lua, LuaString, MetaMethod, Table, Value};
use serde::Deserialize;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::rc::Rc;

/// The engine's message, decoded but for the bodies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message<'a> {
    /// The common name of the client's certificate.
    pub user: Option<String>,
    #[serde(rename = "UserAuthNMethod")]
    user_method: Option<String>,
    /// The HTTP method.
    #[serde(default)]
    pub request_method: String,
    /// The raw request target.
    #[serde(default)]
    pub request_uri: String,
    /// The body in Base64.
    #[serde(borrow)]
    pub request_body: Option<Cow<'a, str>>,
    /// The headers.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub request_headers: BTreeMap<String, String>,
    request_peer_certificates: Option<Vec<String>>,
    response_status_code: Option<u16>,
    response_headers: Option<BTreeMap<String, String>>,
    response_body: Option<String>,
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(
    json: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    Option::deserialize(json).map(Option::unwrap_or_default)
}

/// What a running call keeps for its tables.
pub struct Request {
    action: Option<&'static str>,
    effect: Effect,
    method: String,
    uri: String,
    user: Option<String>,
    user_method: Option<String>,
    headers: BTreeMap<String, String>,
    certificates: Vec<String>,
    document: Option<Document>,
    body_state: &'static str,
    mounts: Vec<HostMount>,
    status: Option<u16>,
    response_headers: Option<BTreeMap<String, String>>,
    response_body: Option<String>,
}

impl Request {
    /// What is kept of a message once its target is known and its body is judged.
    pub fn new(
        message: Message,
        (action, effect): (Option<&'static str>, Effect),
        body: crate::authz::Body,
        mounts: Vec<HostMount>,
    ) -> Rc<Self> {
        let body_state = body.state();
        Rc::new(Self {
            action,
            effect,
            method: message.request_method,
            uri: message.request_uri,
            user: message.user,
            user_method: message.user_method,
            headers: message.request_headers,
            certificates: message.request_peer_certificates.unwrap_or_default(),
            document: body.into_document(),
            body_state,
            mounts,
            status: message.response_status_code,
            response_headers: message.response_headers,
            response_body: message.response_body,
        })
    }

    fn target(&self) -> Target<'_> {
        Target::parse(&self.method, &self.uri)
    }
}

/// What a table of a running call stands for.
#[derive(Clone)]
enum Meaning {
    Request(Rc<Request>),
    Object(Rc<Request>, NodeId),
}

/// The tables of the calls that run in one state.
pub struct Registry {
    meanings: RefCell<HashMap<*const c_void, Meaning>>,
    request_meta: Table,
    object_meta: Table,
    words: Words,
}

/// Strings that every request needs, made once for a state.
struct Words {
    action: LuaString,
    effect: LuaString,
    known: RefCell<HashMap<&'static str, LuaString>>,
}

impl Words {
    fn new(lua: &Lua) -> mlua::Result<Self> {
        let known = RefCell::default();
        Ok(Self {
            action: lua.create_string("action")?,
            effect: lua.create_string("effect")?,
            known,
        })
    }

    fn get(&self, lua: &Lua, word: &'static str) -> mlua::Result<LuaString> {
        if let Some(known) = self.known.borrow().get(word) {
            return Ok(known.clone());
        }
        let made = lua.create_string(word)?;
        self.known.borrow_mut().insert(word, made.clone());
        Ok(made)
    }
}

/// The tables of one call, which mean nothing once this is dropped.
pub struct Running {
    registry: Rc<Registry>,
    request: Rc<Request>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let is_other = |meaning: &Meaning| match meaning {
            Meaning::Request(request) | Meaning::Object(request, _) => {
                !Rc::ptr_eq(request, &self.request)
            }
        };
        self.registry
            .meanings
            .borrow_mut()
            .retain(|_, meaning| is_other(meaning));
    }
}

impl Registry {
    /// The registry of a script's state, made with its first call.
    pub fn of(script: &Script) -> mlua::Result<Rc<Self>> {
        let lua = script.lua();
        if let Some(registry) = lua.app_data_ref::<Rc<Registry>>() {
            return Ok(registry.clone());
        }
        let registry = Rc::new(Self {
            meanings: RefCell::default(),
            request_meta: lua.create_table()?,
            object_meta: lua.create_table()?,
            words: Words::new(lua)?,
        });
        registry.fill_metatables(lua)?;
        lua.set_app_data(registry.clone());
        Ok(registry)
    }

    /// The table of a request, and what keeps it alive.
    pub fn table(
        self: &Rc<Self>,
        lua: &Lua,
        request: Rc<Request>,
    ) -> mlua::Result<(Table, Running)> {
        let table = lua.create_table_with_capacity(0, 8)?;
        if let Some(action) = request.action {
            table.raw_set(&self.words.action, self.words.get(lua, action)?)?;
        }
        table.raw_set(
            &self.words.effect,
            self.words.get(lua, request.effect.as_str())?,
        )?;
        table.set_metatable(Some(self.request_meta.clone()))?;
        self.meanings
            .borrow_mut()
            .insert(table.to_pointer(), Meaning::Request(request.clone()));
        Ok((
            table,
            Running {
                registry: self.clone(),
                request,
            },
        ))
    }

    fn fill_metatables(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        for meta in [&self.request_meta, &self.object_meta] {
            let this = Rc::downgrade(self);
            let index = lua.create_function(move |lua, (table, key): (Table, Value)| match this
                .upgrade()
            {
                Some(this) => this.index(lua, &table, key),
                None => Ok(Value::Nil),
            })?;
            meta.raw_set(MetaMethod::Index.name(), index)?;
            let this = Rc::downgrade(self);
            let iterate = lua.create_function(move |lua, table: Table| match this.upgrade() {
                Some(this) => this.iterate(lua, &table),
                None => Err(over()),
            })?;
            meta.raw_set(MetaMethod::Iter.name(), iterate)?;
            meta.raw_set("__metatable", SELF_FILLING)?;
        }
        Ok(())
    }

    fn index(self: &Rc<Self>, lua: &Lua, table: &Table, key: Value) -> mlua::Result<Value> {
        let meaning = self.meaning(table)?;
        let Some(name) = key.as_string() else {
            return Ok(Value::Nil);
        };
        let name = name.to_str()?;
        let value = match &meaning {
            Meaning::Request(request) => self.field(lua, request, &name)?,
            Meaning::Object(request, id) => self.member(lua, request, *id, &name)?,
        };
        if !value.is_nil() {
            table.raw_set(key, &value)?;
        }
        Ok(value)
    }

    fn field(&self, lua: &Lua, request: &Rc<Request>, name: &str) -> mlua::Result<Value> {
        if let Some(field) = REQUEST_FIELDS.iter().find(|field| field.name == name) {
            return (field.fill)(self, lua, request);
        }
        let hint = nearest(name, REQUEST_FIELDS.iter().map(|field| field.name))
            .map(|near| format!("; did you mean `{near}`?"));
        Err(mlua::Error::runtime(format!(
            "a request has no field `{name}`{}",
            hint.unwrap_or_default()
        )))
    }

    fn member(
        &self,
        lua: &Lua,
        request: &Rc<Request>,
        id: NodeId,
        name: &str,
    ) -> mlua::Result<Value> {
        let node = request
            .document
            .as_ref()
            .and_then(|document| document.node(id))
            .and_then(|node| node.get(name));
        node.map_or(Ok(Value::Nil), |node| self.value(lua, request, node))
    }

    /// An object of known fields becomes a table that is filled as it is read; anything else is made at once.
    fn value(&self, lua: &Lua, request: &Rc<Request>, node: Node) -> mlua::Result<Value> {
        use crate::authz::Kind;
        match node.kind() {
            Kind::Null => Ok(Value::Nil),
            Kind::Bool => node.as_bool().into_lua(lua),
            Kind::Number => node.as_f64().into_lua(lua),
            Kind::String => node.as_str().as_deref().into_lua(lua),
            Kind::Array => {
                let items = lua.create_table()?;
                // A `null` among them would end the list for `#` and `ipairs`, and hide what follows.
                for item in node.items().filter(|item| !item.is_null()) {
                    items.raw_push(self.value(lua, request, item)?)?;
                }
                Ok(Value::Table(items))
            }
            Kind::Object if node.is_map() => self.members(lua, request, node).map(Value::Table),
            Kind::Object => {
                let table = lua.create_table()?;
                table.set_metatable(Some(self.object_meta.clone()))?;
                let meaning = Meaning::Object(request.clone(), node.id());
                self.meanings
                    .borrow_mut()
                    .insert(table.to_pointer(), meaning);
                Ok(Value::Table(table))
            }
        }
    }

    fn members(&self, lua: &Lua, request: &Rc<Request>, node: Node) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        for (key, value) in node.entries() {
            table.raw_set(key.as_ref(), self.value(lua, request, value)?)?;
        }
        Ok(table)
    }

    fn body(&self, lua: &Lua, request: &Rc<Request>) -> mlua::Result<Value> {
        request
            .document
            .as_ref()
            .map_or(Ok(Value::Nil), |document| {
                self.value(lua, request, document.root())
            })
    }

    /// `for key, value in table do`: all fields, of an object as written in the request.
    fn iterate(&self, lua: &Lua, table: &Table) -> mlua::Result<(mlua::Function, Table)> {
        let whole = match self.meaning(table)? {
            Meaning::Request(request) => self.fields(lua, &request, table)?,
            Meaning::Object(request, id) => {
                let node = request
                    .document
                    .as_ref()
                    .and_then(|document| document.node(id));
                self.members(lua, &request, node.ok_or_else(over)?)?
            }
        };
        Ok((lua.globals().get("next")?, whole))
    }

    fn fields(&self, lua: &Lua, request: &Rc<Request>, table: &Table) -> mlua::Result<Table> {
        let whole = lua.create_table()?;
        for name in REQUEST_FIELDS.iter().map(|field| field.name) {
            let value = match table.raw_get(name)? {
                Value::Nil => self.field(lua, request, name)?,
                read => read,
            };
            whole.raw_set(name, value)?;
        }
        Ok(whole)
    }

    fn meaning(&self, table: &Table) -> mlua::Result<Meaning> {
        self.meanings
            .borrow()
            .get(&table.to_pointer())
            .cloned()
            .ok_or_else(over)
    }
}

fn over() -> mlua::Error {
    mlua::Error::runtime(
        "this request has been answered: keep the values that you need, not its tables",
    )
}
