//! What a policy sees of a request, and what becomes of what it says.

use crate::harness::scripted::{Scripted, Scripts, request, request_with};
use serde_json::{Value, json};

fn policy(hook: &str) -> Scripts {
    let json = "local json = require('@moondock/json')";
    let text = format!(
        "{json}\nlocal authz = {{}}\nlocal kept\nfunction authz.request(req)\n  {hook}\nend\nreturn authz\n"
    );
    Scripts::new([("authz.lua", text.as_str())])
}

/// What an expression is for a request.
fn seen(expression: &str, request: &Value) -> String {
    let hook = format!("return false, tostring({expression})");
    policy(&hook).open(async |plugin| plugin.decision(request.clone()).await.unwrap())
}

fn create() -> Value {
    let body = json!({
        "image": "x",
        "Env": null,
        "Cmd": [null, "sh", null],
        "Hostname": "h",
        "hostconfig": { "privileged": true, "Binds": ["/usr/../etc:/c:ro"], "CapAdd": ["A", "B"], "Memory": 5.5, "Sysctls": {} },
        "Labels": { "A": "1", "a": "2", "é": "3" },
        "NewInSomeEngine": 5,
    });
    request_with(
        "POST",
        "/v1.41/containers/create?name=a%20b&x=1&x=2&flag",
        &body,
    )
}

const KEYS: &str = "(function() local n = {} for k in ITERATOR do n[#n + 1] = k end table.sort(n) return table.concat(n, ' ') end)()";

