//! `moondock call`: calls one method of a plugin without an engine.

mod request;

pub(super) use self::request::completed;
use super::state::StateDir;
use super::{on_this_thread, only_plugin, print};
use crate::client::{ApiRequest, requests};
use crate::config::PluginDir;
use crate::plugin::{Plugin, PluginSpec, Reply, ReplyStream};
use crate::protocol::{self, Cut, Method, cut, methods, sample};
use crate::script::nearest;
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use serde_json::json;
use std::future::poll_fn;
use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

/// The method that --docker is for.
const POLICY: &str = "AuthZPlugin.AuthZReq";

/// The exit code of `--exit-code` for a denial.
const DENIED: u8 = 3;

const LONG: &str = "Call one method of a plugin, without an engine

The hook runs as it would for the engine, on this machine, with all its
effects. The reply is printed to stdout, and the log to stderr. The exit code
is 0 if the call succeeds (HTTP 200), and 1 otherwise.

The request has Docker's fields. RequestBody and ResponseBody may be written
as JSON instead of Base64, and then get the headers of JSON if there are none.
--example prints one to begin with.

What the plugin stores is gone afterwards, unless --state names a directory:
calls with the same directory find what earlier ones stored.

With --docker, a policy is asked about the requests that Docker's client sends
for a command line, in their order, up to the first denial. The requests are
printed to stderr. No engine is needed, and nothing is sent to one.";

const AFTER: &str = "\
Examples:
  moondock call scripts/mynas volume.create '{\"Name\":\"data\"}'
  moondock call scripts/mynas VolumeDriver.List
  moondock call scripts/mynas volume.mount --example > request.json
  moondock call scripts/mynas volume.mount - < request.json
  moondock call scripts/mynas authz.request '{\"RequestMethod\":\"POST\",
      \"RequestUri\":\"/containers/create\",\"RequestBody\":{\"Image\":\"busybox\"}}'
  moondock call scripts/ops authz.request --docker 'run --privileged busybox'";

/// The arguments of `call`.
#[derive(Debug, Args)]
#[command(about = "Call one method of a plugin, without an engine", long_about = LONG, after_help = AFTER)]
pub struct Call {
    /// Directory of the plugin
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Name of the method (VolumeDriver.Create) or of the hook (volume.create)
    #[arg(value_name = "METHOD")]
    method: String,
    /// Request; with `-`, or without it if stdin is not a terminal, it is read from stdin
    #[arg(value_name = "JSON")]
    body: Option<String>,
    /// Print a request of the method as an engine sends it, and call nothing
    #[arg(long, conflicts_with_all = ["body", "docker", "state"])]
    example: bool,
    /// Ask a policy about the requests of this command line of Docker
    #[arg(long, value_name = "COMMAND", conflicts_with = "body")]
    docker: Option<String>,
    /// Name of the client who sends the requests of --docker, as in its TLS certificate
    #[arg(long, value_name = "NAME", requires = "docker")]
    user: Option<String>,
    /// Exit with 3 if a request of --docker is denied
    #[arg(long, requires = "docker")]
    exit_code: bool,
    /// Directory for the state of plugins; by default a temporary one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl Call {
    /// Calls the method, and prints the reply.
    pub fn run(self) -> Result<ExitCode> {
        let plugin = only_plugin(&self.path)?;
        let call = find_call(&self.method, &plugin)?;
        if self.example {
            print(&format!("{:#}\n", example(call)))?;
            return Ok(ExitCode::SUCCESS);
        }
        let asked = match &self.docker {
            Some(command) => Some(asked(call, command, self.user.as_deref())?),
            None => None,
        };
        let body = match call {
            _ if asked.is_some() => Bytes::new(),
            protocol::Call::Method(method) => completed(method, body(self.body)?),
            protocol::Call::Activate => body(self.body)?,
        };
        let state = StateDir::take(self.state, &plugin.name)?;
        let spec = PluginSpec::new(plugin.name, plugin.dir, state.dir.clone());
        on_this_thread(async {
            let plugin = Plugin::open(spec).await?;
            let code = match asked {
                Some(asked) => ask(&plugin, call, asked, self.exit_code).await?,
                None => show(plugin.call(call, body).await).await?,
            };
            state.report_loss(&plugin);
            Ok(code)
        })?
    }
}

/// Returns a request as an engine sends it.
pub(super) fn example(call: protocol::Call) -> serde_json::Value {
    let sample = match call {
        protocol::Call::Method(method) => sample(method),
        protocol::Call::Activate => None,
    };
    sample.unwrap_or_else(|| json!({}))
}

/// A request of the Engine API, and what the engine asks a policy about it.
struct Asked {
    line: String,
    body: Bytes,
}

