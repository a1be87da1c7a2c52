//! Replies of the right types that an engine would still stumble over: refused here, with the line and the cure.

use crate::harness::command::Workplace;
use serde_json::Value;

/// A driver of which one hook returns `reply`, on line 4, after changing its request.
fn driver(hook: &str, reply: &str) -> String {
    let names = [
        "create_network delete_network create_endpoint delete_endpoint join leave get_capabilities",
        "request_pool release_pool request_address release_address",
        "create remove mount unmount get list capabilities",
    ];
    let of_one = names
        .iter()
        .find(|names| names.split(' ').any(|name| name == hook))
        .unwrap();
    let others = of_one.split(' ').filter(|name| *name != hook);
    let others: String = others.map(|name| format!("{name} = no, ")).collect();
    format!(
        "local function no() end\nlocal hooks = {{ {others} }}\n\nfunction hooks.{hook}(req)\n  req.Interface, req.Name = \
         nil, nil\n  return {reply}\nend\nreturn hooks\n"
    )
}

/// The error that the engine receives, and the cure in the log.
fn called(file: &str, hook: &str, reply: &str, request: &str) -> (String, String) {
    let place = Workplace::new(&[(&format!("p/{file}.lua"), &driver(hook, reply))]);
    let ended = place.run(&["call", "p", &format!("{file}.{hook}"), request]);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
    let log = ended.stderr.replace(" plugin=p", "");
    let cure = log
        .lines()
        .find_map(|line| line.trim().strip_prefix("cure: "));
    let logged = log
        .lines()
        .find_map(|line| line.split_once(&format!("{file}.lua:4: `{hook}`: ")));
    let problem = logged.unwrap_or_default().1;
    if let Some(error) = told["Err"].as_str() {
        assert!(
            !problem.is_empty() && error.ends_with(problem),
            "{error}: {log}"
        );
    }
    (problem.to_owned(), cure.unwrap_or_default().to_owned())
}

const ENDPOINT: &str = r#"{"NetworkID":"n","EndpointID":"e","Interface":{"Address":"10.0.0.2/24","AddressIPv6":"","MacAddress":"02:42:0a:00:00:02"}}"#;
const JOIN: &str = r#"{"NetworkID":"n","EndpointID":"e","SandboxKey":"/s"}"#;
const SET: &str = "leave it out: the engine rejects it, even with the same value";
const BARE: &str = "remove the prefix length, as in `net.parse_cidr(text).address`";
const PREFIX: &str = "add `/` and the length of the subnet's prefix";
const LINK: &str = "join a short prefix and `string.sub(id, 1, 12)`";
const LOWER: &str = "write it in lower case";

