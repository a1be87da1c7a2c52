//! What engines and podman really sent, answered in a form that they accept.

use crate::harness::go::{Strictness, accept, refusal};
use crate::harness::lua::block_on;
use crate::harness::recorded::{Call, GET, RecordedPlugin, calls, good_body, paths};
use moondock::plugin::Reply;
use serde_json::{Map, Value, json};

/// What an engine leaves out, or sends as `null`, when it is unset.
const MAY_BE_UNSET: &[&str] = &[
    "Opts",
    "Options",
    "IPv4Data",
    "IPv6Data",
    "Interface",
    "AddressSpace",
    "Pool",
    "SubPool",
    "V6",
    "DiscoveryData",
    "SecretLabels",
    "ServiceLabels",
    "ServiceEndpointSpec",
    "TaskName",
];

/// Methods that the engine calls without arguments, some with an empty body and some with `{}`.
const WITHOUT_ARGUMENTS: &[&str] = &[
    "/VolumeDriver.List",
    "/VolumeDriver.Capabilities",
    "/NetworkDriver.GetCapabilities",
    "/IpamDriver.GetCapabilities",
    "/IpamDriver.GetDefaultAddressSpaces",
];

#[test]
fn recorded_calls_are_answered_in_a_form_that_engines_accept() {
    block_on(async {
        let recorded = RecordedPlugin::permissive().await;
        for call in calls().filter(Call::is_replayed) {
            let reply = recorded.call(&call.path, &call.body).await;
            accept(&call.path, &call.body, &reply, Strictness::Meaning)
                .unwrap_or_else(|problem| panic!("{}: {problem}: {reply:?}", call.name()));
        }
    });
}

#[test]
fn every_served_method_is_among_the_recorded_calls() {
    for path in paths() {
        assert!(calls().any(|call| call.path == path), "{path}");
    }
}

#[test]
fn methods_without_arguments_take_every_form_of_an_empty_body() {
    block_on(async {
        let recorded = RecordedPlugin::permissive().await;
        for path in WITHOUT_ARGUMENTS {
            for body in ["", "{}", "{}\n", " \r\n", "{ }\n\n"] {
                let reply = recorded.call(path, body).await;
                assert_eq!(
                    accept(path, body, &reply, Strictness::Meaning),
                    Ok(()),
                    "{path} `{body}`"
                );
            }
        }
    });
}

/// The engine's retry loses the body (protocol 1.6), which must not pass for "all defaults".
#[test]
fn methods_with_arguments_refuse_an_empty_body() {
    block_on(async {
        let recorded = RecordedPlugin::permissive().await;
        for path in paths().filter(|path| !WITHOUT_ARGUMENTS.contains(&path.as_str())) {
            for body in ["", "\n", "{}", "{", "[]", "null"] {
                let reply = recorded.call(&path, body).await;
                match path == GET {
                    true => assert_eq!(reply, Reply::HangUp, "{body:?}"),
                    false if body == "{}" => {} // where all fields are optional, it is a request
                    false => {
                        assert_eq!(
                            refusal(&reply).map(|(status, _)| status),
                            Ok(400),
                            "{path} {body:?}"
                        )
                    }
                }
            }
        }
    });
}

#[test]
fn unset_fields_may_be_null_or_absent() {
    block_on(async {
        let recorded = RecordedPlugin::permissive().await;
        for call in calls().filter(Call::is_replayed) {
            let Ok(Value::Object(whole)) = serde_json::from_str(&call.body) else {
                continue;
            };
            for field in MAY_BE_UNSET
                .iter()
                .filter(|field| whole.contains_key(**field))
            {
                let mut null = whole.clone();
                null.insert((*field).to_owned(), Value::Null);
                let mut absent = whole.clone();
                absent.remove(*field);
                for body in [null, absent].map(|body| Value::Object(body).to_string()) {
                    let reply = recorded.call(&call.path, &body).await;
                    accept(&call.path, &body, &reply, Strictness::Meaning).unwrap_or_else(
                        |problem| panic!("{} {body}: {problem}: {reply:?}", call.path),
                    );
                }
            }
        }
    });
}

#[test]
fn fields_of_newer_engines_do_no_harm() {
    block_on(async {
        let recorded = RecordedPlugin::permissive().await;
        for path in paths() {
            let mut body: Map<_, _> = serde_json::from_str(&good_body(&path)).unwrap_or_default();
            body.insert(
                "Later".to_owned(),
                json!({ "a": [1, 2.5, null, { "b": [] }], "": false }),
            );
            let body = Value::Object(body).to_string();
            let reply = recorded.call(&path, &body).await;
            assert_eq!(
                accept(&path, &body, &reply, Strictness::Meaning),
                Ok(()),
                "{path}: {reply:?}"
            );
        }
    });
}