#[test]
fn policies_see_bodies_as_the_engine_reads_them() {
    for (expression, value) in [
        ("req.body.Image", "x"),
        ("req.body.IMAGE", "x"),
        ("req.body.image .. req.body.Image", "xx"),
        ("req.body.HostConfig.Privileged", "true"),
        ("req.body.hostConfig.PRIVILEGED", "true"),
        ("req.body['Ho\u{17f}tConfig']['Privileged']", "true"),
        ("req.body.HostConfig == req.body.HostConfig", "true"),
        ("req.body.HostConfig.capadd[2]", "B"),
        ("#req.body.HostConfig.CapAdd", "2"),
        ("req.body.HostConfig.Memory", "5.5"),
        ("req.body.HostConfig.PidMode", "nil"),
        ("req.body.hostconfig.pidmode", "nil"),
        ("req.body.NewInSomeEngine", "5"),
        ("req.body.NetworkingConfig", "nil"),
        ("req.body.HostConfig[1]", "nil"),
        ("req.body.Env", "nil"),
        ("#req.body.Cmd .. req.body.Cmd[1]", "1sh"),
        (
            "req.body.Labels.A .. req.body.Labels.a .. req.body.Labels['é']",
            "123",
        ),
        ("req.body.Labels['É']", "nil"),
        ("next(req.body.HostConfig.Sysctls)", "nil"),
        ("#req.body", "0"),
        ("json.encode(req.body.HostConfig.CapAdd)", r#"["A","B"]"#),
        (
            "json.encode(req.body.Labels)",
            r#"{"A":"1","a":"2","é":"3"}"#,
        ),
        ("json.decode(req.RequestBody).image", "x"),
        (
            &KEYS.replace("ITERATOR", "req.body"),
            "Cmd Hostname Labels NewInSomeEngine hostconfig image",
        ),
        (
            &KEYS.replace("ITERATOR", "pairs(req.body)"),
            "Cmd Hostname Labels NewInSomeEngine hostconfig image",
        ),
        (
            &KEYS.replace("ITERATOR", "next, req.body"),
            "Cmd Hostname Labels NewInSomeEngine hostconfig image",
        ),
        (
            &KEYS.replace("ITERATOR", "pairs(req.body.HostConfig)"),
            "Binds CapAdd Memory Sysctls privileged",
        ),
        (
            "(function() local n = 0 table.foreach(req.body, function() n += 1 end) return n end)()",
            "6",
        ),
        (
            "(function() local step, n = next, 0 for k in step, req.body do n += 1 end return n end)()",
            "6",
        ),
        ("next(req.body) ~= nil", "true"),
        (
            "json.decode(json.encode(req.body)).hostconfig.privileged",
            "true",
        ),
    ] {
        assert_eq!(seen(expression, &create()), value, "{expression}");
    }
}

#[test]
fn derived_fields_are_present() {
    for (expression, value) in [
        ("req.action", "container.create"),
        ("req.effect", "write"),
        ("req.path", "/containers/create"),
        ("req.api_version", "1.41"),
        ("req.body_state", "json"),
        ("req.query.name", "a b"),
        ("req.query.x", "1"),
        ("req.query.flag == ''", "true"),
        ("req.query.platform", "nil"),
        ("table.concat(req.queries.x, ',')", "1,2"),
        ("req.queries.platform", "nil"),
        ("json.encode(req.params)", "{}"),
        ("req.params.id", "nil"),
        (
            "(function() local n = 0 for _ in pairs(req.query) do n += 1 end return n end)()",
            "3",
        ),
        (
            "(function() local n = 0 for _ in req.query do n += 1 end return n end)()",
            "3",
        ),
        (
            "table.clone(req.query).flag == '' and next(req.queries) ~= nil",
            "true",
        ),
        ("json.decode(json.encode(req.query)).name", "a b"),
        (
            "json.decode(json.encode(req.mounts))[1].via",
            "HostConfig.Binds[0]",
        ),
        ("#req.mounts", "1"),
        ("req.mounts[1].source", "/usr/../etc"),
        ("req.mounts[1].resolved", "/etc"),
        ("req.mounts[1].target", "/c"),
        ("req.mounts[1].read_only", "true"),
        ("req.mounts[1].via", "HostConfig.Binds[0]"),
        ("req.user", "nil"),
        ("req.User", "nil"),
        ("req.RequestMethod", "POST"),
        (
            "req.RequestUri",
            "/v1.41/containers/create?name=a%20b&x=1&x=2&flag",
        ),
        ("req.RequestHeaders['Content-Type']", "application/json"),
        ("req.ResponseStatusCode", "nil"),
        ("json.decode(json.encode(req)).action", "container.create"),
        (
            &KEYS.replace("ITERATOR", "req"),
            "RequestBody RequestHeaders RequestMethod RequestPeerCertificates RequestUri action api_version body \
             body_state effect mounts params path queries query",
        ),
    ] {
        assert_eq!(seen(expression, &create()), value, "{expression}");
    }
}

#[test]
fn each_kind_of_request_has_its_fields() {
    for (method, uri, expression, value) in [
        (
            "GET",
            "/v1.41/containers/abc/json",
            "req.id .. req.params.id .. req.action .. req.effect",
            "abcabccontainer.inspectread",
        ),
        (
            "GET",
            "http://x/v1.41/containers/a%2Fb/json",
            "req.id",
            "a/b",
        ),
        ("GET", "/%76ersion", "req.action", "system.version"),
        ("GET", "/_ping", "req.api_version", "nil"),
        ("GET", "/nowhere", "req.action", "nil"),
        ("GET", "/nowhere", "req.effect", "unknown"),
        ("GET", "/nowhere", "req.id", "nil"),
        ("GET", "/version", "req.body", "nil"),
        ("GET", "/version", "req.body_state", "none"),
        ("GET", "/version", "#req.mounts", "0"),
        ("GET", "/containers/a/attach/ws", "req.effect", "write"),
    ] {
        assert_eq!(
            seen(expression, &request(method, uri)),
            value,
            "{method} {uri}: {expression}"
        );
    }
}

/// Certificates are given as the Base64 of PEM; this one is `CN = alice, O = team`, for `localhost` and 127.0.0.1.
const ALICE: &str = "-----BEGIN CERTIFICATE-----
MIIBrjCCAVWgAwIBAgIUK3/ETmlNACBLRkFNpEsHZKz40YowCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGdGVzdGNhMB4XDTI2MTEyMzA3MzIwOFoXDTI2MTIyMzA3MzIw
OFowHzENMAsGA1UECgwEdGVhbTEOMAwGA1UEAwwFYWxpY2UwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAARCSisV+wa3JAdcLs1As62HrKwo2MGvlYtd5PKpj8IjL08G
nAoXYYAo8NW92ncaQO/bPTyJ58EnoTNSdCrfmo0Do30wezAaBgNVHREEEzARggls
b2NhbGhvc3SHBH8AAAEwHQYDVR0lBBYwFAYIKwYBBQUHAwEGCCsGAQUFBwMCMB0G
A1UdDgQWBBRVPcArfNix6VpaENPoseuZmEjL4TAfBgNVHSMEGDAWgBTzYZD56IG5
JzHPTY91/g8UFfECNSTAKBggqhkjOPQQDAgNHADBEAiAaQAdDWdxffDijIvMbczeB
-----END CERTIFICATE-----
";

fn from_alice(certificate: &str) -> Value {
    use base64::Engine;
    let mut request = request("GET", "/version");
    request["User"] = json!("alice");
    request["UserAuthNMethod"] = json!("TLS");
    request["RequestPeerCertificates"] =
        json!([base64::engine::general_purpose::STANDARD.encode(certificate)]);
    request
}

/// A certificate made just now, as a client of a TLS socket has it.
fn fresh_certificate() -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut openssl = std::process::Command::new("openssl");
    openssl.current_dir(&directory).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]);
    openssl.args([
        "-nodes",
        "-keyout",
        "key",
        "-out",
        "certificate",
        "-days",
        "1",
        "-subj",
        "/O=team/OU=ops/CN=alice",
    ]);
    openssl.args([
        "-addext",
        "subjectAltName=DNS:a.example,IP:10.0.0.1,email:a@example,URI:urn:a",
    ]);
    let output = openssl.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read_to_string(directory.path().join("certificate")).unwrap()
}