/// Returns what the engine would ask about a command line.
fn asked(call: protocol::Call, command: &str, user: Option<&str>) -> Result<Vec<Asked>> {
    ensure!(
        call.wire() == POLICY,
        "--docker is for the method authz.request: write `moondock call PATH authz.request --docker …`"
    );
    let requests = requests(command).with_context(|| format!("docker {command}"))?;
    Ok(requests
        .into_iter()
        .map(|request| question(request, user))
        .collect())
}

fn question(request: ApiRequest, user: Option<&str>) -> Asked {
    let headers: serde_json::Map<_, _> = request
        .headers
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let mut asked = json!({
        "RequestMethod": request.method,
        "RequestUri": request.uri,
        "RequestHeaders": headers,
    });
    if let Some(body) = request.body {
        asked["RequestBody"] = STANDARD.encode(body.to_string()).into();
    }
    if let Some(user) = user {
        asked["User"] = user.into();
        asked["UserAuthNMethod"] = "TLS".into();
    }
    Asked {
        line: format!("{} {}", request.method, request.uri),
        body: asked.to_string().into(),
    }
}

/// Asks a policy about requests, up to the first denial.
async fn ask(
    plugin: &Plugin,
    call: protocol::Call,
    requests: Vec<Asked>,
    exit_code: bool,
) -> Result<ExitCode> {
    for request in requests {
        eprintln!("{}", request.line);
        let reply = plugin.call(call, request.body).await;
        let denied = matches!(&reply, Reply::Answer { body, .. } if denies(body));
        let code = show(reply).await?;
        if denied && exit_code {
            return Ok(ExitCode::from(DENIED));
        }
        if denied || code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn denies(reply: &[u8]) -> bool {
    let reply: serde_json::Value = serde_json::from_slice(reply).unwrap_or_default();
    reply["Allow"] != true
}

/// Finds a call by the name of the method or of the hook.
pub(super) fn find_call(name: &str, plugin: &PluginDir) -> Result<protocol::Call> {
    protocol::Call::of(name)
        .or_else(|| protocol::named(name).map(protocol::Call::Method))
        .with_context(|| format!("unknown method `{name}`{}", hint(name, plugin)))
}

/// Returns the name that was probably meant: of the plugin's own methods, or of any.
fn hint(name: &str, plugin: &PluginDir) -> String {
    let interfaces: Vec<_> = plugin.interfaces().collect();
    let own = || methods().filter(|method| interfaces.contains(&method.interface));
    let by_hook = own().find(|method| method.hook == name).map(Method::key);
    let near = by_hook
        .or_else(|| nearest_of(name, own()))
        .or_else(|| nearest_of(name, methods()));
    match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None => ": write `interface.hook`, such as `volume.create`".to_owned(),
    }
}

/// Returns the key or the wire name that is nearest to `name`.
fn nearest_of(name: &str, among: impl Iterator<Item = &'static Method>) -> Option<String> {
    let names: Vec<_> = among
        .flat_map(|method| [method.wire.to_owned(), method.key()])
        .collect();
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

/// Returns the request's body. An empty one becomes an empty object, because an engine sends an
/// empty body only when it repeats a call.
fn body(given: Option<String>) -> Result<Bytes> {
    match given {
        Some(text) if text != "-" => Ok(text.into()),
        None if stdin().is_terminal() => Ok(Bytes::from_static(b"{}")),
        _ => {
            let mut text = Vec::new();
            stdin()
                .read_to_end(&mut text)
                .context("cannot read the request from stdin")?;
            Ok(if text.trim_ascii().is_empty() {
                Bytes::from_static(b"{}")
            } else {
                text.into()
            })
        }
    }
}

pub(super) async fn show(reply: Reply) -> Result<ExitCode> {
    let (status, body) = match reply {
        Reply::Answer { status, body } => (status, body),
        Reply::Stream(parts) => return show_parts(parts).await,
        Reply::HangUp => {
            eprintln!("no reply: the connection is closed, and the engine would retry");
            return Ok(ExitCode::FAILURE);
        }
    };
    let value: serde_json::Value =
        serde_json::from_slice(&body).context("the reply is not JSON")?;
    print(&format!("{value:#}\n"))?;
    Ok(if status == 200 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints log entries, one line of JSON each.
async fn show_parts(mut parts: ReplyStream) -> Result<ExitCode> {
    while let Some(part) = poll_fn(|context| parts.poll_part(context)).await {
        let Ok(Cut::Entries(entries, _)) = cut(&part?, usize::MAX, usize::MAX) else {
            break;
        };
        for entry in entries {
            let line = String::from_utf8_lossy(&entry.line);
            let shown = json!({ "source": entry.source, "time": entry.time_nano.to_string(), "line": line });
            print(&format!("{shown}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