/// Interface and hook, reply, request, what is wrong with which field, cure.
const CASES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "network.create_endpoint",
        "{ Interface = { Address = '10.0.0.2/24' } }",
        ENDPOINT,
        "Interface.Address` is already set by the request",
        SET,
    ),
    (
        "network.create_endpoint",
        "{ Interface = { MacAddress = '02:42:0a:00:00:07' } }",
        ENDPOINT,
        "Interface.MacAddress` is already set by the request",
        SET,
    ),
    (
        "network.create_endpoint",
        "{ Interface = { AddressIPv6 = 'fd00::2' } }",
        ENDPOINT,
        "Interface.AddressIPv6` must be an address with its prefix length, such as `10.1.0.5/24`, not `fd00::2`",
        PREFIX,
    ),
    (
        "network.create_endpoint",
        "{ Interface = { MacAddress = '0242.0a00.0007' } }",
        r#"{"NetworkID":"n","EndpointID":"e"}"#,
        "Interface.MacAddress` must be a MAC address, such as `02:42:0a:01:00:05`, not `0242.0a00.0007`",
        "use `net.mac_from_ip(ip)`, or omit it",
    ),
    (
        "network.join",
        "{ Gateway = '10.0.0.1/24' }",
        JOIN,
        "Gateway` must be a bare address, such as `10.1.0.1`, not `10.0.0.1/24`",
        BARE,
    ),
    (
        "network.join",
        "{ InterfaceName = { SrcName = 'longer-than-15-b', DstPrefix = 'eth' } }",
        JOIN,
        "InterfaceName.SrcName` must be the name of a link, of at most 15 bytes without spaces and `/`, not `longer-than-15-b`",
        LINK,
    ),
    (
        "network.join",
        "{ InterfaceName = { SrcName = 'veth0', DstPrefix = '' } }",
        JOIN,
        "InterfaceName.DstPrefix` is empty",
        "",
    ),
    (
        "network.join",
        "{ StaticRoutes = { { Destination = '10.0.0.0', RouteType = 1 } } }",
        JOIN,
        "StaticRoutes[1].Destination` must be an address with its prefix length, such as `10.1.0.5/24`, not `10.0.0.0`",
        PREFIX,
    ),
    (
        "network.get_capabilities",
        "{ Scope = 'Local' }",
        "",
        "Scope` must be `local` or `global`, not `Local`",
        LOWER,
    ),
    (
        "volume.capabilities",
        "{ Capabilities = { Scope = 'GLOBAL' } }",
        "{}",
        "Capabilities.Scope` must be `local` or `global`, not `GLOBAL`",
        LOWER,
    ),
    (
        "volume.mount",
        "{ Mountpoint = 'srv/x' }",
        r#"{"Name":"v","ID":"i"}"#,
        "Mountpoint` must be an absolute path, not `srv/x`",
        "begin it with `/`",
    ),
    (
        "volume.get",
        "{ Volume = { Name = 'V' } }",
        r#"{"Name":"v"}"#,
        "Volume.Name` must be `v`, as in the request",
        "write `Name = req.Name`",
    ),
    (
        "ipam.request_pool",
        "{ PoolID = 'p', Pool = '10.0.0.0/024' }",
        r#"{"Pool":""}"#,
        "Pool` must be an address with its prefix length, such as `10.1.0.5/24`, not `10.0.0.0/024`",
        PREFIX,
    ),
    (
        "ipam.request_address",
        "{ Address = '10.0.0.2' }",
        r#"{"PoolID":"p"}"#,
        "Address` must be an address with its prefix length, such as `10.1.0.5/24`, not `10.0.0.2`",
        PREFIX,
    ),
];

#[test]
fn replies_that_fail_in_the_engine_are_refused_with_a_cure() {
    for (key, reply, request, problem, cure) in CASES {
        let (file, hook) = key.split_once('.').unwrap();
        let expected = (format!("the reply's `{problem}"), (*cure).to_owned());
        assert_eq!(
            called(file, hook, reply, request),
            expected,
            "{key} {reply}"
        );
    }
}

#[test]
fn replies_that_engines_accept_pass() {
    for (key, reply, request) in [
        (
            "network.create_endpoint",
            "{ Interface = { AddressIPv6 = 'fd00::2/64', MacAddress = '' } }",
            ENDPOINT,
        ),
        ("network.create_endpoint", "nil", ENDPOINT),
        (
            "network.create_endpoint",
            "{ Interface = { Address = '10.0.0.3/24' } }",
            r#"{"NetworkID":"n","EndpointID":"e"}"#,
        ),
        (
            "network.join",
            "{ Gateway = '', GatewayIPv6 = 'fd00::1', DisableGatewayService = true }",
            JOIN,
        ),
        (
            "network.join",
            "{ InterfaceName = { SrcName = 'exactly-15-byte', DstPrefix = 'eth' } }",
            JOIN,
        ),
        (
            "network.get_capabilities",
            "{ Scope = 'global', ConnectivityScope = '' }",
            "",
        ),
        (
            "ipam.request_pool",
            "{ PoolID = 'p', Pool = 'fd00::/0' }",
            r#"{"Pool":""}"#,
        ),
    ] {
        let (file, hook) = key.split_once('.').unwrap();
        assert_eq!(
            called(file, hook, reply, request),
            Default::default(),
            "{key} {reply}"
        );
    }
}
