//! The runner of a script: answers the calls of one interface on the thread of its script.

use super::collector::Collector;
use super::core::Core;
use super::logs::Logs;
use super::outcome::Outcome;
use super::slot::{Live, Slot};
use super::{CallError, Reply, hook, policy};
use crate::protocol::{Answer, Interface, Method};
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;

/// The runner of one script.
pub(super) struct Runner {
    pub slot: Rc<Slot>,
    /// The plugin's log streams; without any unless this runs the log script.
    pub logs: Rc<Logs>,
    /// The plugin's collector; never started unless this runs the metrics script.
    pub collector: Rc<Collector>,
}

impl Runner {
    /// Creates a runner whose script is yet to be loaded.
    pub fn new(core: Arc<Core>, interface: Interface) -> Rc<Self> {
        let slot = Rc::new(Slot::new(core, interface));
        Rc::new(Self {
            logs: Rc::new(Logs::new(slot.clone())),
            collector: Rc::new(Collector::new(slot.clone())),
            slot,
        })
    }

    /// Answers a call of the engine.
    pub async fn answer(&self, method: &'static Method, body: Bytes) -> Reply {
        let call = self.slot.begin(method, body);
        let live = self.slot.live();
        let (live, _body) = match live.and_then(|live| Ok((live.hold(&call.body)?, live))) {
            Ok((held, live)) => (Ok(live), Some(held)),
            Err(error) => (Err(error), None),
        };
        if let (Answer::ReadLog, Ok(live)) = (method.answer, &live)
            && live.script.has(method)
        {
            // The hook goes on after the first part of the answer, so it ends the call by itself.
            return self.logs.read(call, live).await;
        }
        let outcome = self.outcome(method, &live, &call.body).await;
        let live = live.as_ref().ok();
        self.slot.finish(call, live, &outcome).await;
        outcome.into_reply(method)
    }

    async fn outcome(
        &self,
        method: &'static Method,
        live: &Result<Live, CallError>,
        body: &[u8],
    ) -> Outcome {
        let slot = &self.slot;
        match (method.answer, live) {
            (Answer::Policy, Ok(live)) if !live.script.has(method) => Outcome::without_hook(method),
            (Answer::Policy, live) => policy::decide(slot, method, live, body).await,
            (_, Err(error)) => Outcome::failed(error.clone(), String::new()),
            (Answer::Hook, Ok(live)) => hook::answer(slot, method, live, body).await,
            (Answer::LogCapabilities, Ok(live)) => Logs::capabilities(live),
            (Answer::StartLog, Ok(live)) => self.logs.start(method, live, body).await,
            (Answer::StopLog, Ok(_)) => self.logs.stop(body).await,
            (Answer::ReadLog, Ok(_)) => Outcome::without_hook(method),
            (Answer::StartMetrics, Ok(live)) => self.collector.start(method, live, body).await,
            (Answer::StopMetrics, Ok(live)) => self.collector.stop(method, live, body).await,
            (Answer::Uncalled, Ok(live)) => hook::try_out(slot, method, live, body).await,
        }
    }

    /// Stops what runs beside calls: the metrics collector and the log streams, after the batches
    /// that the script has.
    pub async fn shut_down(&self) {
        self.collector.halt().await;
        self.logs.shut_down().await;
    }

    /// Recovers from a panic: restarts the script in a new state, and then whatever of the log streams
    /// and the collector has ended by it.
    pub async fn recover(&self) {
        self.slot.restart().await;
        if self.slot.interface == Interface::Log {
            self.logs.resume().await;
        }
        self.collector.resume();
    }
}
