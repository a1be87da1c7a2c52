//! `@moondock/store`: what a plugin keeps, and the order in which its calls change it.

use super::{Function, Host, Module, Needs, call_protected, values};
use crate::sys::locks::{Caller, Held, LockError};
use crate::sys::state::store::{Bytes, StoreError, Transaction};
use mlua::{
    Function as Callback, IntoLua, IntoLuaMulti, Lua, LuaString, MultiValue, Table, UserData,
    UserDataMethods, Value,
};
use std::cell::RefCell;
use std::rc::Rc;

/// The module's table.
pub const MODULE: Module = Module {
    name: "store",
    summary: "What the plugin keeps: values by key, shared by its scripts, on the disk before a function that changes them returns, so that neither \
              `kill -9` nor a power cut loses what was answered. Values are booleans, numbers, strings, and tables of them, as JSON has them.",
    types: "export type Entry = { key: string, value: any }\n\
            export type Transaction = {\n\
            \tget: (self: Transaction, key: string) -> any?,\n\
            \tset: (self: Transaction, key: string, value: any) -> (),\n\
            \tdelete: (self: Transaction, key: string) -> boolean,\n\
            \tlist: (self: Transaction, prefix: string?) -> { Entry },\n\
            }",
    functions: &[
        Function {
            name: "get",
            signature: "(key: string) -> any?",
            doc: "The value of the key, or `nil`. Answered from memory; a table is a fresh copy.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.waiting(lua, get),
        },
        Function {
            name: "set",
            signature: "(key: string, value: any) -> ()",
            doc: "Sets the key, durably. Raises on a value that JSON cannot hold, and on `nil`: that is what `delete` is for.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.waiting(lua, set),
        },
        Function {
            name: "delete",
            signature: "(key: string) -> boolean",
            doc: "Deletes the key, durably; says whether it was there.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.waiting(lua, delete),
        },
        Function {
            name: "list",
            signature: "(prefix: string?) -> { Entry }",
            doc: "All entries whose key begins with the prefix, sorted by key: `for _, entry in store.list(\"volume/\") do … end`.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.waiting(lua, list),
        },
        Function {
            name: "transaction",
            signature: "<R...>(f: (tx: Transaction) -> R...) -> R...",
            doc: "Runs `f` and writes what it changed through `tx`, all of it or, when it raises or the call is given up, nothing. Returns what `f` \
                  returns, once that is durable; an error of `f` goes on unchanged.\n\n\
                  ```lua\n\
                  store.transaction(function(tx)\n\
                  \x20 local used = tx:get(\"used\") or 0\n\
                  \x20 tx:set(\"used\", used + 1)\n\
                  end)\n\
                  ```\n\n\
                  The transactions of a plugin, over all its scripts, run one after the other, and `f` sees its own changes, so what it reads stays true \
                  until it ends. `f` may wait, for a file or a process: others queue meanwhile. Inside `f` the functions of `store` \
                  raise: use `tx`. Take a `lock` before the transaction, not in it.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.calling(lua, transaction),
        },
        Function {
            name: "lock",
            signature: "<R...>(name: string, f: () -> R...) -> R...",
            doc: "Runs `f` while no other call of the plugin, in any script, holds the same name; first come, first served. Returns what `f` returns; an error \
                  of `f` goes on unchanged. Released when `f` ends, or the call is given up.\n\n\
                  Raises, instead of waiting for ever, when this call holds the name already, or its holder waits for a lock of this call.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.calling(lua, lock),
        },
        Function {
            name: "try_lock",
            signature: "(name: string, f: () -> ()) -> boolean",
            doc: "Runs `f` as `lock` does if no call holds the name, this one included, and returns whether it did. For what can be left to whoever holds it.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.calling(lua, try_lock),
        },
    ],
};

tokio::task_local! {
    /// What the running call holds: set while the function that it gave to `lock` or `transaction` runs.
    static HOLDING: Holding;
}

