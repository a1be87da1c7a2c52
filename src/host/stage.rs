//! What takes the place of the machine while scripts are tested.

use super::Host;
use super::binding::Name;
use mlua::{IntoLuaMulti, Lua, MultiValue, Value};
use rustix::time::{ClockId, Timespec, clock_gettime};
use send_wrapper::SendWrapper;
use std::fmt::{self, Debug, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The time at which a test begins, in seconds of Unix time: 2026-01-01 00:00 UTC.
const DAWN: f64 = 1_767_225_600.0;

/// What an answer takes, in seconds, as a field of its table.
const DELAY: &str = "delay";

/// Answers host functions in place of the machine.
pub trait Double {
    /// Called before each host function that reaches outside of the script. Returns how long a
    /// function that waits is delayed.
    ///
    /// # Errors
    /// What the function raises in place of its work.
    fn before(&self, name: Name) -> Result<Duration, String>;

    /// Answers a function, or returns `None` to leave it to the machine. `reaches` is whether the
    /// function reaches outside of the script.
    fn answer(
        &self,
        lua: &Lua,
        name: Name,
        reaches: bool,
        arguments: &MultiValue,
    ) -> Option<Played>;

    /// Called when a function has listed so many entries of the store.
    fn listed(&self, entries: usize);
}

/// The values that a function returns, or the message of the error that it raises.
pub type Played = Result<MultiValue, String>;

/// A directory, a clock and a double in place of the machine. All scripts run on the thread of the
/// double.
#[derive(Clone)]
pub struct Stage {
    root: PathBuf,
    since: Instant,
    double: Arc<SendWrapper<Box<dyn Double>>>,
}

impl Stage {
    /// Puts `double` in place of the machine, and `root`, a path without links, in place of `/`.
    /// The clock is that of tokio's runtime.
    pub fn new(root: PathBuf, double: impl Double + 'static) -> Self {
        let double: Box<dyn Double> = Box::new(double);
        Self {
            root,
            since: Instant::now(),
            double: Arc::new(SendWrapper::new(double)),
        }
    }

    /// Returns where to find a path of the machine.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Debug for Stage {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.debug_struct("Stage")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Asks the double, if there is one, before a function that reaches outside of the script.
    pub(super) fn before(&self, name: Name) -> Result<Duration, String> {
        let stage = self.shared.stage.as_ref();
        stage.map_or(Ok(Duration::ZERO), |stage| stage.double.before(name))
    }

    /// Returns the double's answer, if there is a double that has one.
    pub(super) fn answer(
        &self,
        lua: &Lua,
        name: Name,
        reaches: bool,
        arguments: &MultiValue,
    ) -> Option<Played> {
        let stage = self.shared.stage.as_ref()?;
        stage.double.answer(lua, name, reaches, arguments)
    }

    /// Waits for the double's answer, if there is a double that has one. A function whose grant
    /// depends on its arguments asks here, once it has checked them.
    pub(super) async fn played(
        &self,
        lua: &Lua,
        (module, function): (&'static str, &'static str),
        arguments: impl IntoLuaMulti,
    ) -> Option<Played> {
        self.shared.stage.as_ref()?;
        let arguments = match arguments.into_lua_multi(lua) {
            Ok(arguments) => arguments,
            Err(error) => return Some(Err(error.to_string())),
        };
        let played = self.answer(lua, Name { module, function }, true, &arguments)?;
        tokio::time::sleep(delay(&played)).await;
        Some(played)
    }

    /// Tells the double, if there is one, how many entries of the store a function has listed.
    pub(super) fn listed(&self, entries: usize) {
        if let Some(stage) = &self.shared.stage {
            stage.double.listed(entries);
        }
    }

    /// Returns the time of a clock, in seconds.
    pub(super) fn seconds(&self, clock: ClockId) -> f64 {
        let seconds = |time: Timespec| time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        match &self.shared.stage {
            Some(stage) => DAWN + stage.since.elapsed().as_secs_f64(),
            None => seconds(clock_gettime(clock)),
        }
    }

    /// Returns where to find a path of the script.
    pub(super) fn located(&self, path: PathBuf) -> PathBuf {
        self.shared.place(&path)
    }

    /// Returns the path that a script gets for one that was found.
    pub(super) fn unlocated(&self, path: PathBuf) -> PathBuf {
        let stage = self.shared.stage.as_ref();
        let below = stage.and_then(|stage| path.strip_prefix(&stage.root).ok());
        below.map_or_else(|| path.clone(), |below| Path::new("/").join(below))
    }

    /// Returns an error's text with the paths that the script knows.
    pub(super) fn unlocated_text(&self, text: String) -> String {
        match &self.shared.stage {
            Some(stage) => text.replace(&*stage.root.to_string_lossy(), ""),
            None => text,
        }
    }
}

fn delay(played: &Played) -> Duration {
    let first = played.as_ref().ok().and_then(|values| values.front());
    let delay = first
        .and_then(Value::as_table)
        .map(|table| table.raw_get(DELAY));
    let seconds: Option<f64> = delay.and_then(Result::ok).flatten();
    Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default()
}
