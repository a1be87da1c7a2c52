//! `@moondock/net`.

use crate::harness::lua::{Script, block_on};
use crate::harness::netns::{Namespace, sh};

/// Runs a test with a script inside a network namespace of its own.
fn inside(test: impl AsyncFnOnce(Script) + Send) {
    Namespace::new().block_on(async || test(Script::new("p").await).await);
}

#[test]
fn a_bridge_is_created_changed_and_deleted() {
    needs!(root);
    inside(async |script| {
        script
            .run::<()>(
                r#"
                net.create_bridge("br0", { mac = "02:42:0a:00:00:01", mtu = 1400 })
                local l = net.link("br0")
                assert(l.kind == "bridge" and l.mac == "02:42:0a:00:00:01" and l.mtu == 1400 and not l.up, `{l.kind} {l.mac} {l.mtu} {l.up}`)
                assert(l.master == nil and l.peer_index == nil)
                net.set_up("br0") net.set_up("br0")
                net.set_mtu("br0", 1300) net.set_mac("br0", "02:42:0a:00:00:02")
                l = net.link("br0")
                assert(l.up and l.mtu == 1300 and l.mac == "02:42:0a:00:00:02")
                net.set_down("br0")
                net.rename("br0", "br1")
                assert(net.link("br0") == nil and net.link("br1").index == l.index)
                local names = {}
                for _, link in net.links() do table.insert(names, link.name) end
                assert(table.concat(names, " ") == "lo br1", table.concat(names, " "))
                assert(net.delete_link("br1") and not net.delete_link("br1"))
            "#,
            )
            .await;
        assert_eq!(sh("ip -o link | wc -l").trim(), "1");
    });
}

#[test]
fn name_servers_are_those_of_the_machine() {
    let file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let first = file
        .lines()
        .find_map(|line| line.strip_prefix("nameserver "));
    let wanted = first.map_or("nil".to_owned(), |server| format!("{:?}", server.trim()));
    inside(async |script| {
        let same = format!("assert(net.name_servers()[1] == {wanted})");
        script.run::<()>(&same).await;
    });
}

#[test]
fn a_veth_pair_is_created_and_attached() {
    needs!(root);
    inside(async |script| {
        script
            .run::<()>(
                r#"
                net.create_bridge("br0")
                net.create_veth("host0", "cont0", { mac = "02:00:00:00:00:01", peer_mac = "02:00:00:00:00:02", mtu = 1450 })
                local h, c = net.link("host0"), net.link("cont0")
                assert(h.kind == "veth" and h.peer_index == c.index and c.peer_index == h.index)
                assert(h.mac == "02:00:00:00:00:01" and c.mac == "02:00:00:00:00:02" and h.mtu == 1450 and c.mtu == 1450)
                net.set_master("host0", "br0")
                assert(net.link("host0").master == "br0")
                for _, link in net.links() do assert((link.master == "br0") == (link.name == "host0")) end
                net.set_hairpin("host0", true) net.set_isolated("host0", true)
            "#,
            )
            .await;
        let shown = sh("ip -d link show host0");
        assert!(
            shown.contains("hairpin on") && shown.contains("isolated on"),
            "{shown}"
        );
        script
            .run::<()>(
                r#"net.set_isolated("host0", false) net.set_hairpin("host0", false) net.set_master("host0", nil) net.delete_link("cont0")"#,
            )
            .await;
        assert_eq!(sh("ip -o link | wc -l").trim(), "2");
    });
}

