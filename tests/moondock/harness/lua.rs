//! A script with std modules and nothing else around it.

use mlua::Lua;
use moondock::grants::Granted;
use moondock::host::{Host, Limits, Shared};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A Lua state whose globals are the std modules, as one hook would see them.
pub struct Script {
    lua: Lua,
    _state: TempDir,
}

impl Script {
    /// A script of a plugin of that name.
    pub async fn new(plugin: &str) -> Self {
        let state = TempDir::new().unwrap();
        let shared = Shared::open(plugin.to_owned(), state.path().to_owned())
            .await
            .unwrap();
        shared.grant(everything());
        let host = Host::new(
            Arc::new(shared),
            Arc::default(),
            "test.lua".to_owned(),
            1,
            Limits::default(),
        );
        host.in_call.set(true);
        host.budget.begin(Duration::from_secs(10));
        let lua = Lua::new();
        for module in moondock::host::MODULES {
            lua.globals()
                .set(module.name, module.table(&lua, &host).unwrap())
                .unwrap();
        }
        Self { lua, _state: state }
    }

    /// Runs it, and returns its result or its error as text.
    pub async fn eval<R: mlua::FromLuaMulti>(&self, source: &str) -> Result<R, String> {
        self.lua
            .load(source)
            .set_name("=test")
            .eval_async()
            .await
            .map_err(|e| e.to_string())
    }

    /// Runs it, and returns its result.
    pub async fn run<R: mlua::FromLuaMulti>(&self, source: &str) -> R {
        self.eval(source)
            .await
            .unwrap_or_else(|e| panic!("{e}\nin {source}"))
    }

    /// Runs it, and returns the error that it must end with.
    pub async fn fail(&self, source: &str) -> String {
        self.eval::<mlua::Value>(source).await.expect_err(source)
    }
}

/// Grants for tests of something else.
pub fn everything() -> Granted {
    let programs = [
        "blkid",
        "cat",
        "echo",
        "false",
        "head",
        "kill",
        "no-such-program",
        "/etc/hostname",
        "printf",
        "sh",
        "sleep",
        "touch",
        "true",
        "yes",
    ];
    let programs = programs.iter().map(|name| format!("exec:{name}"));
    let rest = ["fs.write:/", "net", "mount"].map(str::to_owned);
    let grants = programs.chain(rest).map(|grant| grant.parse().unwrap());
    grants.collect::<Vec<_>>().into()
}

/// Runs a future as a plugin's thread does.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}
