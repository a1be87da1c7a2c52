//! `@moondock/time`: clocks, time formats and waiting.

use super::{Host, Module, Needs, function};
use mlua::Lua;
use rustix::time::ClockId;
use std::rc::Rc;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "time",
    functions: &[
        function("now",              Needs::Nothing, |lua, bind| bind.pure(lua, now)),
        function("monotonic",        Needs::Nothing, |lua, bind| bind.pure(lua, monotonic)),
        function("sleep",            Needs::Nothing, |lua, bind| bind.waiting(lua, sleep)),
        function("rfc3339",          Needs::Nothing, |lua, bind| bind.pure(lua, rfc3339)),
        function("to_nanoseconds",   Needs::Nothing, |lua, bind| bind.pure(lua, to_nanoseconds)),
        function("from_nanoseconds", Needs::Nothing, |lua, bind| bind.pure(lua, from_nanoseconds)),
    ],
};

fn now(_: &Lua, host: &Host, (): ()) -> Result<f64, String> {
    Ok(host.seconds(ClockId::Realtime))
}

fn monotonic(_: &Lua, host: &Host, (): ()) -> Result<f64, String> {
    Ok(host.seconds(ClockId::Monotonic))
}

async fn sleep(_: Lua, _: Rc<Host>, seconds: f64) -> Result<(), String> {
    let wait = Duration::try_from_secs_f64(seconds);
    let wait = wait.map_err(|_| format!("cannot sleep for `{seconds}` seconds"))?;
    tokio::time::sleep(wait).await;
    Ok(())
}

fn rfc3339(_: &Lua, host: &Host, moment: Option<f64>) -> Result<String, String> {
    let moment = moment
        .unwrap_or_else(|| host.seconds(ClockId::Realtime))
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
    let out_of_range =
        || format!("`{nanoseconds}` is not a number of nanoseconds in the years 0 to 9999");
    let number = nanoseconds.parse().map_err(|_| out_of_range())?;
    let date = OffsetDateTime::from_unix_timestamp_nanos(number).map_err(|_| out_of_range())?;
    let (year, month, day) = date.to_calendar_date();
    if year < 0 {
        return Err(out_of_range());
    }
    let (hour, minute, second, nano) = date.to_hms_nano();
    let month = u8::from(month);
    Ok(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nano:09}Z"
    ))
}