#[test]
fn the_user_and_certificate_are_visible() {
    let request = from_alice(&fresh_certificate());
    for (expression, value) in [
        ("req.User .. req.UserAuthNMethod", "aliceTLS"),
        ("req.user.name .. req.user.method", "aliceTLS"),
        ("req.user.certificate.common_name", "alice"),
        ("req.user.certificate.organizations[1]", "team"),
        ("req.user.certificate.organizational_units[1]", "ops"),
        ("req.user.certificate.dns_names[1]", "a.example"),
        ("req.user.certificate.ip_addresses[1]", "10.0.0.1"),
        ("req.user.certificate.emails[1]", "a@example"),
        ("req.user.certificate.uris[1]", "urn:a"),
        ("req.user.certificate.not_after > os.time()", "true"),
        ("#req.user.certificate.serial > 10", "true"),
        ("#req.RequestPeerCertificates", "1"),
    ] {
        assert_eq!(seen(expression, &request), value, "{expression}");
    }
}

#[test]
fn reading_an_invalid_certificate_denies() {
    for certificate in [ALICE, "", "no certificate"] {
        let request = from_alice(certificate);
        let allowed = policy("return req.user.certificate.common_name ~= 'mallory'");
        let denial = allowed.open(async |plugin| plugin.decision(request.clone()).await.unwrap());
        assert!(
            denial.contains("the client's certificate cannot be read"),
            "{denial}"
        );
        assert_eq!(
            policy("return true").open(async |plugin| plugin.decision(request).await),
            None
        );
    }
}

#[test]
fn unknown_fields_of_a_request_raise() {
    for (expression, error) in [
        (
            "req.Body",
            "a request has no field `Body`; did you mean `body`?",
        ),
        (
            "req.boddy",
            "a request has no field `boddy`; did you mean `body`?",
        ),
        (
            "req.RequestURI",
            "a request has no field `RequestURI`; did you mean `RequestUri`?",
        ),
        ("req.Privileged", "a request has no field `Privileged`"),
        ("req.users", "did you mean `user`?"),
        (
            "setmetatable(req, {})",
            "cannot change a protected metatable",
        ),
        (
            "setmetatable(req.body, {})",
            "cannot change a protected metatable",
        ),
        ("table.clone(req.body)", "table has a protected metatable"),
        (
            "(function() getmetatable(req).__index = nil end)()",
            "attempt to index string",
        ),
        ("req.body.Image.x.y", "`string` has no `x`"),
    ] {
        let hook = format!("local value = {expression}\n  return true");
        let denial = policy(&hook).open(async |plugin| plugin.decision(create()).await.unwrap());
        assert!(
            denial.starts_with("the policy failed: authz.lua:5: "),
            "{expression}: {denial}"
        );
        assert!(denial.contains(error), "{expression}: {denial}");
    }
}

/// What a policy says that only reads `expression` of a request.
fn denial_of_reading(expression: &str, request: Value) -> Option<String> {
    let hook = format!("local value = {expression}\n  return true");
    policy(&hook).open(async |plugin| plugin.decision(request).await)
}

