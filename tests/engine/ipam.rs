//! Pools and addresses.

use std::net::Ipv4Addr;
use std::thread;

use serde_json::Value;

use crate::harness::bed::Bed;
use crate::harness::cli::Output;

impl Bed {
    /// The IPAM data of a network: its pools with gateway and aux addresses.
    #[track_caller]
    fn pools(&self, network: &str) -> Vec<Value> {
        let config = self.inspect_json(network)["IPAM"]["Config"].take();
        config
            .as_array()
            .unwrap_or_else(|| panic!("no pools: {config}"))
            .clone()
    }

    #[track_caller]
    fn subnet(&self, network: &str) -> String {
        self.pools(network)[0]["Subnet"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub fn run_once(&self, network: &str, args: &[&str]) -> Output {
        let head = ["run", "--rm", "--network", network];
        self.docker(
            &[
                &head,
                args,
                &["busybox", "ip", "-4", "-o", "addr", "show", "eth0"],
            ]
            .concat(),
        )
    }
}

#[test]
fn an_explicit_pool_and_its_gateway_are_kept_as_asked() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create(
        "net",
        &["--subnet", "10.80.0.0/24", "--gateway", "10.80.0.254"],
    )
    .ok();
    let pools = bed.pools("net");
    assert_eq!(
        (&pools[0]["Subnet"], &pools[0]["Gateway"]),
        (&"10.80.0.0/24".into(), &"10.80.0.254".into())
    );
    bed.run_sleeper("one", &["--network", "net"]);
    assert!(
        bed.sh("one", "ip route")
            .ok()
            .contains("default via 10.80.0.254")
    );
    assert!(
        bed.reaches("one", "10.80.0.254"),
        "the gateway does not answer"
    );
    bed.run_once("net", &["--ip", "10.80.0.254"])
        .fails_with(&["10.80.0.254"]);
    bed.network_create("plain", &["--subnet", "10.80.1.0/24"])
        .ok();
    bed.run_sleeper("two", &["--network", "plain"]);
    assert_eq!(bed.endpoint_field("two", "plain", "Gateway"), "10.80.1.1");
}

#[test]
fn automatic_pools_do_not_overlap() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("one", &[]).ok();
    bed.network_create("two", &[]).ok();
    let bridge = [
        "network",
        "create",
        "-d",
        "bridge",
        "--ipam-driver",
        "ops",
        "three",
    ];
    bed.docker(&bridge).ok();
    let subnets: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|name| bed.subnet(name))
        .collect();
    assert_apart(&subnets);
    for (name, subnet) in ["one", "two", "three"].iter().zip(&subnets) {
        let seen = bed.run_once(name, &[]).ok();
        let prefix = &subnet[..subnet.find('.').unwrap()];
        assert!(
            seen.contains(&format!("inet {prefix}.")),
            "{subnet}: {seen}"
        );
    }
}

