//! The two ends of a stream's control: what it is ordered to do, and how far it has come.

use super::info::StreamInfo;
use std::cell::Cell;
use tokio::sync::watch;

/// What a stream is ordered to do. A later order goes beyond those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// To go on.
    Run,
    /// To end when it is empty and nobody can write to it.
    EndWhenDeserted,
    /// To end when it is empty.
    Stop,
    /// To give up the FIFO, which the engine is about to remove.
    Leave,
}

/// The progress of a stream towards its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// It goes on.
    Open,
    /// All that was written before it was stopped is delivered, or on disk.
    Drained,
    /// Its task is over.
    Ended,
}

/// The control of one stream.
#[derive(Debug)]
pub(super) struct Control {
    /// The container's ID.
    pub container: String,
    /// The container's name, for the log.
    pub name: String,
    /// The number of the stream, which is higher than those of earlier streams.
    pub number: u64,
    /// The bytes of it that are on disk.
    pub spilled: Cell<u64>,
    order: watch::Sender<Order>,
    progress: watch::Sender<Progress>,
    /// Whether something may be left to deliver.
    backlog: watch::Sender<bool>,
}

impl Control {
    /// Creates the control of a stream that goes on.
    pub fn new(info: &StreamInfo, number: u64) -> Self {
        Self {
            container: info.container.clone(),
            name: info.name.clone(),
            number,
            spilled: Cell::new(0),
            order: watch::Sender::new(Order::Run),
            progress: watch::Sender::new(Progress::Open),
            backlog: watch::Sender::new(true),
        }
    }

    /// Gives an order, unless one was given that goes further.
    pub fn order(&self, order: Order) {
        self.order.send_if_modified(|now| {
            let goes_further = order > *now;
            *now = order.max(*now);
            goes_further
        });
    }

    /// Returns the present order.
    pub fn ordered(&self) -> Order {
        *self.order.borrow()
    }

    /// Returns the present order, and a future that waits for the next.
    pub fn next_order(&self) -> (Order, impl Future<Output = ()>) {
        let mut receiver = self.order.subscribe();
        let now = *receiver.borrow_and_update();
        let changed = async move {
            // The stream holds the sender for as long as it waits.
            let _ = receiver.changed().await;
        };
        (now, changed)
    }

    /// Waits until nothing is left in the FIFO of a stopped stream.
    pub async fn drained(&self) {
        self.reached(Progress::Drained).await;
    }

    /// Whether the stream's task is over.
    pub fn has_ended(&self) -> bool {
        *self.progress.borrow() == Progress::Ended
    }

    /// Waits for the end of the stream's task.
    pub async fn ended(&self) {
        self.reached(Progress::Ended).await;
    }

    /// Records the progress of the stream.
    pub fn reach(&self, progress: Progress) {
        self.progress
            .send_if_modified(|now| progress > std::mem::replace(now, progress.max(*now)));
        if progress == Progress::Ended {
            self.set_backlog(false);
        }
    }

    /// Records whether something is left to deliver.
    pub fn set_backlog(&self, is_there: bool) {
        self.backlog
            .send_if_modified(|now| std::mem::replace(now, is_there) != is_there);
    }

    /// Waits until nothing is left to deliver.
    pub async fn caught_up(&self) {
        let mut receiver = self.backlog.subscribe();
        // `self` holds the sender.
        let _ = receiver.wait_for(|is_there| !is_there).await;
    }

    async fn reached(&self, progress: Progress) {
        let mut receiver = self.progress.subscribe();
        // `self` holds the sender.
        let _ = receiver.wait_for(|now| *now >= progress).await;
    }
}
