//! What a test needs of the machine. A test that lacks it prints why, and is skipped.
//!
//! | variable | |
//! |---|---|
//! | `MOONDOCK_TEST_REQUIRE=1` | a test that would be skipped fails instead; `tests/run` sets it |
//! | `MOONDOCK_TEST_ENGINES=1` | tests with real engines run; `tests/run` sets it |

#![allow(
    dead_code,
    reason = "each of the test programs needs other parts of the machine"
)]

use std::env;
use std::io::{Write, stderr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

/// Ends the test here unless the machine has what it needs: `needs!(root)`, `needs!(program, "nft")`.
macro_rules! needs {
    ($need:ident $(, $argument:expr)?) => {
        if let Err(reason) = $crate::needs::$need($($argument)?) {
            $crate::needs::skip(&reason);
            return;
        }
    };
}

/// Root that may create namespaces and mount: not the root of most containers.
pub fn root() -> Result<(), String> {
    static MAY: OnceLock<bool> = OnceLock::new();
    let may = || {
        rustix::process::geteuid().is_root()
            && Command::new("unshare")
                .args(["--mount", "--net", "true"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    };
    if *MAY.get_or_init(may) {
        Ok(())
    } else {
        Err("needs root, and namespaces".to_owned())
    }
}

/// A program on `PATH`.
pub fn program(name: &str) -> Result<(), String> {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|dir| dir.join(name).exists()) {
        Ok(())
    } else {
        Err(format!("needs the program `{name}`"))
    }
}

/// An engine, and that the one who runs the tests wants engines to be started.
pub fn engine() -> Result<(), String> {
    if env::var_os("MOONDOCK_TEST_ENGINES").is_none_or(|value| value != "1") {
        return Err("needs MOONDOCK_TEST_ENGINES=1, or tests/run".to_owned());
    }
    root()?;
    let dockerd = Path::new("/usr/sbin/dockerd");
    if dockerd.exists() {
        Ok(())
    } else {
        program("dockerd")
    }
}

/// Prints why the test is skipped. The test harness captures what macros print, so it is written.
pub fn skip(reason: &str) {
    let required = env::var_os("MOONDOCK_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "{reason}");
    let current = thread::current();
    let name = current.name().unwrap_or("a test");
    let _ = writeln!(stderr(), "skipped {name}: {reason}");
}