#[test]
fn addresses_of_both_families_are_added_and_listed() {
    needs!(root);
    inside(async |script| {
        script
            .run::<()>(
                r#"
                net.create_bridge("br0") net.set_up("br0")
                for _, a in { "10.1.0.1/24", "10.1.0.1/24", "fd00:1::1/64", "fd00:1::1/64" } do net.add_address("br0", a) end
                local has = {}
                for _, a in net.addresses("br0") do has[a] = true end
                assert(has["10.1.0.1/24"] and has["fd00:1::1/64"])
                assert(net.delete_address("br0", "10.1.0.1/24") and not net.delete_address("br0", "10.1.0.1/24"))
                assert(not net.delete_address("br0", "fd00:1::1/72"))
            "#,
            )
            .await;
        let shown = sh("ip -o addr show br0 scope global");
        assert!(
            shown.contains("fd00:1::1/64")
                && !shown.contains("tentative")
                && !shown.contains("10.1"),
            "{shown}"
        );
        let error = script
            .fail(r#"net.add_address("br0", "fd00:1::1/72")"#)
            .await;
        assert!(
            error
                .contains("address `fd00:1::1` of link `br0`, with another prefix: exists already"),
            "{error}"
        );
    });
}

#[test]
fn routes_neighbours_and_sysctls_are_changed() {
    needs!(root);
    inside(async |script| {
        script
            .run::<()>(
                r#"
                net.create_bridge("br0") net.set_up("br0")
                net.add_address("br0", "10.1.0.1/24") net.add_address("br0", "fd00:1::1/64")
                local function find(destination)
                    for _, r in net.routes() do if r.destination == destination then return r end end
                end
                assert(find("10.1.0.0/24").device == "br0" and find("10.1.0.0/24").gateway == nil)
                for destination, gateway in { ["0.0.0.0/0"] = "10.1.0.9", ["10.2.0.7/16"] = "10.1.0.9", ["::/0"] = "fd00:1::9" } do
                    net.add_route({ destination = destination, gateway = gateway })
                    assert(find(net.canonical(destination)).gateway == gateway, destination)
                    assert(net.delete_route({ destination = destination, gateway = gateway }))
                    assert(not net.delete_route({ destination = destination, gateway = gateway }))
                end
                net.add_route({ destination = "10.3.0.0/16", device = "br0" })
                assert(net.delete_route({ destination = "10.3.0.0/16", device = "br0" }))
                assert(#net.routes(255) > 0 and #net.routes(77) == 0)
                net.add_route({ destination = "0.0.0.0/0", gateway = "10.1.0.9" })
                for cidr, found in { ["10.1.0.5"] = 1, ["10.0.0.0/8"] = 1, ["10.2.0.0/16"] = 0, ["fd00:1::/48"] = 1 } do
                    assert(#net.routes_overlapping(cidr) == found, cidr)
                end
                assert(net.routes_overlapping("10.1.0.0/25")[1].device == "br0")

                net.add_neighbour("br0", "10.1.0.5", "02:42:0a:01:00:05")
                net.add_neighbour("br0", "10.1.0.5", "02:42:0a:01:00:06")
                net.add_neighbour("br0", "fd00:1::5", "02:42:0a:01:00:05")
                local n = net.neighbours("br0")
                assert(#n == 2 and n[1].state == "permanent", #n)
                for _, e in n do assert(e.mac == (e.address == "10.1.0.5" and "02:42:0a:01:00:06" or "02:42:0a:01:00:05")) end
                assert(net.delete_neighbour("br0", "10.1.0.5") and not net.delete_neighbour("br0", "10.1.0.6"))

                net.sysctl_set("net.ipv4.ip_forward", 1)
                assert(net.sysctl_get("net.ipv4.ip_forward") == "1")
                net.sysctl_set("net/ipv4/conf/br0/route_localnet", "1")
                assert(net.sysctl_get("net.ipv4.conf.br0.route_localnet") == "1")
            "#,
            )
            .await;
    });
}

#[test]
fn network_errors_name_the_object_and_a_cure() {
    needs!(root);
    let cases = [
        (
            r#"net.set_up("br9")"#,
            "net.set_up: link `br9`: no such device; `net.links()` lists",
        ),
        (r#"net.addresses("br9")"#, "link `br9`: no such device"),
        (
            r#"net.set_master("v0", "br9")"#,
            "link `br9`: no such device",
        ),
        (r#"net.create_bridge("br0")"#, "link `br0`: exists already"),
        (
            r#"net.create_veth("v1", "br0")"#,
            "link `v1` or its peer `br0`: exists already",
        ),
        (
            r#"net.rename("v0", "br0")"#,
            "link `br0` (the new name of `v0`): exists already",
        ),
        (
            r#"net.set_hairpin("br0", true)"#,
            "the link is not a port of a bridge: use `net.set_master`",
        ),
        (
            r#"net.set_hairpin("br0", 1)"#,
            "`on` must be a boolean, not a number",
        ),
        (r#"net.set_master("br0", "br0")"#, "link `br0`: "),
        (
            r#"net.delete_link("lo")"#,
            "link `lo`: cannot be deleted: Operation not supported",
        ),
        (
            r#"net.create_bridge("a/b")"#,
            "`a/b` cannot be the name of a link: it contains a slash",
        ),
        (
            r#"net.create_bridge("0123456789abcdef")"#,
            "more than 15 bytes",
        ),
        (
            r#"net.create_bridge("br1", { mac = "02" })"#,
            "`02` is not a MAC address",
        ),
        (
            r#"net.create_bridge("br1", { Mac = "02" })"#,
            "unknown field `Mac`; did you mean `mac`?",
        ),
        (
            r#"net.add_address("br0", "10.0.0.1")"#,
            "`10.0.0.1` is not a network",
        ),
        (
            r#"net.add_route({ destination = "10.2.0.0/16" })"#,
            "a route needs a gateway, a device, or both",
        ),
        (
            r#"net.add_route({ destination = "10.2.0.0/16", gateway = "fd00::1" , device = "br0" })"#,
            "route to `10.2.0.0/16`",
        ),
        (
            r#"net.add_route({ destination = "10.2.0.0/16", gateway = "192.0.2.1" })"#,
            "is the gateway inside a network of the device?",
        ),
        (
            r#"net.sysctl_get("kernel.panic")"#,
            "`kernel.panic` is not a network sysctl",
        ),
        (
            r#"net.sysctl_set("net.ipv4.nothing", 1)"#,
            "sysctl `net.ipv4.nothing`: no such parameter",
        ),
    ];
    inside(async |script| {
        script
            .run::<()>(r#"net.create_bridge("br0") net.create_veth("v0", "v9")"#)
            .await;
        for (call, wanted) in cases {
            let error = script.fail(call).await;
            assert!(error.contains(wanted), "{call}: {error}");
        }
        assert_eq!(sh("ip -o link | wc -l").trim(), "4");
    });
}

#[test]
fn address_arithmetic_works_while_loading() {
    block_on(async {
        Script::new("p").await
            .run::<()>(
                r#"
                local n = net.parse_cidr("10.0.0.5/24")
                assert(n.address == "10.0.0.5" and n.prefix == 24 and n.network == "10.0.0.0" and n.broadcast == "10.0.0.255")
                assert(n.family == 4 and n.size == 256)
                n = net.parse_cidr("fd00::5/64")
                assert(n.family == 6 and n.broadcast == nil and n.size == 2^64 and n.network == "fd00::")
                assert(net.canonical("FD00:0::5/64") == "fd00::/64" and net.canonical("10.0.0.5") == "10.0.0.5")
                assert(net.contains("10.0.0.0/8", "10.1.1.1") and net.contains("10.0.0.0/8", "10.1.1.7/24"))
                assert(not net.contains("10.0.0.0/8", "11.0.0.0/8") and not net.contains("::/0", "10.0.0.1"))
                assert(net.overlaps("10.0.0.0/8", "10.5.0.0/16") and not net.overlaps("10.0.0.0/16", "10.1.0.0/16"))
                assert(net.ip_add("10.0.0.255", 1) == "10.0.1.0" and net.ip_add("fd00::1", -1) == "fd00::")
                assert(net.ip_compare("10.0.0.9", "10.0.0.10") == -1 and net.ip_compare("::1", "::1") == 0)
                assert(net.ip_compare("::", "255.0.0.0") == 1)
                assert(net.ip_distance("10.0.0.1", "10.0.1.0") == 255 and net.ip_distance("fd00::2", "fd00::1") == -1)
                assert(net.subnets("10.0.0.0/8", 24, 257) == "10.1.1.0/24" and net.subnets("10.0.0.0/24", 25, 2) == nil)
                assert(net.mac_from_ip("10.0.0.5") == "02:42:0a:00:00:05")
                assert(not pcall(net.ip_add, "10.0.0.1", 0.5) and not pcall(net.ip_add, "10.0.0.1", "1"))
            "#,
            )
            .await;
    });
}
