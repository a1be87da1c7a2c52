//! A stand-in for dispatch, so that the server can be tested before scripts run: it answers as the
//! fixture scripts of `tests/moondock` say. To be replaced as a whole.

use bytes::Bytes;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::fs::read_to_string;
use std::future::pending;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use thiserror::Error;
use tracing::info;

/// What is opened.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// The plugin's name.
    pub name: String,
    /// The directory of its scripts.
    pub dir: PathBuf,
    /// The directory of its state.
    pub state: PathBuf,
}

/// An answer: a status and JSON.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
}

/// One plugin.
pub struct Plugin {
    spec: PluginSpec,
    script: RefCell<String>,
    generation: Cell<u64>,
}

/// Why a plugin cannot be opened.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct OpenError(String);

impl Plugin {
    /// Loads the scripts.
    pub async fn open(spec: PluginSpec) -> Result<Rc<Plugin>, OpenError> {
        let plugin = Plugin { spec, script: RefCell::default(), generation: Cell::new(0) };
        plugin.load()?;
        Ok(Rc::new(plugin))
    }

    fn load(&self) -> Result<(), OpenError> {
        let script = read_to_string(self.spec.dir.join("volume.lua")).unwrap_or_default();
        if script.contains("{{{") {
            return Err(OpenError("volume.lua:1: syntax error".into()));
        }
        self.script.replace(script);
        self.generation.set(self.generation.get() + 1);
        Ok(())
    }

    /// The limit of a method's body.
    pub fn body_limit(&self, path: &str) -> Result<usize, Reply> {
        match path {
            "/Plugin.Activate" => Ok(1 << 16),
            "/AuthZPlugin.AuthZReq" => Ok(16 << 20),
            _ if path.starts_with("/VolumeDriver.") => Ok(1 << 20),
            _ => Err(failed(404, format!("unknown method `{path}`"))),
        }
    }

    /// Answers a call.
    pub async fn call(self: &Rc<Self>, path: &str, body: Bytes) -> Reply {
        let request = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let reply = self.answer(path, &request).await;
        let (plugin, object) = (&self.spec.name, request["Name"].as_str());
        info!(
            plugin,
            method = &path[1..],
            object,
            outcome = reply.status,
            ms = 0.1,
            generation = self.generation.get(),
            "call"
        );
        reply
    }

    async fn answer(&self, path: &str, request: &Value) -> Reply {
        if request.is_null() && path != "/Plugin.Activate" {
            return failed(400, "a body is needed".into());
        }
        let name = request["Name"].as_str().unwrap_or_default();
        if let Some(seconds) = request["Opts"]["sleep"].as_str().and_then(|s| s.parse().ok()) {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
        assert!(name != "panic", "a panic as asked for");
        let script = self.script.borrow();
        let root =
            script.split("Mountpoint = \"").nth(1).and_then(|s| s.split('"').next()).unwrap_or_default();
        let body = match path {
            "/Plugin.Activate" => json!({ "Implements": ["VolumeDriver"] }),
            "/VolumeDriver.Get" => {
                json!({ "Volume": { "Name": name, "Mountpoint": format!("{root}{name}") } })
            }
            "/AuthZPlugin.AuthZReq" => json!({ "Allow": true }),
            _ => json!({}),
        };
        Reply { status: 200, body: body.to_string().into_bytes() }
    }

    /// Watches for changes.
    pub async fn watch(self: Rc<Self>) {
        pending().await
    }

    /// Loads the scripts again.
    pub async fn reload(self: &Rc<Self>) {
        if let Err(error) = self.load() {
            tracing::error!("{error}");
        }
    }
}

fn failed(status: u16, message: String) -> Reply {
    Reply { status, body: json!({ "Err": message, "Error": message }).to_string().into_bytes() }
}
