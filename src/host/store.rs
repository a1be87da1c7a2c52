//! `@moondock/store`: the durable state of a plugin, and locks for its calls.

use super::arguments::wrong_argument;
use super::binding::Name;
use super::protected::call_protected;
use super::record::{Record, RecordError};
use super::results::close_result;
use super::stubs::Stub;
use super::{Host, Module, Needs, close, function, values};
use crate::sys::locks::{Caller, Held, LockError};
use crate::sys::state::store::{Bytes, KeyRange, StoreError, Transaction};
use mlua::{
    FromLuaMulti, Function as Callback, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value,
};
use std::cell::RefCell;
use std::rc::Rc;
use tokio::task::yield_now;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "store",
    functions: &[
        function("get",         Needs::Nothing, |lua, bind| bind.waiting(lua, get)),
        function("set",         Needs::Nothing, |lua, bind| bind.waiting(lua, set)),
        function("delete",      Needs::Nothing, |lua, bind| bind.waiting(lua, delete)),
        function("list",        Needs::Nothing, |lua, bind| bind.waiting(lua, list)),
        function("transaction", Needs::Nothing, |lua, bind| bind.calling(lua, transaction)),
        function("lock",        Needs::Nothing, |lua, bind| bind.calling(lua, lock)),
        function("try_lock",    Needs::Nothing, |lua, bind| bind.calling(lua, try_lock)),
    ],
};

tokio::task_local! {
    /// What the running call holds. Set while a function passed to `lock` or `transaction` runs.
    static HOLDING: Holding;
}

#[derive(Clone, Copy)]
struct Holding {
    caller: Caller,
    transaction: bool,
    /// How many calls of `lock` and `transaction` are nested, each on the thread's stack.
    depth: usize,
}

/// How many entries are decoded before other calls get their turn.
const PORTION: usize = 100;

/// The limit of nested calls.
const MAX_DEPTH: usize = 16;

/// Why a function of the store failed.
#[derive(Debug, thiserror::Error)]
enum StoreFailure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("`{0}`: {1}")]
    Value(String, values::EncodeError),
    #[error("`{0}`: the value is `nil`: use `delete`")]
    Nil(String),
    #[error("the stored value of `{0}` is not valid JSON: {1}")]
    Foreign(String, serde_json::Error),
    #[error("the key is not UTF-8")]
    Key,
    #[error("a transaction runs in this call: use `tx:{0}` of the function's argument")]
    UseTx(&'static str),
    #[error("a transaction runs in this call: do this before or after it")]
    Inside,
    #[error("more than {MAX_DEPTH} nested locks")]
    Depth,
    #[error("the transaction has ended")]
    Ended,
    #[error("{0}")]
    Lua(#[from] mlua::Error),
}

type Outcome<T> = Result<T, StoreFailure>;

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
    transaction.set(key, value, host.limits.store)?;
    Ok(transaction.commit().await?)
}

async fn delete(_: Lua, host: Rc<Host>, key: LuaString) -> Outcome<bool> {
    outside("delete")?;
    let mut transaction = host.shared.store.begin().await?;
    let was_there = transaction.delete(&text(&key)?);
    transaction.commit().await?;
    Ok(was_there)
}