#[derive(Clone, Copy)]
struct Holding {
    caller: Caller,
    transaction: bool,
    /// How many functions given to `lock` or `transaction` run in each other, each on the thread's stack.
    depth: usize,
}

/// How many of them there may be.
const MAX_DEPTH: usize = 16;

/// Why a function of the store failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("`{0}`: {1}")]
    Value(String, values::EncodeError),
    #[error("`{0}`: the value is `nil`: use `delete`")]
    Nil(String),
    #[error("`{0}` holds what is no JSON: {1}")]
    Foreign(String, serde_json::Error),
    #[error("the key is not UTF-8")]
    Key,
    #[error("a transaction runs in this call: use `tx:{0}` of the function's argument")]
    UseTx(&'static str),
    #[error("a transaction runs in this call: do this before or after it")]
    Inside,
    #[error("more than {MAX_DEPTH} locks in each other")]
    Depth,
    #[error("the transaction has ended")]
    Ended,
    #[error("{0}")]
    Lua(#[from] mlua::Error),
}

type Outcome<T> = Result<T, Failure>;

async fn get(lua: Lua, host: Rc<Host>, key: LuaString) -> Outcome<Value> {
    outside("get")?;
    let key = text(&key)?;
    let value = host.shared.store.get(&key).await?;
    decode(&lua, &host, &key, value)
}

async fn set(lua: Lua, host: Rc<Host>, (key, value): (LuaString, Value)) -> Outcome<()> {
    outside("set")?;
    let key = text(&key)?;
    let value = encode(&lua, &host, &key, &value)?;
    let mut transaction = host.shared.store.begin().await?;
    transaction.set(key, value);
    Ok(transaction.commit().await?)
}

async fn delete(_: Lua, host: Rc<Host>, key: LuaString) -> Outcome<bool> {
    outside("delete")?;
    let mut transaction = host.shared.store.begin().await?;
    let was_there = transaction.delete(&text(&key)?);
    transaction.commit().await?;
    Ok(was_there)
}

async fn list(lua: Lua, host: Rc<Host>, prefix: Option<LuaString>) -> Outcome<Table> {
    outside("list")?;
    let found = host.shared.store.list(&prefix_of(prefix)?).await?;
    entries(&lua, &host, found)
}

async fn transaction(lua: Lua, host: Rc<Host>, f: Callback) -> Outcome<MultiValue> {
    let holding = holding(&host)?;
    let changes = Changes(Rc::new(RefCell::new(Some(
        host.shared.store.begin().await?,
    ))));
    let tx = Tx {
        host,
        transaction: changes.0.clone(),
    }
    .into_lua(&lua)?;
    let holding = Holding {
        transaction: true,
        ..holding
    };
    let results = HOLDING
        .scope(holding, call_protected(&lua, (f, tx)))
        .await?;
    let transaction = changes.0.take().ok_or(Failure::Ended)?;
    if results.front() == Some(&Value::Boolean(true)) {
        transaction.commit().await?;
    }
    Ok(results)
}

async fn lock(lua: Lua, host: Rc<Host>, (name, f): (LuaString, Callback)) -> Outcome<MultiValue> {
    let holding = holding(&host)?;
    let _held: Held = host
        .shared
        .locks
        .take(holding.caller, &text(&name)?)
        .await?;
    Ok(HOLDING.scope(holding, call_protected(&lua, f)).await?)
}

async fn try_lock(
    lua: Lua,
    host: Rc<Host>,
    (name, f): (LuaString, Callback),
) -> Outcome<MultiValue> {
    let holding = holding(&host)?;
    let Some(_held) = host.shared.locks.try_take(holding.caller, &text(&name)?) else {
        return Ok((true, false).into_lua_multi(&lua)?);
    };
    let results = HOLDING.scope(holding, call_protected(&lua, f)).await?;
    match results.front() {
        Some(Value::Boolean(true)) => Ok((true, true).into_lua_multi(&lua)?),
        _ => Ok(results),
    }
}

/// What this call holds already, as one that is about to hold more; inside a transaction nothing more can be held.
fn holding(host: &Host) -> Outcome<Holding> {
    match HOLDING.try_with(|holding| *holding) {
        Ok(Holding {
            transaction: true, ..
        }) => Err(Failure::Inside),
        Ok(Holding {
            depth: MAX_DEPTH.., ..
        }) => Err(Failure::Depth),
        Ok(holding) => Ok(Holding {
            depth: holding.depth + 1,
            ..holding
        }),
        Err(_) => Ok(Holding {
            caller: host.shared.locks.caller(),
            transaction: false,
            depth: 1,
        }),
    }
}

/// Inside a transaction the store would wait for the transaction to end.
fn outside(name: &'static str) -> Outcome<()> {
    match HOLDING.try_with(|holding| holding.transaction) {
        Ok(true) => Err(Failure::UseTx(name)),
        _ => Ok(()),
    }
}

/// The transaction, ended when this is dropped, whatever still refers to [`Tx`].
struct Changes(Rc<RefCell<Option<Transaction>>>);

impl Drop for Changes {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// What `f` gets.
struct Tx {
    host: Rc<Host>,
    transaction: Rc<RefCell<Option<Transaction>>>,
}

impl Tx {
    fn with<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut Transaction) -> Outcome<T>,
    ) -> mlua::Result<T> {
        self.host.budget.look().map_err(mlua::Error::external)?;
        let mut transaction = self.transaction.borrow_mut();
        let acted = transaction.as_mut().ok_or(Failure::Ended).and_then(act);
        acted.map_err(|error| mlua::Error::runtime(format!("tx:{name}: {error}")))
    }
}