#[test]
fn names_that_no_engine_knows_raise() {
    let create = |more: Value| {
        let mut host = json!({
            "Mounts": [{ "Type": "volume", "Source": "v" }],
            "LogConfig": { "Type": "", "Config": {} },
        });
        host.as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        request_with(
            "POST",
            "/v1.41/containers/create?name=a",
            &json!({ "Image": "x", "HostConfig": host, "NetworkingConfig": { "EndpointsConfig": { "n": {} } } }),
        )
    };
    for (expression, wrong) in [
        (
            "req.body.HostConfig.Priviliged",
            "the body of container.create has no field `HostConfig.Priviliged`; did you mean `Privileged`?",
        ),
        (
            "req.body.hostconfig.privilegd",
            "no field `HostConfig.privilegd`; did you mean `Privileged`?",
        ),
        (
            "req.body.Hostconfg",
            "the body of container.create has no field `Hostconfg`; did you mean `HostConfig`?",
        ),
        (
            "req.body.Privileged",
            "the body of container.create has no field `Privileged`; did you mean `HostConfig.Privileged`?",
        ),
        (
            "req.body.Subnet",
            "the body of container.create has no field `Subnet`",
        ),
        (
            "req.body.HostConfig.Mounts[1].Sorce",
            "no field `HostConfig.Mounts[0].Sorce`; did you mean `Source`?",
        ),
        (
            "(function() for _, mount in req.body.HostConfig.Mounts do return mount.VolumeOption end end)()",
            "did you mean `VolumeOptions`?",
        ),
        (
            "(function() for _, part in req.body do if type(part) == 'table' then local _ = part.Tpye end end end)()",
            "has no field `",
        ),
        ("req.body.HostConfig.LogConfig.Typ", "did you mean `Type`?"),
        (
            "req.body.NetworkingConfig.EndpointsConfig.n.MacAdress",
            "no field `NetworkingConfig.EndpointsConfig.n.MacAdress`; did you mean `MacAddress`?",
        ),
        (
            "req.query.nam",
            "the query of container.create has no parameter `nam`; did you mean `name`?",
        ),
        (
            "req.queries.Name",
            "the query of container.create has no parameter `Name`; did you mean `name`?",
        ),
        (
            "req.params.idd",
            "no route has a placeholder `idd`; did you mean `id`?",
        ),
    ] {
        let denial = denial_of_reading(expression, create(json!({})));
        let denial = denial.unwrap_or_else(|| panic!("{expression} is allowed"));
        assert!(
            denial.starts_with("the policy failed: authz.lua:5: "),
            "{denial}"
        );
        assert!(denial.contains(wrong), "{expression}: {denial}");
    }
    for expression in [
        "req.body.HostConfig.Privileged or req.body.HostConfig.PidMode",
        "req.body.HostConfig.Mounts[1].BindOptions",
        "req.body.HostConfig.LogConfig.Config['syslog-adress']",
        "req.body.NetworkingConfig.EndpointsConfig.other",
        "req.body.Labels or req.body.Volumes",
        "req.body.HostConfig.Future.Anything",
        "req.RequestHeaders.Anything",
    ] {
        let future = create(json!({ "Future": { "A": 1 } }));
        assert_eq!(denial_of_reading(expression, future), None, "{expression}");
    }
}

#[test]
fn bodies_and_queries_of_unknown_routes_are_not_judged() {
    let unknown = request_with("POST", "/v1.41/newer/route?a=b", &json!({ "A": {} }));
    for expression in ["req.body.B", "req.body.A.B", "req.query.c"] {
        assert_eq!(
            denial_of_reading(expression, unknown.clone()),
            None,
            "{expression}"
        );
    }
}

#[test]
fn unknown_names_of_mounts_and_users_raise() {
    for (expression, wrong) in [
        (
            "req.mounts[1].resolvd",
            "a mount has no field `resolvd`; did you mean `resolved`?",
        ),
        (
            "req.mounts[1].readonly",
            "a mount has no field `readonly`; did you mean `read_only`?",
        ),
    ] {
        let denial = denial_of_reading(expression, create()).unwrap();
        assert!(denial.contains(wrong), "{expression}: {denial}");
    }
    let alice = from_alice(&fresh_certificate());
    for (expression, wrong) in [
        (
            "req.user.nmae",
            "a user has no field `nmae`; did you mean `name`?",
        ),
        ("req.user.certificate.cn", "a certificate has no field `cn`"),
        (
            "req.user.certificate.organisations",
            "a certificate has no field `organisations`; did you mean `organizations`?",
        ),
    ] {
        let denial = denial_of_reading(expression, alice.clone()).unwrap();
        assert!(denial.contains(wrong), "{expression}: {denial}");
    }
}

