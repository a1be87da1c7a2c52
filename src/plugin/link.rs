//! The way to a script, which runs on the plugin's own thread or on one of its own.

use super::core::Core;
use super::runner::Runner;
use super::slot::Lost;
use crate::protocol::Interface;
use crate::script::Script;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::sleep;
use tracing::dispatcher;

/// The pause after a restart of a script, in case it panics again at once.
const RESTART_BACKOFF: Duration = Duration::from_secs(1);

/// The way to a script.
pub(super) enum Link {
    /// The script runs on the thread that accepts the plugin's connections.
    Here(Supervised),
    /// The script runs on a thread of its own.
    Thread(Thread),
}

/// A thread with an event loop, which runs what it is sent.
pub(super) struct Thread {
    jobs: Option<UnboundedSender<Job>>,
    handle: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce(Rc<Supervised>) -> LocalBoxFuture<'static, ()> + Send>;

/// A runner on its thread, with the task that recovers it from panics.
pub(super) struct Supervised {
    runner: Rc<Runner>,
    supervision: AbortHandle,
}

impl Link {
    /// Runs the script of `interface` on this thread.
    pub fn here(core: Arc<Core>, interface: Interface) -> Self {
        Self::Here(Supervised::new(core, interface))
    }

    /// Starts a thread for the script of `interface`.
    ///
    /// # Errors
    /// The system's error.
    pub fn thread(core: Arc<Core>, interface: Interface) -> io::Result<Self> {
        let (jobs, queue) = unbounded_channel();
        let name = format!("{} {}", core.name(), interface.name());
        // A global subscriber needs no passing on. Tests have one for each thread.
        let scoped = (!dispatcher::has_been_set()).then(|| dispatcher::get_default(Clone::clone));
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = thread::Builder::new().name(name).spawn(move || {
            let _guard = scoped.as_ref().map(dispatcher::set_default);
            serve(runtime, core, interface, queue);
        })?;
        Ok(Self::Thread(Thread {
            jobs: Some(jobs),
            handle: Some(handle),
        }))
    }

    /// Runs `task` with the script's runner, on its thread, and returns its result.
    ///
    /// # Errors
    /// [`Lost`] after a panic, which is logged. The script is then restarted.
    pub async fn run<T, R>(
        &self,
        task: impl FnOnce(Rc<Runner>) -> R + Send + 'static,
    ) -> Result<T, Lost>
    where
        T: Send + 'static,
        R: Future<Output = T> + 'static,
    {
        match self {
            Self::Here(supervised) => supervised.run(task).await,
            Self::Thread(thread) => {
                let (sender, result) = oneshot::channel();
                thread.send(Box::new(move |supervised| {
                    let job = async move {
                        // The caller may have given up.
                        let _ = sender.send(supervised.run(task).await);
                    };
                    job.boxed_local()
                }));
                result.await.unwrap_or(Err(Lost))
            }
        }
    }
}

impl Link {
    /// Returns the script that is live, if it runs on this thread.
    pub fn script_here(&self) -> Option<Rc<Script>> {
        match self {
            Self::Here(supervised) => {
                let live = supervised.runner.slot.live().ok()?;
                Some(live.script)
            }
            Self::Thread(_) => None,
        }
    }
}

impl Thread {
    /// Sends a job; a thread that is gone drops it.
    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Thread {
    /// Ends the thread and waits for it, so that nothing of the plugin is in use any more.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(handle) = self.handle.take() {
            // A panic has been logged.
            let _ = handle.join();
        }
    }
}

fn serve(
    runtime: Runtime,
    core: Arc<Core>,
    interface: Interface,
    mut jobs: UnboundedReceiver<Job>,
) {
    LocalSet::new().block_on(&runtime, async move {
        let runner = Rc::new(Supervised::new(core, interface));
        while let Some(job) = jobs.recv().await {
            spawn_local(job(runner.clone()));
        }
    });
    // A file operation that hangs must not delay the shutdown.
    runtime.shutdown_background();
}

impl Supervised {
    fn new(core: Arc<Core>, interface: Interface) -> Self {
        let runner = Runner::new(core, interface);
        let supervision = spawn_local(supervise(runner.clone())).abort_handle();
        Self {
            runner,
            supervision,
        }
    }

    async fn run<T, R: Future<Output = T>>(
        &self,
        task: impl FnOnce(Rc<Runner>) -> R,
    ) -> Result<T, Lost> {
        let runner = self.runner.clone();
        // The call of `task` itself may panic, too.
        let task = async move { task(runner).await };
        self.runner.slot.guard(task).await
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.supervision.abort();
    }
}

