//! Secrets of a swarm, from Lua into a task's `/run/secrets`.

use std::time::Duration;

use crate::harness::bed::Bed;
use crate::harness::wait::wait_for;

const TIMEOUT: Duration = Duration::from_secs(90);

const VAULT: &str = r#"local log = require("@moondock/log")
local secret = {}
function secret.get_secret(req)
  local labels, of_service = req.SecretLabels or {}, req.ServiceLabels or {}
  log.info("asked", { secret = req.SecretName, service = req.ServiceName, task = req.TaskName })
  if req.SecretName == "sealed" then error(`the vault is sealed for {req.ServiceName}`, 0) end
  if req.SecretName == "faulty" then return { Value = labels.none.none } end
  if req.SecretName == "huge" then return { Value = string.rep("x", 500 * 1024) } end
  if req.SecretName == "large" then return { Value = string.rep("x", 500 * 1024 - 1) } end
  if req.SecretName == "each" then return { Value = `only for {req.TaskID}`, DoNotReuse = true } end
  return { Value = `\0\255\r\n{labels.tier} {of_service.team} {req.ServiceName} {req.TaskImage} hunter2` }
end
return secret
"#;

impl Bed {
    /// A swarm of one engine, with the plugin `vault`.
    fn with_swarm() -> Bed {
        let bed = Bed::new();
        bed.without_resolver();
        bed.engine_start(&[]);
        bed.swarm_init();
        bed.write_script("scripts/vault/secret.lua", VAULT);
        let dir = bed.dir();
        let argv = [
            env!("CARGO_BIN_EXE_moondock"),
            "serve",
            &dir.join("scripts").display().to_string(),
            "--sockets",
            "/run/docker/plugins",
            "--state",
            &dir.join("state").display().to_string(),
        ];
        bed.plugin_start(&argv.map(str::to_owned), "/run/docker/plugins/vault.sock");
        bed
    }

    /// Has every name look-up fail at once. Else each task of a swarm waits for a registry.
    pub fn without_resolver(&self) {
        self.write_script("resolv.conf", "nameserver 127.0.0.1\n");
        let conf = self.dir().join("resolv.conf");
        self.exec_in_ns(&[
            "mount",
            "--bind",
            conf.to_str().unwrap(),
            "/etc/resolv.conf",
        ])
        .ok();
    }

    fn secret(&self, name: &str, args: &[&str]) {
        self.docker(&[&["secret", "create", "--driver", "vault"], args, &[name]].concat())
            .ok();
    }

    /// A service whose tasks run `command` with that secret.
    fn service(&self, name: &str, secret: &str, args: &[&str], command: &str) {
        let head = ["service", "create", "--detach", "--no-resolve-image"];
        let own = [
            "--restart-condition",
            "none",
            "--name",
            name,
            "--secret",
            secret,
        ];
        self.docker(&[&head[..], &own, args, &["busybox", "sh", "-c", command]].concat())
            .ok();
    }

    /// What the tasks of a service have printed, each one's words in a line.
    pub fn printed(&self, service: &str, tasks: usize) -> Vec<String> {
        let filter = format!("label=com.docker.swarm.service.name={service}");
        let mut printed = Vec::new();
        wait_for(&format!("printed by {tasks} tasks"), TIMEOUT, || {
            let ids = self.docker(&["ps", "-aq", "--filter", &filter]).ok();
            ids.lines()
                .filter(|id| self.docker(&["logs", id]).stdout.contains("end"))
                .count()
                >= tasks
        });
        for id in self
            .docker(&["ps", "-aq", "--filter", &filter])
            .ok()
            .lines()
        {
            printed.push(self.docker(&["logs", id]).stdout.replace('\n', " "));
        }
        printed.retain(|text| !text.is_empty());
        printed
    }
}

#[test]
fn a_task_receives_the_secret_of_the_script() {
    needs!(engine);
    let bed = Bed::with_swarm();
    bed.secret("token", &["--label", "tier=gold"]);
    let show = "od -An -v -tx1 /run/secrets/token; echo end";
    bed.service("web", "token", &["--label", "team=blue"], show);
    let printed = bed.printed("web", 1);
    let expected = b"\0\xff\r\ngold blue web busybox:latest hunter2";
    let hex: Vec<_> = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    let seen: Vec<_> = printed[0]
        .split_whitespace()
        .filter(|word| *word != "end")
        .collect();
    assert_eq!(seen, hex, "{printed:?}");
    let log = bed.moondock_log();
    assert!(
        log.contains("method=SecretProvider.GetSecret") && log.contains("object=token"),
        "{log}"
    );
    assert!(
        !log.contains("hunter2") && !bed.engine.log().contains("hunter2"),
        "the value is in a log"
    );
}

#[test]
fn do_not_reuse_requests_a_secret_for_each_task() {
    needs!(engine);
    let bed = Bed::with_swarm();
    bed.secret("each", &[]);
    bed.service(
        "web",
        "each",
        &["--replicas", "2"],
        "cat /run/secrets/each; echo; echo end",
    );
    let mut printed = bed.printed("web", 2);
    printed.sort();
    printed.dedup();
    assert_eq!(printed.len(), 2, "{printed:?}");
    assert!(
        printed.iter().all(|text| text.starts_with("only for ")),
        "{printed:?}"
    );
}

#[test]
fn a_failing_secret_fails_the_task_and_is_logged() {
    needs!(engine);
    let bed = Bed::with_swarm();
    for name in ["sealed", "faulty", "huge", "large"] {
        bed.secret(name, &[]);
        bed.service(
            name,
            name,
            &[],
            &format!("wc -c </run/secrets/{name}; echo end"),
        );
    }
    assert_eq!(bed.printed("large", 1), ["511999 end "]);
    // The engine keeps the reason to itself.
    for name in ["sealed", "faulty", "huge"] {
        let tasks = || bed.docker(&["service", "ps", "--no-trunc", name]).ok();
        wait_for("a failed task", TIMEOUT, || tasks().contains("Failed"));
        assert!(
            tasks().contains("unable to get secret from secret store"),
            "{}",
            tasks()
        );
    }
    let log = bed.moondock_log();
    for reason in [
        "failed: the vault is sealed for sealed",
        "failed: secret.lua:7: attempt to index nil with 'none'",
        "failed: secret.lua:3: `get_secret`: the reply's `Value` has 512000 bytes, and must have 1 to 511999",
    ] {
        assert!(log.contains(reason), "`{reason}` is not in\n{log}");
    }
    assert!(
        !log.contains("xxxx") && !bed.engine.log().contains("xxxx"),
        "the value is in a log"
    );
}

#[test]
fn a_service_recovers_when_the_secret_script_is_fixed() {
    needs!(engine);
    let bed = Bed::with_swarm();
    bed.secret("sealed", &[]);
    let restarts = ["--restart-condition", "any", "--restart-delay", "1s"];
    bed.service(
        "web",
        "sealed",
        &restarts,
        "cat /run/secrets/sealed; echo; echo end; sleep 600",
    );
    let tasks = || bed.docker(&["service", "ps", "--no-trunc", "web"]).ok();
    wait_for("a failed task", TIMEOUT, || tasks().contains("Failed"));
    bed.write_script(
        "scripts/vault/secret.lua",
        "return { get_secret = function() return { Value = 'open' } end }",
    );
    assert_eq!(bed.printed("web", 1), ["open end "]);
}
