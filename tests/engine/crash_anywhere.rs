//! One crash, at any call of everything that a user does with volumes, networks and addresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::crash::{TINY, clean_again, faulty, is_driver};
use crate::harness::bed::Bed;
use crate::harness::interposer::Fault;
use crate::harness::wait::wait_for;

/// How often a user repeats a command that failed because of the crash.
const MAX_RETRIES: usize = 3;

const SOON: Duration = Duration::from_secs(60);

/// What a repeated command says when the first one got that far.
const DONE: &[&str] = &[
    "already exists",
    "is already in use by container",
    "No such",
    "not found",
    "is not connected",
];

/// Repeats a command as a user would, until it succeeds or has nothing left to do.
#[track_caller]
fn persist(bed: &Bed, args: &[&str]) {
    let mut seen = Vec::new();
    for attempt in 0..=MAX_RETRIES {
        let output = bed.docker(args);
        if output.code == Some(0)
            || (attempt > 0 && DONE.iter().any(|done| output.text().contains(done)))
        {
            return;
        }
        seen.push(output.text());
        wait_for("answered by the engine", SOON, || {
            bed.docker(&["version"]).code == Some(0)
        });
    }
    panic!("`docker {}` never succeeds: {seen:#?}", args.join(" "));
}

/// Everything once, with the state checked where a crash could have hurt it.
#[track_caller]
fn live_through(bed: &Bed) {
    persist(
        bed,
        &["volume", "create", "-d", "ops", "-o", "size=8M", "data"],
    );
    persist(
        bed,
        &[
            &["network", "create", "-d", "ops", "--ipam-driver", "ops"],
            TINY,
            &["net"],
        ]
        .concat(),
    );
    persist(
        bed,
        &[
            "network",
            "create",
            "-d",
            "ops",
            "--ipam-driver",
            "ops",
            "--ipv6",
            "second",
        ],
    );
    let web = [
        "--name",
        "web",
        "--network",
        "net",
        "-v",
        "data:/data",
        "-p",
        "8080:80",
    ];
    persist(
        bed,
        &[
            &["create", "--stop-signal", "KILL"],
            &web[..],
            &["busybox", "sleep", "600"],
        ]
        .concat(),
    );
    persist(bed, &["start", "web"]);
    assert_eq!(bed.address("web", "net"), "10.95.0.2");
    bed.sh("web", "echo kept >/data/file").ok();
    persist(bed, &["network", "connect", "second", "web"]);
    persist(bed, &["network", "disconnect", "second", "web"]);
    persist(bed, &["restart", "web"]);
    assert_eq!(bed.sh("web", "cat /data/file").ok(), "kept");
    assert_eq!(bed.address("web", "net"), "10.95.0.2");
    assert!(bed.reaches("web", "198.51.100.2"));
    assert_eq!(bed.volume_mounts().len(), 1, "{:?}", bed.volume_mounts());
    assert_eq!(
        (bed.volumes(), bed.networks()),
        (vec!["data".into()], vec!["net".into(), "second".into()])
    );
    persist(bed, &["rm", "-f", "web"]);
    persist(bed, &["volume", "rm", "data"]);
    persist(bed, &["network", "rm", "net"]);
    persist(bed, &["network", "rm", "second"]);
}

/// Lives through a crash at every `step`-th call from `first` on; with `MOONDOCK_TEST_CRASHES=FIRST/STEP` at others.
fn crash_at_each(fault: Fault, spared: &'static [&str], first: usize, step: usize) {
    let seen = Arc::new(AtomicUsize::new(0));
    let crash = Arc::new(AtomicUsize::new(usize::MAX));
    let (count, at) = (Arc::clone(&seen), Arc::clone(&crash));
    let plan = move |method: &str, _| match is_driver(method) {
        true if count.fetch_add(1, Ordering::SeqCst) == at.load(Ordering::SeqCst) => match method {
            method if spared.contains(&method) => Fault::None,
            _ => fault,
        },
        _ => Fault::None,
    };
    let (bed, interposer) = faulty(plan);
    let before = bed.kernel_state();
    let (first, step) = chosen().unwrap_or((first, step));
    for at in (first..).step_by(step) {
        seen.store(0, Ordering::SeqCst);
        crash.store(at, Ordering::SeqCst);
        let calls = interposer.calls().len();
        live_through(&bed);
        let reached = seen.load(Ordering::SeqCst) > at;
        crash.store(usize::MAX, Ordering::SeqCst);
        clean_again(&bed, &before);
        let call = interposer
            .calls()
            .into_iter()
            .skip(calls)
            .filter(|method| is_driver(method))
            .nth(at);
        println!(
            "survived a crash at call {at}, {}",
            call.unwrap_or_default()
        );
        if !reached {
            return;
        }
    }
}

fn chosen() -> Option<(usize, usize)> {
    let text = std::env::var("MOONDOCK_TEST_CRASHES").ok()?;
    let (first, step) = text.split_once('/').expect("FIRST/STEP");
    Some((first.parse().unwrap(), step.parse().unwrap()))
}

#[test]
fn losing_any_reply_loses_nothing() {
    needs!(engine);
    crash_at_each(Fault::LoseReply, &[], 0, 5);
}

#[test]
fn killing_moondock_in_any_call_loses_nothing() {
    needs!(engine);
    crash_at_each(Fault::KillDuring, &[], 2, 5);
}

/// Not between a driver's answer to CreateNetwork and the engine's own record of it: from outside, a network that the
/// engine has forgotten looks like one that nobody uses yet, so its subnet stays taken.
#[test]
fn killing_the_engine_in_any_call_loses_nothing() {
    needs!(engine);
    // The last two are asked by `docker inspect` and `docker volume ls`, which only look.
    let spared = &[
        "NetworkDriver.CreateNetwork",
        "NetworkDriver.EndpointOperInfo",
        "VolumeDriver.List",
    ];
    crash_at_each(Fault::EngineDies, spared, 3, 11);
}
