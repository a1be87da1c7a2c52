//! A plugin of one test's scripts, called as the server calls it but without a socket.

use crate::harness::lua::block_on;
use moondock::plugin::{OpenError, Plugin, PluginSpec, Reply, ReplyStream};
use moondock::protocol::Call;
use serde_json::{Value, json};
use std::fs;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;

/// A plugin's directory, before it is opened.
pub struct Scripts {
    dir: TempDir,
}

/// An open plugin, and what it logs.
pub struct Scripted {
    plugin: Rc<Plugin>,
    log: Log,
    scripts: Scripts,
}

impl Scripts {
    /// Files by their path below the plugin's directory.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let scripts = Self { dir };
        files
            .into_iter()
            .for_each(|(name, text)| scripts.write(name, text));
        scripts
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join("p").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("p")
    }

    fn spec(&self) -> PluginSpec {
        PluginSpec::new("p", self.path(), self.dir.path().join("state"))
    }

    /// Opens the plugin, and runs the test on it as on the plugin's own thread.
    pub fn open<R>(self, test: impl AsyncFnOnce(Scripted) -> R) -> R {
        let log = Log::default();
        let _guard = log.listen();
        block_on(async {
            let plugin = Plugin::open(self.spec())
                .await
                .unwrap_or_else(|e| panic!("{e}"));
            test(Scripted {
                plugin,
                log: log.clone(),
                scripts: self,
            })
            .await
        })
    }

    /// Why the plugin cannot be opened.
    pub fn refusal(self) -> String {
        match block_on(Plugin::open(self.spec())) {
            Err(OpenError::Script(diagnostic)) => diagnostic.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was opened"),
        }
    }
}

impl Scripted {
    /// The status and the body of an answer; status 0 for a connection that is closed instead.
    pub async fn raw(&self, method: &str, body: &[u8]) -> (u16, String) {
        let Some(call) = Call::of(method) else {
            return (404, format!("{method} is not a method"));
        };
        match self.plugin.call(call, body.to_vec().into()).await {
            Reply::Answer { status, body } => (status, String::from_utf8(body).unwrap()),
            Reply::HangUp => (0, String::new()),
            Reply::Stream(_) => panic!("{method} is answered by a stream"),
        }
    }

    /// Calls a hook as the host does.
    pub async fn host(&self, hook: &str, body: Value) -> (u16, Value) {
        let method = moondock::protocol::methods()
            .find(|method| method.wire == hook)
            .unwrap();
        match self
            .plugin
            .call(Call::Method(method), body.to_string().into())
            .await
        {
            Reply::Answer { status, body } => (status, serde_json::from_slice(&body).unwrap()),
            other => panic!("{hook}: {other:?}"),
        }
    }

    /// The body of an answer that is made while it is read, and whether it came to its end.
    pub async fn stream(&self, method: &str, body: Value) -> ReplyStream {
        match self
            .plugin
            .call(call_of(method), body.to_string().into())
            .await
        {
            Reply::Stream(parts) => parts,
            other => panic!("{method}: {other:?}"),
        }
    }

    pub fn plugin(&self) -> &Rc<Plugin> {
        &self.plugin
    }

    /// The answer to a call.
    pub async fn call(&self, method: &str, body: Value) -> (u16, Value) {
        let (status, body) = self.raw(method, body.to_string().as_bytes()).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// The error that a call must be answered with.
    pub async fn error(&self, method: &str, body: Value) -> String {
        let (status, reply) = self.call(method, body).await;
        assert!(
            status >= 400 && reply["Err"] == reply["Error"],
            "{status} {reply}"
        );
        reply["Err"].as_str().unwrap().to_owned()
    }

    /// What a policy decides: nothing when it allows, else the reason.
    pub async fn decision(&self, request: Value) -> Option<String> {
        let (status, reply) = self.call("AuthZPlugin.AuthZReq", request).await;
        assert_eq!(status, 200, "{reply}");
        match reply["Allow"].as_bool() {
            Some(true) => None,
            _ => Some(reply["Msg"].as_str().unwrap_or("no reason").to_owned()),
        }
    }

    /// Loads what is on the disk now.
    pub async fn reload(&self) {
        self.plugin.reload(false).await;
    }

    pub fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }
}

/// What a request for a method asks for; a name without a row is a mistake of the test.
pub fn call_of(method: &str) -> Call {
    Call::of(method).unwrap_or_else(|| panic!("no method {method}"))
}

/// A request to the engine, as it asks a policy.
pub fn request(method: &str, uri: &str) -> Value {
    json!({ "RequestMethod": method, "RequestUri": uri })
}

/// A request with a JSON body.
pub fn request_with(method: &str, uri: &str, body: &Value) -> Value {
    use base64::Engine;
    let text = body.to_string();
    json!({
        "RequestMethod": method,
        "RequestUri": uri,
        "RequestHeaders": { "Content-Type": "application/json", "Content-Length": text.len().to_string() },
        "RequestBody": base64::engine::general_purpose::STANDARD.encode(text),
    })
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_writer(self.clone())
            .without_time()
            .with_ansi(false)
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        LogWriter(self.clone())
    }
}

struct LogWriter(Log);

impl std::io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
