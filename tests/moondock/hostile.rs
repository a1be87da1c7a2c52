//! Scripts that loop, swallow memory, and hide it: each fails its own call, by name and reason, and no other.

use crate::harness::scripted::{Scripted, Scripts, request};
use serde_json::json;
use std::time::{Duration, Instant};

mod cases;
mod escapes;
mod full;
mod outside;
mod waiting;

use cases::{BOMBS, CATCHERS, Case, DEPTHS, LIBRARY, LOOPS, MEMORY};

const DEADLINES: &str = "[limits.deadline_ms]\n\"volume.create\" = 300\n\"authz.request\" = 300\n";

/// Little time, and the default limit of memory. All grants are given, so that no script fails by a missing one.
const SHORT: &str = "grants = ['fs.write:/', 'exec:echo', 'exec:sh', 'exec:touch', 'exec:true']\n[limits]\ncpu_ms = 50\n";
/// Little memory, and time to fill it even without optimisation.
const NARROW: &str = "grants = ['fs.write:/', 'exec:echo', 'exec:sh', 'exec:touch', 'exec:true']\n[limits]\ncpu_ms = 3000\nmemory_mib = 16\n";

fn manifest_of(reason: &str) -> String {
    let limits = if reason == MEMORY { NARROW } else { SHORT };
    format!("{limits}{DEADLINES}")
}

/// Far above any budget here, and far below what an unstopped script would take.
const BOUND: Duration = Duration::from_secs(8);

fn volume(body: &str, scratch: &str) -> String {
    script(
        "volume",
        scratch,
        &format!(
            "function volume.create(req)\n  if req.Name == 'good' then return end\n  {body}\nend\n{OTHER_HOOKS}"
        ),
    )
}

fn policy(body: &str, scratch: &str) -> String {
    script(
        "authz",
        scratch,
        &format!(
            "function authz.request(req)\n  if req.path == '/_ping' then return true end\n  {body}\nend\n"
        ),
    )
}

const OTHER_HOOKS: &str = "for _, name in { 'remove', 'mount', 'unmount', 'get', 'list' } do volume[name] = function() end end";

fn script(name: &str, scratch: &str, hooks: &str) -> String {
    let modules: String = ["fs", "hash", "json", "log", "process", "store", "time"]
        .map(|module| format!("local {module} = require('@moondock/{module}')\n"))
        .concat();
    format!("{modules}local SCRATCH = '{scratch}'\nlocal {name} = {{}}\n{hooks}\nreturn {name}\n")
}

/// Runs each case on a plugin of its own and reports all failures.
fn each(cases: &[Case], run: impl Fn(&Case) -> Result<(), String>) {
    let wrong = |case: &Case| {
        run(case)
            .err()
            .map(|problem| format!("{}: {problem}", case.0))
    };
    let problems: Vec<String> = cases.iter().filter_map(wrong).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn ensure(truth: bool, problem: impl Into<String>) -> Result<(), String> {
    if truth { Ok(()) } else { Err(problem.into()) }
}

fn fails_as_driver((_, reason, body): &Case) -> Result<(), String> {
    let scripts = Scripts::new([("plugin.toml", manifest_of(reason).as_str())]);
    let scratch = scripts.path().with_file_name("scratch");
    scripts.write("volume.lua", &volume(body, scratch.to_str().unwrap()));
    scripts.open(async |plugin| {
        let begun = Instant::now();
        let (status, reply) = plugin
            .call("VolumeDriver.Create", json!({ "Name": "bad" }))
            .await;
        let (error, took) = (reply["Err"].as_str().unwrap_or_default(), begun.elapsed());
        ensure(
            status == 500 && error.starts_with("volume.lua") && error.contains(reason),
            reply.to_string(),
        )?;
        ensure(
            error.len() < 2000,
            format!("an error of {} bytes", error.len()),
        )?;
        ensure(took < BOUND, format!("took {took:?}"))?;
        ensure(!scratch.exists(), "it wrote")?;
        goes_on(&plugin, *reason == MEMORY).await
    })
}

async fn goes_on(plugin: &Scripted, is_renewed: bool) -> Result<(), String> {
    let (status, reply) = plugin
        .call("VolumeDriver.Create", json!({ "Name": "good" }))
        .await;
    ensure(status == 200, format!("the next call: {reply}"))?;
    let log = plugin.log();
    ensure(
        log.contains("script restarted, out of memory") == is_renewed,
        format!("renewed: {log}"),
    )?;
    let generation = if is_renewed {
        "generation=2"
    } else {
        "generation=1"
    };
    ensure(log.lines().last().unwrap().contains(generation), log)
}

fn denies_as_policy((_, reason, body): &Case) -> Result<(), String> {
    let scripts = Scripts::new([("plugin.toml", manifest_of(reason).as_str())]);
    let scratch = scripts.path().with_file_name("scratch");
    scripts.write("authz.lua", &policy(body, scratch.to_str().unwrap()));
    scripts.open(async |plugin| {
        let denial = plugin
            .decision(request("GET", "/v1.41/version"))
            .await
            .ok_or("allowed")?;
        ensure(denial.starts_with("the policy failed: authz.lua"), &denial)?;
        ensure(
            denial.contains(&reason.replace("volume.lua", "authz.lua")),
            &denial,
        )?;
        ensure(!scratch.exists(), "it wrote")?;
        match plugin.decision(request("GET", "/_ping")).await {
            None => Ok(()),
            Some(denial) => Err(format!("the next request: {denial}")),
        }
    })
}

#[test]
fn loops_are_stopped() {
    each(LOOPS, fails_as_driver);
}

#[test]
fn a_budget_cannot_be_caught() {
    each(CATCHERS, fails_as_driver);
}

#[test]
fn memory_is_limited_and_the_state_replaced() {
    each(BOMBS, fails_as_driver);
}

#[test]
fn recursion_is_limited() {
    each(DEPTHS, fails_as_driver);
}

#[test]
fn library_functions_respect_the_budget() {
    each(LIBRARY, fails_as_driver);
}

#[test]
fn a_policy_over_its_budget_denies() {
    each(CATCHERS, denies_as_policy);
    each(LOOPS, denies_as_policy);
    each(BOMBS, denies_as_policy);
    each(DEPTHS, denies_as_policy);
}