/// Recovers the runner whenever one of its tasks panicked.
async fn supervise(runner: Rc<Runner>) {
    loop {
        runner.slot.panicked.notified().await;
        // The recovery may panic too: it is tried again after the next panic.
        let _ = AssertUnwindSafe(runner.recover()).catch_unwind().await;
        sleep(RESTART_BACKOFF).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::slot::Release;
    use crate::plugin::{Manifest, PluginSpec, Reply};
    use crate::protocol::find;
    use crate::script::Sources;
    use crate::sys::state::journal::Journal;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use rustix::io::ioctl_fionread;
    use std::fs::File;
    use std::io::Write;
    use tokio::time::timeout;

    const SCRIPT: &str = "local volume = {}
        function volume.create() end function volume.remove() end function volume.mount() end
        function volume.unmount() end function volume.path() end function volume.list() end
        function volume.get() return { Volume = { Name = 'v' } } end
        return volume";

    async fn core() -> (Arc<Core>, tempfile::TempDir) {
        let state = tempfile::tempdir().unwrap();
        let spec = PluginSpec::new("p", state.path().into(), state.path().into());
        (Arc::new(Core::open(spec).await.unwrap()), state)
    }

    async fn load(link: &Link) {
        let files = [("volume.lua".into(), SCRIPT.as_bytes().to_vec())].into();
        let sources = Sources {
            files,
            ..Sources::default()
        };
        let release = Release {
            manifest: Arc::new(Manifest::default()),
            sources: Arc::new(sources),
        };
        let loading = link.run(|runner| async move { runner.slot.load_first(Ok(release)).await });
        loading.await.unwrap().unwrap();
    }

    async fn generation(link: &Link) -> u64 {
        let reading = link.run(|runner| async move {
            runner.slot.live().map_or(0, |live| live.script.generation)
        });
        reading.await.unwrap()
    }

    /// A panic fails its call only, and the script goes on in a new state.
    async fn survives_a_panic(link: Link) {
        load(&link).await;
        let panicking = link.run(|_| async { panic!("on purpose") });
        let lost: Result<(), Lost> = panicking.await;
        assert!(lost.is_err());
        let restarted = async {
            while generation(&link).await != 2 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_mins(1), restarted).await.unwrap();
        let get = find("VolumeDriver.Get").unwrap();
        let body = br#"{"Name":"v"}"#.as_slice();
        let answer = link.run(move |runner| async move { runner.answer(get, body.into()).await });
        let reply = answer.await.unwrap();
        assert!(
            matches!(reply, Reply::Answer { status: 200, .. }),
            "{reply:?}"
        );
    }

    fn block_on(test: impl Future<Output = ()>) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        LocalSet::new().block_on(&runtime.unwrap(), test);
    }

    #[test]
    fn panic_on_the_own_thread_restarts_the_script() {
        block_on(async {
            let (core, _state) = core().await;
            survives_a_panic(Link::here(core, Interface::Volume)).await;
        });
    }

    #[test]
    fn panic_on_another_thread_restarts_the_script() {
        block_on(async {
            let (core, _state) = core().await;
            survives_a_panic(Link::thread(core, Interface::Volume).unwrap()).await;
        });
    }

    #[test]
    fn panic_beside_calls_restarts_the_script() {
        block_on(async {
            let (core, _state) = core().await;
            let link = Link::thread(core, Interface::Volume).unwrap();
            load(&link).await;
            let spawning = link.run(|runner| async move {
                runner.slot.spawn(async { panic!("on purpose") });
            });
            spawning.await.unwrap();
            let restarted = async {
                while generation(&link).await != 2 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_mins(1), restarted).await.unwrap();
        });
    }

    /// The log streams of a plugin belong to its log script alone.
    #[test]
    fn panic_of_a_driver_leaves_log_streams_alone() {
        block_on(async {
            let (core, state) = core().await;
            let fifo = state.path().join("fifo");
            mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
            let mut engine = File::options().read(true).write(true).open(&fifo).unwrap();
            engine.write_all(b"a frame").unwrap();
            let note = format!(r#"{{"ContainerID":"c","File":{fifo:?}}}"#);
            let journal = Journal::new(state.path().join("logs"));
            journal.add("id", note.as_bytes()).unwrap();
            survives_a_panic(Link::thread(core, Interface::Volume).unwrap()).await;
            assert_eq!(ioctl_fionread(&engine).unwrap(), 7);
        });
    }
}