impl UserData for Tx {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, tx, key: LuaString| {
            let key = &key;
            tx.with("get", |t| {
                text(key).and_then(|key| decode(lua, &tx.host, &key, t.get(&key)))
            })
        });
        methods.add_method("set", |lua, tx, (key, value): (LuaString, Value)| {
            tx.with("set", |t| {
                let key = text(&key)?;
                let value = encode(lua, &tx.host, &key, &value)?;
                t.set(key, value);
                Ok(())
            })
        });
        methods.add_method("delete", |_, tx, key: LuaString| {
            tx.with("delete", |t| Ok(t.delete(&text(&key)?)))
        });
        methods.add_method("list", |lua, tx, prefix: Option<LuaString>| {
            tx.with("list", |t| {
                entries(lua, &tx.host, t.list(&prefix_of(prefix)?))
            })
        });
    }
}

fn text(key: &LuaString) -> Outcome<String> {
    key.to_str()
        .map(|key| key.to_owned())
        .map_err(|_| Failure::Key)
}

fn prefix_of(prefix: Option<LuaString>) -> Outcome<String> {
    prefix.map_or(Ok(String::new()), |prefix| text(&prefix))
}

fn encode(lua: &Lua, host: &Host, key: &str, value: &Value) -> Outcome<Vec<u8>> {
    if value.is_nil() {
        return Err(Failure::Nil(key.to_owned()));
    }
    values::encode(lua, &host.budget, value, false)
        .map_err(|error| Failure::Value(key.to_owned(), error))
}

fn decode(lua: &Lua, host: &Host, key: &str, value: Option<Bytes>) -> Outcome<Value> {
    let Some(value) = value else {
        return Ok(Value::Nil);
    };
    values::decode(lua, &host.budget, &value)
        .map_err(|error| Failure::Foreign(key.to_owned(), error))
}

fn entries(lua: &Lua, host: &Host, found: Vec<(String, Bytes)>) -> Outcome<Table> {
    let list = lua.create_table_with_capacity(found.len(), 0)?;
    for (number, (key, value)) in found.into_iter().enumerate() {
        let entry = lua.create_table_with_capacity(0, 2)?;
        entry.raw_set("value", decode(lua, host, &key, Some(value))?)?;
        entry.raw_set("key", key)?;
        list.raw_set(number + 1, entry)?;
    }
    Ok(list)
}
