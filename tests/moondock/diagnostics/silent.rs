//! Mistakes that Lua itself passes over: a second result, and names that do not exist.

use super::{GOOD, RULES, assert_called, called, checked, driver};
use crate::harness::command::Workplace;

const HOOK: &str = "\n  |\n4 | function volume.create(req)\n  |                 ^^^^^^\n  cure: ";

#[test]
fn a_second_result_is_refused() {
    assert_called(
        "return nil, \"no room\"",
        "volume.create",
        "volume.lua:4: `create` returned a second value, \"no room\"",
        &format!(
            "{HOOK}nothing reads a second value: report a failure with `error(\"no room\", 0)`"
        ),
    );
    assert_called(
        "return {}, {}",
        "volume.create",
        "volume.lua:4: `create` returned a second value, a table",
        &format!(
            "{HOOK}nothing reads a second value: return one, and report a failure with `error(\"…\", 0)`"
        ),
    );
    let told = called(&driver("return nil, nil"), RULES, "volume.create");
    assert_eq!(told, (String::new(), String::new()));
}

#[test]
fn a_second_result_of_a_function_given_to_a_kit_is_refused_at_the_function() {
    let text = "local volume = require(\"@moondock/volume\")\nreturn volume.driver({\n  mount = function(v)\n    \
                return \"/m\"\n  end,\n  create = function(v)\n    return nil, \"no room\"\n  end,\n})\n";
    let (told, logged) = called(text, RULES, "volume.create");
    let message = "volume.lua:6: `create` returned a second value, \"no room\"";
    assert_eq!(told, message);
    assert_eq!(
        logged,
        format!(
            "{message}\n  |\n6 |   create = function(v)\n  |   ^^^^^^\n  cure: nothing reads a second value: report a \
             failure with `error(\"no room\", 0)`"
        )
    );
}

#[test]
fn every_interface_refuses_a_second_result() {
    let place = Workplace::new(&[
        (
            "p/secret.lua",
            "return { get_secret = function() return { Value = \"x\" }, \"y\" end }\n",
        ),
        (
            "p/ipam.lua",
            "local i = {}\nfor _, hook in { \"get_capabilities\", \"get_default_address_spaces\", \"request_pool\", \
             \"release_pool\", \"request_address\", \"release_address\" } do\n  i[hook] = function() return nil, \"y\" \
             end\nend\nreturn i\n",
        ),
    ]);
    for (method, body) in [
        ("secret.get_secret", "{\"SecretName\":\"a\"}"),
        ("ipam.release_pool", "{\"PoolID\":\"a\"}"),
    ] {
        let ended = place.run(&["call", "p", method, body]);
        assert_eq!(ended.code, Some(1), "{}", ended.stdout);
        assert!(
            ended.stdout.contains("returned a second value, \\\"y\\\""),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn reading_a_name_that_does_not_exist_raises() {
    for (create, caret, message) in [
        (
            "local x = req.Nmae",
            "Nmae",
            "the request of `volume.create` has no field `Nmae`; did you mean `Name`?",
        ),
        (
            "local x = req.zzz",
            "zzz",
            "the request of `volume.create` has no field `zzz`; there are Name, Opts",
        ),
        (
            "fs.raed(\"/x\")",
            "raed",
            "`fs` has no `raed`; did you mean `read`?",
        ),
        (
            "fs(\"/x\")",
            "fs",
            "`fs` is a table: call one of its functions, such as `fs.allocate`",
        ),
    ] {
        let at = create.find(caret).unwrap();
        let rest = format!(
            "\n  |\n5 |   {create}\n  |   {}{}",
            " ".repeat(at),
            "^".repeat(caret.len())
        );
        assert_called(
            create,
            "volume.create",
            &format!("volume.lua:5: {message}"),
            &rest,
        );
    }
    let settings = (
        "plugin.toml",
        "[settings]\nroot = \"/srv\"\nquotas = { a = 1 }\n",
    );
    let reads = |setting: &str| {
        format!(
            "local settings = require(\"@moondock/plugin\").settings()\nassert(rawget(settings, \"rot\") == nil)\n\
             assert(settings.quotas.nobody == nil and settings.root == \"/srv\")\nlocal x = settings.{setting}\n\
             for name in settings do assert(name) end\nreturn {{}}\n"
        )
    };
    assert!(
        checked(&[GOOD, settings, ("authz.lua", &reads("rot"))])
            .starts_with("authz.lua:4: plugin.toml has no setting `rot`; did you mean `root`?\n")
    );
    assert!(
        checked(&[
            GOOD,
            (
                "volume.lua",
                "local volume = require(\"@moondock/volume\")\nreturn volume.drivr({})\n"
            )
        ])
        .starts_with("volume.lua:2: `volume` has no `drivr`; did you mean `driver`?")
    );
}

#[test]
fn a_request_is_a_table_like_any_other() {
    for create in [
        "assert(req.Opts == nil)",
        "req.own = 1 assert(req.own == 1)",
        "local n = 0 for key in req do n += 1 end assert(n == 1)",
        "local n = 0 for key in pairs(req) do n += 1 end assert(n == 1 and next(req) == \"Name\")",
        "assert(#req == 0 and req[1] == nil and rawget(req, \"Nmae\") == nil)",
        "assert(table.clone(req).Name == req.Name)",
        "assert(json.encode(req) == '{\"Name\":\"v1\"}')",
    ] {
        let text = format!(
            "local json = require(\"@moondock/json\") {}",
            driver(create)
        )
        .replace(
            "function volume.create(req)",
            "function volume.create(req) req.ID = nil",
        );
        assert_eq!(
            called(&text, RULES, "volume.create"),
            (String::new(), String::new()),
            "{create}"
        );
    }
}