/// 500 with the message in `Err` and in `Error`; but an error of `Get` would be taken for "no such volume", and a
/// policy that fails denies.
#[test]
fn a_hook_that_raises_fails_its_call() {
    block_on(async {
        let recorded = RecordedPlugin::every_hook("error('the disk burns', 0)").await;
        for path in paths() {
            let reply = recorded.call(&path, &good_body(&path)).await;
            match path.as_str() {
                GET => assert_eq!(reply, Reply::HangUp),
                "/AuthZPlugin.AuthZReq" | "/AuthZPlugin.AuthZRes" => assert_eq!(
                    reply,
                    Reply::Answer {
                        status: 200,
                        body: br#"{"Allow":false,"Msg":"the policy failed: the disk burns"}"#
                            .to_vec()
                    }
                ),
                _ => assert_eq!(
                    refusal(&reply),
                    Ok((500, "the disk burns".to_owned())),
                    "{path}"
                ),
            }
        }
    });
}

#[test]
fn a_missing_volume_is_an_error_for_podman_too() {
    block_on(async {
        for body in ["", "return nil", "return {}"] {
            let recorded = RecordedPlugin::every_hook(body).await;
            let reply = recorded.call(GET, r#"{"Name":"v"}"#).await;
            assert_eq!(
                refusal(&reply),
                Ok((500, "no such volume".to_owned())),
                "{body}"
            );
        }
    });
}

/// Replies that engines refuse, or that do harm there: so that the checks above are worth something.
#[test]
fn the_checks_know_bad_replies() {
    let endpoint = r#"{"Interface":{"Address":"10.0.0.2/24","AddressIPv6":"","MacAddress":""}}"#;
    for (path, request, body) in [
        ("/VolumeDriver.Create", "", ""),
        ("/VolumeDriver.Create", "", "{}{}"),
        ("/VolumeDriver.Create", "", "[]"),
        ("/VolumeDriver.Create", "", r#"{"Err":"x"}"#),
        ("/VolumeDriver.Mount", "", "{}"),
        ("/VolumeDriver.Mount", "", r#"{"Mountpoint":""}"#),
        ("/VolumeDriver.Mount", "", r#"{"Mountpoint":"m"}"#),
        ("/VolumeDriver.List", "", r#"{"Volumes":{}}"#),
        ("/VolumeDriver.List", "", r#"{"Volumes":[null]}"#),
        (
            "/VolumeDriver.List",
            "",
            r#"{"Volumes":[{"Name":"a","CreatedAt":"2026-02-30T00:00:00Z"}]}"#,
        ),
        (
            "/VolumeDriver.List",
            "",
            r#"{"Volumes":[{"Name":"a","Status":[]}]}"#,
        ),
        (
            "/VolumeDriver.Get",
            r#"{"Name":"a"}"#,
            r#"{"Volume":{"Name":"b"}}"#,
        ),
        (
            "/VolumeDriver.Get",
            r#"{"Name":"a"}"#,
            r#"{"Volume":{"Name":"a","CreatedAt":""}}"#,
        ),
        ("/NetworkDriver.GetCapabilities", "", r#"{"Scope":"Local"}"#),
        (
            "/NetworkDriver.CreateEndpoint",
            endpoint,
            r#"{"Interface":{"Address":"10.0.0.2/24"}}"#,
        ),
        (
            "/NetworkDriver.CreateEndpoint",
            endpoint,
            r#"{"Interface":{"AddressIPv6":"fd00::2"}}"#,
        ),
        (
            "/NetworkDriver.CreateEndpoint",
            endpoint,
            r#"{"Interface":{"MacAddress":"02:42"}}"#,
        ),
        ("/NetworkDriver.Join", "", r#"{"Gateway":"10.0.0.1/24"}"#),
        (
            "/NetworkDriver.Join",
            "",
            r#"{"InterfaceName":{"SrcName":"longer-than-15-b","DstPrefix":"eth"}}"#,
        ),
        (
            "/NetworkDriver.Join",
            "",
            r#"{"StaticRoutes":[{"Destination":"10.0.0.0/8"}]}"#,
        ),
        (
            "/IpamDriver.RequestPool",
            "",
            r#"{"PoolID":"","Pool":"10.0.0.0/8"}"#,
        ),
        (
            "/IpamDriver.RequestPool",
            "",
            r#"{"PoolID":"p","Pool":"10.0.0.0/8","Data":[]}"#,
        ),
        (
            "/IpamDriver.RequestAddress",
            "",
            r#"{"Address":"10.0.0.2"}"#,
        ),
        ("/SecretProvider.GetSecret", "", r#"{"Value":"no base64"}"#),
        ("/AuthZPlugin.AuthZReq", "", r#"{"Msg":"x"}"#),
    ] {
        let reply = Reply::Answer {
            status: 200,
            body: body.into(),
        };
        assert!(
            accept(path, request, &reply, Strictness::Meaning).is_err(),
            "{path} {body}"
        );
        let failed = Reply::Answer {
            status: 204,
            body: b"{}".to_vec(),
        };
        assert!(
            accept(path, request, &failed, Strictness::Types).is_err(),
            "{path}"
        );
    }
}
