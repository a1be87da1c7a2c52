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
        Function {
            name: "to_nanoseconds",
            signature: "(moment: string) -> string",
            doc: "The nanoseconds since 1970 of an RFC 3339 time with any offset, such as Docker writes: `\"1732440000123456789\"`, as decimal digits, since a \
                  number would lose the last ones.\n\nRaises on anything else.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, to_nanoseconds),
        },
        Function {
            name: "from_nanoseconds",
            signature: "(nanoseconds: string) -> string",
            doc: "The moment so many nanoseconds after 1970 in RFC 3339, in UTC and with nine digits of a second: `2024-11-24T09:20:00.123456789Z`. Two of them \
                  compare as strings as they do as moments.\n\nRaises outside the years 0 to 9999.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, from_nanoseconds),
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
    let moment = moment
        .unwrap_or_else(|| seconds(clock_gettime(ClockId::Realtime)))
        .floor();
    let out_of_range = || format!("`{moment}` is not a moment in the years 0 to 9999");
    if !moment.is_finite() {
        return Err(out_of_range());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what saturates is out of range too"
    )]
    let whole = moment as i64;
    let date = OffsetDateTime::from_unix_timestamp(whole).map_err(|_| out_of_range())?;
    date.format(&Rfc3339).map_err(|_| out_of_range())
}

fn to_nanoseconds(_: &Lua, _: &Host, moment: String) -> Result<String, String> {
    let date = OffsetDateTime::parse(&moment, &Rfc3339);
    let date = date
        .map_err(|_| format!("`{moment}` is not a time such as `2026-01-31T12:00:00.5+01:00`"))?;
    Ok(date.unix_timestamp_nanos().to_string())
}

fn from_nanoseconds(_: &Lua, _: &Host, nanoseconds: String) -> Result<String, String> {
    let wrong = || format!("`{nanoseconds}` is not a number of nanoseconds in the years 0 to 9999");
    let number = nanoseconds.parse().map_err(|_| wrong())?;
    let date = OffsetDateTime::from_unix_timestamp_nanos(number).map_err(|_| wrong())?;
    let (year, month, day) = date.to_calendar_date();
    if year < 0 {
        return Err(wrong());
    }
    let (hour, minute, second, nano) = date.to_hms_nano();
    let month = u8::from(month);
    Ok(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nano:09}Z"
    ))
}

fn seconds(time: Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