async fn list(
    lua: Lua,
    host: Rc<Host>,
    (prefix, part): (Option<LuaString>, Option<Table>),
) -> Outcome<Table> {
    outside("list")?;
    let part = Record::new(part, &["after", "limit"])?;
    let limit = part.optional::<u32>("limit")?;
    let range = KeyRange {
        prefix: prefix_of(prefix)?,
        after: part.optional("after")?,
        limit: limit.map(|limit| limit as usize),
    };
    let found = host.shared.store.list(&range).await?;
    host.listed(found.len());
    let list = lua.create_table_with_capacity(found.len(), 0)?;
    for portion in found.chunks(PORTION) {
        append(&lua, &host, &list, portion)?;
        if portion.len() == PORTION {
            yield_now().await;
        }
    }
    Ok(list)
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
    .table(&lua)?;
    let holding = Holding {
        transaction: true,
        ..holding
    };
    let results = HOLDING
        .scope(holding, call_protected(&lua, (f, tx)))
        .await?;
    let transaction = changes.0.take().ok_or(StoreFailure::Ended)?;
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

/// Returns what this call will hold with one more lock. Fails inside a transaction.
fn holding(host: &Host) -> Outcome<Holding> {
    match HOLDING.try_with(|holding| *holding) {
        Ok(Holding {
            transaction: true, ..
        }) => Err(StoreFailure::Inside),
        Ok(Holding {
            depth: MAX_DEPTH.., ..
        }) => Err(StoreFailure::Depth),
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

/// Fails inside a transaction: the store would wait for the transaction to end.
fn outside(name: &'static str) -> Outcome<()> {
    match HOLDING.try_with(|holding| holding.transaction) {
        Ok(true) => Err(StoreFailure::UseTx(name)),
        _ => Ok(()),
    }
}

/// A transaction that ends when this is dropped, even if the script still has the [`Tx`].
struct Changes(Rc<RefCell<Option<Transaction>>>);

impl Drop for Changes {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// What the argument of the function passed to `transaction` reaches.
struct Tx {
    host: Rc<Host>,
    transaction: Rc<RefCell<Option<Transaction>>>,
}

/// A function of a transaction.
type Act<A, R> = fn(&Lua, &Host, &mut Transaction, A) -> Outcome<R>;

impl Tx {
    /// Creates the argument: a table of functions, which are called with a colon or a dot.
    fn table(self, lua: &Lua) -> mlua::Result<Table> {
        let (tx, table) = (Rc::new(self), lua.create_table_with_capacity(0, 5)?);
        tx.add(lua, &table, "get", tx_get)?;
        tx.add(lua, &table, "set", tx_set)?;
        tx.add(lua, &table, "delete", tx_delete)?;
        tx.add(lua, &table, "delete_all", tx_delete_all)?;
        tx.add(lua, &table, "list", tx_list)?;
        close(lua, &table, "tx")?;
        table.set_readonly(true);
        Ok(table)
    }

    fn add<A, R>(
        self: &Rc<Self>,
        lua: &Lua,
        table: &Table,
        name: &'static str,
        act: Act<A, R>,
    ) -> mlua::Result<()>
    where
        A: FromLuaMulti + 'static,
        R: IntoLuaMulti + 'static,
    {
        let (tx, itself) = (self.clone(), table.to_pointer() as usize);
        let called = move |lua: &Lua, mut args: MultiValue| {
            if matches!(args.front(), Some(Value::Table(first)) if first.to_pointer() as usize == itself)
            {
                args.pop_front();
            }
            tx.host.check_budget(lua)?;
            tx.call(lua, args, name, act)
                .map_err(|problem| mlua::Error::runtime(format!("tx:{name}: {problem}")))
        };
        table.raw_set(name, lua.create_function(called)?)
    }

    fn call<A: FromLuaMulti, R>(
        &self,
        lua: &Lua,
        args: MultiValue,
        name: &str,
        act: Act<A, R>,
    ) -> Result<R, String> {
        let args = A::from_lua_args(args, 1, None, lua).map_err(|error| {
            let stub = Stub::of(MODULE.name);
            let signature = stub.method("Transaction", name);
            let parameters = signature.map(|s| s.parameters).unwrap_or_default();
            wrong_argument(stub, &parameters, &error)
        })?;
        let mut transaction = self.transaction.borrow_mut();
        let transaction = transaction.as_mut().ok_or(StoreFailure::Ended);
        let acted = transaction.and_then(|running| act(lua, &self.host, running, args));
        acted.map_err(|problem| problem.to_string())
    }
}

fn tx_get(lua: &Lua, host: &Host, tx: &mut Transaction, key: LuaString) -> Outcome<Value> {
    let key = text(&key)?;
    decode(lua, host, &key, tx.get(&key))
}

fn tx_set(
    lua: &Lua,
    host: &Host,
    tx: &mut Transaction,
    (key, value): (LuaString, Value),
) -> Outcome<()> {
    let key = text(&key)?;
    let value = encode(lua, host, &key, &value)?;
    Ok(tx.set(key, value, host.limits.store)?)
}

fn tx_delete(_: &Lua, _: &Host, tx: &mut Transaction, key: LuaString) -> Outcome<bool> {
    Ok(tx.delete(&text(&key)?))
}

fn tx_delete_all(_: &Lua, _: &Host, tx: &mut Transaction, prefix: LuaString) -> Outcome<usize> {
    Ok(tx.delete_all(&text(&prefix)?))
}

fn tx_list(
    lua: &Lua,
    host: &Host,
    tx: &mut Transaction,
    prefix: Option<LuaString>,
) -> Outcome<MultiValue> {
    let found = tx.list(&prefix_of(prefix)?);
    let list = lua.create_table_with_capacity(found.len(), 0)?;
    append(lua, host, &list, &found)?;
    let of = Name {
        module: MODULE.name,
        function: "list",
    };
    Ok(close_result(lua, of, list)?)
}

fn text(key: &LuaString) -> Outcome<String> {
    key.to_str()
        .map(|key| key.to_owned())
        .map_err(|_| StoreFailure::Key)
}

fn prefix_of(prefix: Option<LuaString>) -> Outcome<String> {
    prefix.map_or(Ok(String::new()), |prefix| text(&prefix))
}

fn encode(lua: &Lua, host: &Host, key: &str, value: &Value) -> Outcome<Vec<u8>> {
    if value.is_nil() {
        return Err(StoreFailure::Nil(key.to_owned()));
    }
    values::encode(lua, &host.budget, value, false)
        .map_err(|error| StoreFailure::Value(key.to_owned(), error))
}

fn decode(lua: &Lua, host: &Host, key: &str, value: Option<Bytes>) -> Outcome<Value> {
    let Some(value) = value else {
        return Ok(Value::Nil);
    };
    values::decode(lua, &host.budget, &value)
        .map_err(|error| StoreFailure::Foreign(key.to_owned(), error))
}

fn append(lua: &Lua, host: &Host, list: &Table, found: &[(String, Bytes)]) -> Outcome<()> {
    for (key, value) in found {
        let entry = lua.create_table_with_capacity(0, 2)?;
        entry.raw_set("value", decode(lua, host, key, Some(value.clone()))?)?;
        entry.raw_set("key", key.as_str())?;
        list.raw_push(entry)?;
    }
    Ok(())
}
