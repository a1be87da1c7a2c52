//! Replies that the engine can read, and those that it cannot.

use super::*;
use crate::protocol::find;
use mlua::Lua;

fn reply(method: &str, lua_text: &str) -> Result<String, String> {
    let lua = Lua::new();
    let value: Value = lua.load(lua_text).eval().expect(lua_text);
    let bytes = encode(find(method).expect(method).reply, &value);
    bytes
        .map(|bytes| String::from_utf8(bytes).expect("JSON is UTF-8"))
        .map_err(|e| match e.cure.clone() {
            Some(cure) => format!("{e} ({cure})"),
            None => e.to_string(),
        })
}

#[test]
fn keys_of_a_table_within_itself_count_at_each_depth() {
    let text = "local t = {}
        for i = 1, 8 do t['k' .. i .. string.rep('x', 2 ^ 20)] = 1 end
        t.a = t
        return { Value = t }";
    let error = reply("NetworkDriver.EndpointOperInfo", text).unwrap_err();
    assert!(error.contains("holds more than 16 MiB"), "{error}");
}

#[test]
fn empty_tables_become_lists_or_objects_by_their_field() {
    assert_eq!(
        reply("VolumeDriver.List", "return { Volumes = {} }").unwrap(),
        r#"{"Volumes":[]}"#
    );
    assert_eq!(
        reply("NetworkDriver.EndpointOperInfo", "return { Value = {} }").unwrap(),
        r#"{"Value":{}}"#
    );
    assert_eq!(reply("VolumeDriver.Create", "return nil").unwrap(), "{}");
}

#[test]
fn invalid_replies_are_named_with_a_cure() {
    let cases = [
        (
            "VolumeDriver.Mount",
            "return nil",
            "the reply is missing (return { Mountpoint = … })",
        ),
        (
            "VolumeDriver.Mount",
            "return '/x'",
            "the reply must be a table, not a string (return { Mountpoint = … })",
        ),
        (
            "VolumeDriver.Mount",
            "return { Mountpont = '/x' }",
            "the reply's `Mountpont` is not a field that Docker reads (did you mean `Mountpoint`?)",
        ),
        (
            "VolumeDriver.Mount",
            "return { Mountpoint = 1 }",
            "the reply's `Mountpoint` must be a string, not a number",
        ),
        (
            "VolumeDriver.Mount",
            "return { Mountpoint = '' }",
            "the reply's `Mountpoint` is empty",
        ),
        (
            "VolumeDriver.Create",
            "return { Err = 'x' }",
            "the reply's `Err` is not a field that Docker reads (report a failure with `error(\"…\", 0)`)",
        ),
        (
            "VolumeDriver.Get",
            "return { Volume = { Name = 'v', CreatedAt = '' } }",
            "the reply's `Volume.CreatedAt` is not an RFC 3339 time (use `time.rfc3339()`, or leave the field out)",
        ),
        (
            "VolumeDriver.List",
            "return { Volumes = { a = {} } }",
            "the reply's `Volumes` must be a list: keys 1, 2, 3 … without gaps",
        ),
        (
            "VolumeDriver.List",
            "return { Volumes = { 7 } }",
            "the reply's `Volumes[1]` must be a table, not a number (return { Name = …, Mountpoint = …, CreatedAt = …, Status = … })",
        ),
    ];
    for (method, text, message) in cases {
        assert_eq!(reply(method, text).unwrap_err(), message, "{text}");
    }
}

#[test]
fn recursive_tables_are_refused() {
    let text = "local t = {}; t.t = t; return { Value = t }";
    assert!(
        reply("NetworkDriver.EndpointOperInfo", text)
            .unwrap_err()
            .contains("nested too deeply")
    );
}