#[test]
fn fields_of_host_config_are_refused_beside_it() {
    let body = |more: Value| {
        let mut body = json!({ "Image": "x", "HostConfig": {} });
        body.as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        request_with("POST", "/v1.41/containers/create", &body)
    };
    policy("return true").open(async |plugin| {
        for (more, name) in [
            (json!({ "Privileged": true }), "Privileged"),
            (json!({ "pidmode": "host" }), "pidmode"),
            (json!({ "Binds": ["/:/h"] }), "Binds"),
            (json!({ "Memory": 7 }), "Memory"),
            (json!({ "cpuset": "0" }), "cpuset"),
            (json!({ "LogConfig": { "Type": "syslog" } }), "LogConfig"),
        ] {
            let wrong = format!("`{name}` is refused outside of `HostConfig`: some engines read it there and some do not");
            assert_eq!(plugin.decision(body(more)).await, Some(wrong));
        }
        let absent = json!({ "Privileged": null, "Memory": null, "Binds": null, "cpuset": null });
        assert_eq!(plugin.decision(body(absent)).await, None);
    });
}

/// To the engine, an empty list is not an absent one: without masked paths, none is masked.
#[test]
fn empty_fields_of_host_config_are_refused_beside_it() {
    let known = moondock::authz::body_of("container.create").unwrap();
    let fields = known.within("HostConfig").unwrap().names();
    assert!(fields.contains(&"MaskedPaths") && fields.contains(&"Ulimits"));
    policy("return true").open(async |plugin| {
        for field in fields {
            for empty in [json!([]), json!({}), json!(0), json!(false), json!("")] {
                for host in [json!({}), json!(null)] {
                    let body = json!({ "Image": "x", "HostConfig": host, field: empty });
                    let request = request_with("POST", "/v1.41/containers/create", &body);
                    let refusal = plugin.decision(request).await.unwrap_or_default();
                    let wrong = format!("`{field}` is refused outside of `HostConfig`");
                    assert!(refusal.starts_with(&wrong), "{body}: {refusal}");
                }
            }
        }
    });
}

/// The engine looks for `NAME.sock` in its directories of plugins, and does not clean the name.
#[test]
fn a_path_is_no_name_of_a_driver() {
    let cases = [
        ("/volumes/create", json!({ "Driver": "../p" }), "Driver"),
        (
            "/containers/create",
            json!({ "HostConfig": { "volumedriver": "/run/p" } }),
            "HostConfig.VolumeDriver",
        ),
        (
            "/networks/create",
            json!({ "IPAM": { "Driver": "a/../../p" } }),
            "IPAM.Driver",
        ),
        (
            "/services/create",
            json!({ "TaskTemplate": { "LogDriver": { "Name": "../ops:1" } } }),
            "TaskTemplate.LogDriver.Name",
        ),
    ];
    policy("return true").open(async |plugin| {
        for (path, body, field) in cases {
            let refusal = plugin.decision(request_with("POST", path, &body)).await;
            let refusal = refusal.unwrap_or_default();
            assert!(
                refusal.starts_with(&format!("`{field}` may not be \"")),
                "{refusal}"
            );
            assert!(refusal.ends_with("name a driver, as in `local` or `acme/nas:1.0`"));
        }
        for name in [
            "local",
            "ops",
            "vieux/sshfs:latest",
            "registry:5000/a/b:tag",
        ] {
            let volume = request_with("POST", "/volumes/create", &json!({ "Driver": name }));
            assert_eq!(plugin.decision(volume).await, None, "{name}");
        }
    });
}

#[test]
fn tables_of_an_answered_request_raise() {
    for (keep, read) in [
        ("req", "kept.path"),
        ("req.body", "kept.Image"),
        ("req.body.HostConfig", "kept.Privileged"),
        ("req.body", "next(kept)"),
        ("req", "pairs(kept)"),
    ] {
        let hook = format!(
            "if not kept then kept = {keep} return true end\n  local value = {read}\n  return true"
        );
        policy(&hook).open(async |plugin| {
            assert_eq!(plugin.decision(create()).await, None);
            let denial = plugin.decision(create()).await.unwrap();
            let expected = "the policy failed: authz.lua:6: this request has been answered: keep the values that you need, not its tables";
            assert_eq!(denial, expected, "{keep}, {read}");
        });
    }
}

