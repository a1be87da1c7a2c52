//! `@moondock/time`: the clocks, and waiting.

use super::Host;
use super::{Function, Module, Needs};
use mlua::Lua;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::rc::Rc;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The module's table.
pub const MODULE: Module = Module {
    name: "time",
    summary: "The clocks, and waiting.",
    types: "",
    functions: &[
        Function {
            name: "now",
            signature: "() -> number",
            doc: "The seconds since 1970-01-01 00:00 UTC, with a fraction. Can jump when the clock is set.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, now),
        },
        Function {
            name: "monotonic",
            signature: "() -> number",
            doc: "Seconds, with a fraction, of a clock that never jumps or runs backwards; only differences mean something.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, monotonic),
        },
        Function {
            name: "sleep",
            signature: "(seconds: number) -> ()",
            doc: "Waits; other calls go on meanwhile. The call's deadline still holds.\n\nRaises on a negative or infinite number.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.waiting(lua, sleep),
        },
        Function {
            name: "rfc3339",
            signature: "(seconds: number?) -> string",
            doc: "The moment, or now, as Docker writes it, in UTC and whole seconds: `2026-11-23T15:04:05Z`.\n\n\
                  Raises outside the years 0 to 9999.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, rfc3339),
        },
    ],
};

fn now(_: &Lua, _: &Host, (): ()) -> Result<f64, String> {
    Ok(seconds(clock_gettime(ClockId::Realtime)))
}

fn monotonic(_: &Lua, _: &Host, (): ()) -> Result<f64, String> {
    Ok(seconds(clock_gettime(ClockId::Monotonic)))
}

async fn sleep(_: Lua, _: Rc<Host>, seconds: f64) -> Result<(), String> {
    let wait = Duration::try_from_secs_f64(seconds);
    let wait = wait.map_err(|_| format!("cannot sleep for `{seconds}` seconds"))?;
    tokio::time::sleep(wait).await;
    Ok(())
}

fn rfc3339(_: &Lua, _: &Host, moment: Option<f64>) -> Result<String, String> {
    let moment = moment.unwrap_or_else(|| seconds(clock_gettime(ClockId::Realtime))).floor();
    let out_of_range = || format!("`{moment}` is not a moment in the years 0 to 9999");
    if !moment.is_finite() {
        return Err(out_of_range());
    }
    let date = OffsetDateTime::from_unix_timestamp(moment as i64).map_err(|_| out_of_range())?;
    date.format(&Rfc3339).map_err(|_| out_of_range())
}

fn seconds(time: Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