#[test]
fn concurrent_automatic_pools_do_not_overlap() {
    needs!(engine);
    let bed = Bed::with_ops();
    let names: Vec<String> = (0..8).map(|n| format!("net{n}")).collect();
    thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| bed.network_create(name, &[]).ok());
        }
    });
    assert_apart(
        &names
            .iter()
            .map(|name| bed.subnet(name))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn concurrent_requests_for_one_subnet_give_it_out_once() {
    needs!(engine);
    let bed = Bed::with_ops();
    for round in 0..3 {
        let names: Vec<String> = (0..6).map(|n| format!("net{n}")).collect();
        let outputs: Vec<Output> = thread::scope(|scope| {
            let create = |name: &str| bed.network_create(name, &["--subnet", "10.85.0.0/24"]);
            let running: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(move || create(name)))
                .collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let (made, refused): (Vec<_>, Vec<_>) =
            outputs.into_iter().partition(|one| one.code == Some(0));
        assert_eq!(made.len(), 1, "round {round}: {:?}", bed.networks());
        refused
            .into_iter()
            .for_each(|one| one.fails_with(&["subnet 10.85.0.0/24 overlaps"]));
        let network = bed.networks().remove(0);
        assert!(
            bed.run_once(&network, &[])
                .ok()
                .contains("inet 10.85.0.2/24")
        );
        bed.docker(&["network", "rm", &network]).ok();
    }
}

#[test]
fn an_exhausted_pool_reports_it_and_recovers() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("tiny", &["--subnet", "10.81.0.0/30"])
        .ok();
    bed.run_sleeper("only", &["--network", "tiny"]);
    assert_eq!(bed.address("only", "tiny"), "10.81.0.2");
    bed.run_once("tiny", &[])
        .fails_with(&["10.81.0.0/30", "no free address"]);
    bed.docker(&["rm", "-f", "only"]).ok();
    assert!(bed.run_once("tiny", &[]).ok().contains("inet 10.81.0.2/30"));
    assert!(
        bed.run_once("tiny", &[]).ok().contains("inet 10.81.0.2/30"),
        "an address was not given back"
    );
}

#[test]
fn aux_addresses_are_never_handed_out() {
    needs!(engine);
    let bed = Bed::with_ops();
    let aux = [
        "--aux-address",
        "a=10.82.0.2",
        "--aux-address",
        "b=10.82.0.3",
        "--aux-address",
        "c=10.82.0.5",
    ];
    bed.network_create("net", &[&["--subnet", "10.82.0.0/29"], &aux[..]].concat())
        .ok();
    assert_eq!(bed.pools("net")[0]["AuxiliaryAddresses"]["b"], "10.82.0.3");
    bed.run_sleeper("one", &["--network", "net"]);
    bed.run_sleeper("two", &["--network", "net"]);
    let mut given = [bed.address("one", "net"), bed.address("two", "net")];
    given.sort_unstable();
    assert_eq!(given, ["10.82.0.4", "10.82.0.6"]);
    bed.run_once("net", &[]).fails_with(&["no free address"]);
    bed.run_once("net", &["--ip", "10.82.0.3"])
        .fails_with(&["10.82.0.3"]);
}

#[test]
fn an_ip_range_limits_automatic_addresses_only() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create(
        "net",
        &["--subnet", "10.83.0.0/24", "--ip-range", "10.83.0.128/26"],
    )
    .ok();
    bed.run_sleeper("one", &["--network", "net"]);
    let given: Ipv4Addr = bed.address("one", "net").parse().unwrap();
    assert!((128..192).contains(&given.octets()[3]), "{given}");
    assert!(
        bed.run_once("net", &["--ip", "10.83.0.7"])
            .ok()
            .contains("inet 10.83.0.7/24")
    );
}

#[test]
fn an_overlapping_pool_is_refused_and_a_released_one_is_free() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &["--subnet", "10.84.0.0/24"])
        .ok();
    for subnet in ["10.84.0.0/24", "10.84.0.128/25", "10.84.0.0/16"] {
        bed.network_create("other", &["--subnet", subnet])
            .fails_with(&[subnet, "overlaps", "10.84.0.0/24"]);
    }
    assert_eq!(bed.networks(), ["net"]);
    bed.docker(&["network", "rm", "net"]).ok();
    bed.network_create("wide", &["--subnet", "10.84.0.0/16"])
        .ok();
    assert!(bed.run_once("wide", &[]).ok().contains("inet 10.84.0.2/16"));
}

#[test]
fn ipv6_pools_are_found_too() {
    needs!(engine);
    let bed = Bed::with_ops();
    bed.network_create("net", &["--ipv6"]).ok();
    let pools = bed.pools("net");
    assert!(
        pools.len() == 2 && pools[1]["Subnet"].as_str().unwrap().contains(':'),
        "{pools:?}"
    );
    bed.run_sleeper("one", &["--network", "net"]);
    bed.run_sleeper("two", &["--network", "net"]);
    assert!(bed.reaches(
        "one",
        &bed.endpoint_field("two", "net", "GlobalIPv6Address")
    ));
}

/// Asserts that no two of these IPv4 subnets share an address.
#[track_caller]
fn assert_apart(subnets: &[String]) {
    let mut ranges: Vec<(u32, u32)> = subnets.iter().map(|subnet| range(subnet)).collect();
    ranges.sort_unstable();
    assert!(
        ranges.windows(2).all(|pair| pair[0].1 < pair[1].0),
        "overlapping: {subnets:?}"
    );
}

/// The first and the last address of a subnet.
fn range(subnet: &str) -> (u32, u32) {
    let (address, length) = subnet.split_once('/').unwrap();
    let (address, length): (Ipv4Addr, u32) = (address.parse().unwrap(), length.parse().unwrap());
    let host_bits = u32::MAX.checked_shr(length).unwrap_or(0);
    (
        u32::from(address) & !host_bits,
        u32::from(address) | host_bits,
    )
}