#[test]
fn only_true_allows_a_request() {
    let failed = |what| {
        format!(
            "the policy failed: authz.lua:4: `request` must return `true`, or `false` and a reason; it returned {what}"
        )
    };
    for (hook, denial) in [
        ("return true", None),
        ("return true, 'and why'", None),
        ("return false, 'because'", Some("because".to_owned())),
        (
            "return false",
            Some("the policy of plugin `p` gives no reason".to_owned()),
        ),
        (
            "return false, nil, 'x'",
            Some("the policy of plugin `p` gives no reason".to_owned()),
        ),
        ("return false, 7", Some(failed("boolean"))),
        ("return", Some(failed("nothing"))),
        ("", Some(failed("nothing"))),
        ("return nil", Some(failed("nil"))),
        ("return nil, true", Some(failed("nil"))),
        ("return 1", Some(failed("number"))),
        ("return 1.5", Some(failed("number"))),
        ("return 'true'", Some(failed("string"))),
        ("return ''", Some(failed("string"))),
        ("return { true }", Some(failed("table"))),
        ("return { Allow = true }", Some(failed("table"))),
        (
            "return function() return true end",
            Some(failed("function")),
        ),
        ("return req", Some(failed("table"))),
        ("error('no', 0)", Some("the policy failed: no".to_owned())),
        (
            "error('no')",
            Some("the policy failed: authz.lua:5: no".to_owned()),
        ),
        (
            "error(true)",
            Some("the policy failed: authz.lua:5: true".to_owned()),
        ),
        (
            "error()",
            Some("the policy failed: authz.lua:5: error without a message".to_owned()),
        ),
        (
            "error({ Allow = true })",
            Some("the policy failed: authz.lua:5: error with a table without `message`".to_owned()),
        ),
        ("coroutine.yield(true)", Some(failed("nothing"))),
    ] {
        policy(hook).open(async |plugin| {
            assert_eq!(plugin.decision(create()).await, denial, "{hook}");
        });
    }
}

#[test]
fn long_reasons_are_truncated() {
    let denial =
        policy("return false, ('é'):rep(1e6)").open(async |plugin| plugin.decision(create()).await);
    assert!(denial.is_some_and(|denial| denial.len() < 5000 && denial.ends_with('…')));
}

async fn load(plugin: &Scripted, text: &str) -> Option<String> {
    plugin.scripts().write("authz.lua", text);
    plugin.reload().await;
    plugin.decision(request("GET", "/version")).await
}

#[test]
fn a_broken_policy_denies_until_it_is_fixed() {
    const GOOD: &str = "return { request = function() return true end }";
    Scripts::new([("authz.lua", "local authz = {")]).open(async |plugin| {
        let denial = plugin.decision(request("GET", "/version")).await.unwrap();
        assert!(
            denial.starts_with("the script is broken: authz.lua:1: "),
            "{denial}"
        );
        assert!(
            plugin
                .log()
                .contains("every request is denied until this is fixed"),
            "{}",
            plugin.log()
        );
        let denial = load(&plugin, "return {}").await.unwrap();
        assert!(
            denial.contains("the hook `request` is missing: AuthZPlugin.AuthZReq needs it"),
            "{denial}"
        );
        assert_eq!(load(&plugin, GOOD).await, None);
        for broken in [
            "return",
            "return {",
            "error('x')",
            "return { request = 1 }",
            "return { request = print, x = print }",
            "while true do end",
        ] {
            assert_eq!(load(&plugin, broken).await, None, "{broken}");
            assert!(
                plugin
                    .log()
                    .contains("reload failed, the previous version stays live"),
                "{}",
                plugin.log()
            );
        }
        let strict = "return { request = function() return false, 'strict' end }";
        assert_eq!(load(&plugin, strict).await.unwrap(), "strict");
        std::fs::remove_file(plugin.scripts().path().join("authz.lua")).unwrap();
        plugin.reload().await;
        assert_eq!(
            plugin.decision(request("GET", "/version")).await.unwrap(),
            "strict"
        );
    });
}

