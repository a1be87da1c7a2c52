//! The machine of a test, as the host functions of its plugin see it: tables of the test's state.

use super::carry::carry;
use super::rig::Rig;
use crate::host::{Double, Name, Played};
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::rc::Weak;
use std::time::Duration;

/// What the kit of tests has given for the machine.
pub struct Machine {
    lua: Lua,
    before: Function,
    find: Function,
    listed: Function,
    finish: Function,
}

impl Machine {
    /// Takes over the functions of the kit.
    pub fn new(lua: &Lua, functions: &Table) -> mlua::Result<Self> {
        Ok(Self {
            lua: lua.clone(),
            before: functions.get("before")?,
            find: functions.get("find")?,
            listed: functions.get("listed")?,
            finish: functions.get("finish")?,
        })
    }

    /// Returns what was wrong beside the assertions of a case.
    pub fn problems(&self) -> mlua::Result<Vec<String>> {
        self.finish.call(())
    }

    fn before(&self, name: Name) -> Result<Duration, String> {
        let (failure, delay): (Option<String>, f64) =
            self.before.call(name.to_string()).map_err(message_of)?;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(Duration::try_from_secs_f64(delay).unwrap_or_default()),
        }
    }

    fn answer(
        &self,
        lua: &Lua,
        name: Name,
        reaches: bool,
        arguments: &MultiValue,
    ) -> mlua::Result<Option<MultiValue>> {
        let found: Option<Function> = self.find.call((name.module, name.function, reaches))?;
        let Some(double) = found else {
            return Ok(None);
        };
        let values: MultiValue = double.call(carry(arguments, &self.lua)?)?;
        match values.front() {
            Some(Value::UserData(_)) => Ok(None),
            _ => carry(&values, lua).map(Some),
        }
    }
}

/// The machine of a test that may be over.
pub struct MachineOf(pub Weak<Rig>);

impl Double for MachineOf {
    fn before(&self, name: Name) -> Result<Duration, String> {
        match self.0.upgrade().and_then(|rig| rig.machine()) {
            Some(machine) => machine.before(name),
            None => Ok(Duration::ZERO),
        }
    }

    fn answer(
        &self,
        lua: &Lua,
        name: Name,
        reaches: bool,
        arguments: &MultiValue,
    ) -> Option<Played> {
        let machine = self.0.upgrade()?.machine()?;
        let played = machine.answer(lua, name, reaches, arguments);
        played.map_err(message_of).transpose()
    }

    fn listed(&self, entries: usize) {
        if let Some(machine) = self.0.upgrade().and_then(|rig| rig.machine()) {
            // It only adds a number.
            let _ = machine.listed.call::<()>(entries);
        }
    }
}

/// Returns the message that the kit, or a function of the test, raised.
fn message_of(error: mlua::Error) -> String {
    let text = match &error {
        mlua::Error::RuntimeError(text) => text.clone(),
        mlua::Error::CallbackError { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}
