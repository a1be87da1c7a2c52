//! Transports of plugins.

use super::*;

fn of(names: &[&str], listens: &[&str]) -> Result<Vec<Transport>, String> {
    let plugin = |name: &&str| PluginDir {
        name: name.to_string(),
        dir: PathBuf::from("/p"),
        is_named: true,
    };
    let plugins: Vec<_> = names.iter().map(plugin).collect();
    let listens: Vec<_> = listens.iter().map(ToString::to_string).collect();
    let listens = Listens::parse(&listens).map_err(|e| e.to_string())?;
    if let Some(unknown) = listens.unknown(&plugins) {
        return Err(unknown.to_string());
    }
    let beside = |at: usize| listens.beside(names[at], names[..at].iter().copied());
    let chosen = (0..names.len()).map(beside);
    chosen.collect::<Result<_, _>>().map_err(|e| e.to_string())
}

fn unix(mode: u32, group: Option<&str>) -> Transport {
    Transport::Unix(Access {
        mode,
        group: group.map(str::to_owned),
    })
}

#[test]
fn a_plugin_uses_its_own_transport_or_the_common_one() {
    assert_eq!(
        of(&["a", "b"], &[]).unwrap(),
        [unix(0o600, None), unix(0o600, None)]
    );
    let mixed = of(
        &["a", "b", "c"],
        &[
            "unix,group=docker",
            "b=tcp://[::1]:0",
            "c=tls://10.0.0.1:9,certs=/c",
        ],
    );
    let tls = Tls {
        address: "10.0.0.1:9".parse().unwrap(),
        certificates: Some("/c".into()),
    };
    let expected = [
        unix(0o660, Some("docker")),
        Transport::Tcp("[::1]:0".parse().unwrap()),
        Transport::Tls(tls),
    ];
    assert_eq!(mixed.unwrap(), expected);
    assert_eq!(
        of(&["a"], &["a=unix,mode=0660"]).unwrap(),
        [unix(0o660, None)]
    );
    assert_eq!(of(&["a", "b"], &["tcp://127.0.0.1:0"]).unwrap().len(), 2);
}

#[test]
fn invalid_addresses_are_refused_with_the_flag_and_a_cure() {
    for (listens, part) in [
        (
            &["vol=udp://127.0.0.1:1"][..],
            "`--listen vol=udp://127.0.0.1:1`: unknown transport `udp://127.0.0.1:1`: use `unix`",
        ),
        (&["vol="], "unknown transport ``"),
        (&[""], "unknown transport ``"),
        (
            &["nas=unix"],
            "unknown plugin `nas`: use one of `vol`, `net`",
        ),
        (
            &["vol=unix", "vol=tcp://127.0.0.1:1"],
            "the second one for `vol`",
        ),
        (
            &["unix", "tcp://127.0.0.1:1"],
            "the second one for all plugins",
        ),
        (
            &["tcp://127.0.0.1:1"],
            "two plugins would listen on `127.0.0.1:1`",
        ),
        (&["vol=tcp://10.0.0.1:1"], "use `tls://10.0.0.1:1`"),
        (
            &["vol=tls://0.0.0.0:1"],
            "the engine cannot connect to `0.0.0.0`",
        ),
        (&["vol=tcp://[::]:1"], "the engine cannot connect to `::`"),
        (
            &["vol=tcp://localhost:1"],
            "`localhost:1` is not an IP address with a port",
        ),
        (&["vol=tcp://127.0.0.1"], "such as `127.0.0.1:9000`"),
        (
            &["vol=tcp://127.0.0.1:1,mode=0600"],
            "unknown or repeated option `mode` of `tcp`",
        ),
        (&["vol=tls://127.0.0.1:1,certs"], "`certs` has no value"),
        (&["vol=unix,mode=0666"], "lets every user connect"),
        (&["vol=unix,mode=0400"], "use `0600` or `0660`"),
        (&["vol=unix,mode=rw"], "`rw` is not a mode"),
        (&["vol=unix,mode=0600,mode=0660"], "repeated option"),
        (&["vol=unix,user=x"], "whose options are `mode` and `group`"),
    ] {
        let error = of(&["vol", "net"], listens).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