#[test]
fn a_policy_with_a_comparison_that_is_never_true_is_not_served() {
    let deny = "return { request = function(req) return req.action ~= 'NAME', 'no' end }";
    let (good, bad) = (
        deny.replace("NAME", "image.build"),
        deny.replace("NAME", "image.biuld"),
    );
    let wrong = "authz.lua:1: `req.action` is never `image.biuld`; did you mean `image.build`?";
    Scripts::new([("authz.lua", bad.as_str()), ("volum.lua", "return {}")]).open(async |plugin| {
        let denial = plugin.decision(request("GET", "/version")).await.unwrap();
        assert!(denial.contains(wrong), "{denial}");
        let log = plugin.log();
        assert!(log.contains("volum.lua: this file is not served"), "{log}");
        assert_eq!(load(&plugin, &good).await, None);
        assert_eq!(load(&plugin, &bad).await, None);
        let log = plugin.log();
        assert!(log.contains("reload failed, the previous version stays live"), "{log}");
        let denial = plugin.decision(request("POST", "/v1.41/build")).await;
        assert_eq!(denial.as_deref(), Some("no"));
        let table = "local t = { ['image.biuld'] = 1 } return { request = function(req) return not t[req.action] end }";
        assert_eq!(load(&plugin, table).await, None);
        let log = plugin.log();
        assert!(log.contains("`req.action` is never `image.biuld`, a key of `t`"), "{log}");
    });
}

#[test]
fn the_response_hook_judges_replies() {
    let reply = |status: Option<u16>, body: &str| {
        use base64::Engine;
        let mut message = request("GET", "/v1.41/containers/json");
        message["ResponseStatusCode"] = json!(status);
        message["ResponseHeaders"] = json!({ "Content-Type": "application/json" });
        message["ResponseBody"] = json!(base64::engine::general_purpose::STANDARD.encode(body));
        message
    };
    let text = "local authz = {}\nfunction authz.request() return false, 'x' end\nfunction authz.response(req)
      if req.ResponseStatusCode == nil then return true end
      return req.action == 'container.list' and req.ResponseHeaders['Content-Type'] ~= nil, req.ResponseBody .. req.ResponseStatusCode
    end\nreturn authz\n";
    Scripts::new([("authz.lua", text)]).open(async |plugin| {
        let (_, decision) = plugin
            .call("AuthZPlugin.AuthZRes", reply(Some(200), "[]"))
            .await;
        assert_eq!(decision, json!({ "Allow": true }));
        let (_, decision) = plugin.call("AuthZPlugin.AuthZRes", reply(None, "")).await;
        assert_eq!(decision, json!({ "Allow": true }));
        let mut other = reply(Some(404), "{}");
        other["RequestUri"] = json!("/nowhere");
        let (_, decision) = plugin.call("AuthZPlugin.AuthZRes", other).await;
        assert_eq!(decision, json!({ "Allow": false, "Msg": "{}404" }));
    });
    let without = Scripts::new([(
        "authz.lua",
        "return { request = function() return false, 'x' end }",
    )]);
    without.open(async |plugin| {
        let (_, decision) = plugin
            .call("AuthZPlugin.AuthZRes", reply(Some(200), "[]"))
            .await;
        assert_eq!(decision, json!({ "Allow": true }));
    });
}

