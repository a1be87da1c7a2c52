//! What others may want of a stream, and know of it.

use super::info::StreamInfo;
use tokio::sync::watch;

/// What a stream is told to do; a later one goes beyond those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    Run,
    /// End when it is empty and nobody can write to it.
    EndWhenDeserted,
    /// End when it is empty.
    Stop,
}

/// What others know of a stream.
#[derive(Debug)]
pub(super) struct Control {
    /// The container's ID.
    pub container: String,
    /// The container's name, for the log.
    pub name: String,
    pub order: watch::Sender<Order>,
    state: watch::Sender<State>,
}

/// How far a stream has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It goes on.
    Open,
    /// All that was written before it was stopped is handed over.
    Drained,
    /// Its task is over.
    Ended,
}

impl Control {
    pub(super) fn new(info: &StreamInfo) -> Self {
        let (order, state) = (
            watch::Sender::new(Order::Run),
            watch::Sender::new(State::Open),
        );
        Self {
            container: info.container.clone(),
            name: info.name.clone(),
            order,
            state,
        }
    }

    pub(super) fn order(&self, order: Order) {
        self.order.send_if_modified(|now| {
            let further = order > *now;
            *now = order.max(*now);
            further
        });
    }

    /// Waits until a stopped stream is empty.
    pub(super) async fn drained(&self) {
        let _ = self
            .state
            .subscribe()
            .wait_for(|state| *state >= State::Drained)
            .await;
    }

    /// Waits for the end of the stream's task.
    pub(super) async fn ended(&self) {
        let _ = self
            .state
            .subscribe()
            .wait_for(|state| *state == State::Ended)
            .await;
    }

    pub(super) fn reach(&self, state: State) {
        self.state
            .send_if_modified(|now| state > std::mem::replace(now, state.max(*now)));
    }
}