#[test]
fn unreadable_messages_are_not_decided() {
    policy("return true").open(async |plugin| {
        for body in [
            "",
            "{",
            "[]",
            "null",
            "true",
            "{}",
            r#"{"RequestMethod":"GET"}"#,
            r#"{"RequestUri":"/version"}"#,
            r#"{"RequestMethod":"","RequestUri":"/version"}"#,
            r#"{"RequestMethod":"GET","RequestUri":""}"#,
            r#"{"RequestMethod":1,"RequestUri":"/version"}"#,
            r#"{"RequestMethod":"GET","RequestUri":"/version","RequestHeaders":[]}"#,
            r#"{"RequestMethod":"GET","RequestUri":"/version","RequestHeaders":{"a":["b"]}}"#,
            r#"{"RequestMethod":"GET","RequestUri":"/version","RequestBody":{}}"#,
            r#"{"RequestMethod":"GET","RequestUri":"/version"}{"RequestMethod":"GET"}"#,
            r#"{"RequestMethod":"GET","RequestUri":"/\ud800"}"#,
        ] {
            let (status, reply) = plugin.raw("AuthZPlugin.AuthZReq", body.as_bytes()).await;
            let reply: Value = serde_json::from_str(&reply).unwrap();
            let is_error = reply["Err"].is_string() && reply["Allow"].is_null();
            assert!(status == 400 && is_error, "{body}: {status} {reply}");
        }
        for body in [
            r#"{"RequestMethod":"GET","RequestUri":"/version","RequestHeaders":null,"RequestBody":null,"New":[1]}"#,
            r#"{"RequestMethod":"GET","RequestUri":"/v1.41/version"}"#,
        ] {
            assert_eq!(plugin.raw("AuthZPlugin.AuthZReq", body.as_bytes()).await, (200, r#"{"Allow":true}"#.to_owned()));
        }
    });
}

#[test]
fn ambiguous_requests_are_refused_before_the_policy() {
    let with = |headers: Value, body: Option<&str>| {
        use base64::Engine;
        let mut message = request("POST", "/v1.41/containers/create");
        message["RequestHeaders"] = headers;
        message["RequestBody"] =
            json!(body.map(|body| base64::engine::general_purpose::STANDARD.encode(body)));
        message
    };
    let deep = "[".repeat(100_000);
    let typed = |body: &str| with(json!({ "Content-Type": "application/json" }), Some(body));
    policy("return true").open(async |plugin| {
        for (message, reason) in [
            (
                typed(r#"{"Image":"x","image":"y"}"#),
                "the keys `Image` and `image` of one object mean the same",
            ),
            (typed(r#"{"HostConfig":{"Privileged":true,"privileged":false}}"#), "mean the same"),
            (typed(r#"{"Image":"x"}}"#), "something follows the JSON value"),
            (typed("{\"Image\":\"\u{1}\"}"), "a string holds a raw control character"),
            (typed(r#"{"Image""#), "it ends in the middle of the JSON"),
            (typed(&deep), "it is nested too deeply"),
            (
                with(json!({ "Content-Type": "application/json", "Content-Length": "5" }), None),
                "the engine did not pass it on",
            ),
            (with(json!({}), None), "`container.create` needs a JSON body: send one with `Content-Type: application/json`"),
            (
                with(
                    json!({ "Content-Type": "application/x-www-form-urlencoded", "Content-Length": "3" }),
                    None,
                ),
                "a body of type",
            ),
        ] {
            let denial =
                plugin.decision(message.clone()).await.unwrap_or_else(|| panic!("allowed: {message}"));
            assert!(denial.contains(reason), "{denial}");
        }
        let mut query = request("GET", "/version?a;b");
        assert!(plugin.decision(query.clone()).await.is_some_and(|denial| denial.contains("percent-encode")));
        query["RequestUri"] = json!("/version?token=hunter2");
        assert_eq!(plugin.decision(query).await, None);
        assert!(!plugin.log().contains("hunter2"), "{}", plugin.log());
    });
}

/// What is left out may be what denies.
#[test]
fn a_policy_whose_files_cannot_all_be_read_denies() {
    let policy = "return { request = function() return true end }";
    let large = "#".repeat((1 << 20) + 1);
    type Spoil = fn(&std::path::Path);
    let fifo: Spoil = |path| {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap();
    };
    let link: Spoil = |path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
    let directory: Spoil = |path| std::fs::create_dir(path).unwrap();
    for file in ["plugin.toml", "rules.lua"] {
        for (spoil, why) in [
            (fifo, "is not a regular file"),
            (directory, "is not a regular file"),
            (link, "the link leads out of the plugin's directory"),
        ] {
            let scripts = Scripts::new([("authz.lua", policy)]);
            spoil(&scripts.path().join(file));
            let denial = scripts.open(async |plugin| plugin.decision(create()).await);
            let denial = denial.unwrap_or_default();
            assert!(denial.contains(&format!("{file}: {why}")), "{denial}");
        }
        let scripts = Scripts::new([("authz.lua", policy), (file, large.as_str())]);
        let denial = scripts.open(async |plugin| plugin.decision(create()).await);
        let wrong = format!("{file}: is larger than 1024 KiB");
        assert!(denial.unwrap_or_default().contains(&wrong), "{file}");
    }
}
