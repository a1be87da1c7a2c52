//! Named locks of one plugin, and the guard against waiting in a circle.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// One call, as far as locks are concerned.
pub type Caller = u64;

/// Why a lock was not waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The caller holds it already, and would wait for itself.
    #[error("the lock `{0}` is already held by this call")]
    Twice(String),
    /// Its holder waits, directly or not, for a lock that the caller holds.
    #[error("waiting for the lock `{0}` would never end: its holder waits for a lock of this call")]
    Circle(String),
}

/// The named locks of one plugin, on its thread. Clones are the same locks.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    callers: Cell<Caller>,
    locks: RefCell<HashMap<String, Lock>>,
    waiting: RefCell<HashMap<Caller, String>>,
}

#[derive(Debug, Default)]
struct Lock {
    queue: Arc<Mutex<()>>,
    holder: Option<Caller>,
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Held {
    state: Rc<State>,
    name: String,
    place: Option<OwnedMutexGuard<()>>,
}

/// A caller's place in a queue, given up when this is dropped.
struct Waiting<'a> {
    state: &'a State,
    caller: Caller,
}

impl Locks {
    /// A number for a call that takes its first lock.
    pub fn caller(&self) -> Caller {
        self.state.callers.set(self.state.callers.get() + 1);
        self.state.callers.get()
    }

    /// Waits for the lock `name`, first come, first served; `caller` may hold other ones.
    pub async fn take(&self, caller: Caller, name: &str) -> Result<Held, LockError> {
        self.state.refuse_circle(caller, name)?;
        let queue = self
            .state
            .locks
            .borrow_mut()
            .entry(name.to_owned())
            .or_default()
            .queue
            .clone();
        let waiting = Waiting::new(&self.state, caller, name);
        let place = queue.lock_owned().await;
        drop(waiting);
        Ok(self.hold(caller, name, place))
    }

    /// Takes the lock `name` if nobody holds it or waits for it.
    pub fn try_take(&self, caller: Caller, name: &str) -> Option<Held> {
        let queue = self
            .state
            .locks
            .borrow_mut()
            .entry(name.to_owned())
            .or_default()
            .queue
            .clone();
        queue
            .try_lock_owned()
            .ok()
            .map(|place| self.hold(caller, name, place))
    }

    fn hold(&self, caller: Caller, name: &str, place: OwnedMutexGuard<()>) -> Held {
        self.state
            .locks
            .borrow_mut()
            .entry(name.to_owned())
            .or_default()
            .holder = Some(caller);
        Held {
            state: self.state.clone(),
            name: name.to_owned(),
            place: Some(place),
        }
    }
}

impl State {
    /// Follows who waits for whom, from the lock wanted. Whoever would close a circle is the last to come
    /// to it, so no circle is ever overlooked.
    fn refuse_circle(&self, caller: Caller, name: &str) -> Result<(), LockError> {
        let (locks, waiting) = (self.locks.borrow(), self.waiting.borrow());
        let mut wanted = name;
        while let Some(holder) = locks.get(wanted).and_then(|lock| lock.holder) {
            match waiting.get(&holder) {
                _ if holder == caller && wanted == name => {
                    return Err(LockError::Twice(name.to_owned()));
                }
                _ if holder == caller => return Err(LockError::Circle(name.to_owned())),
                Some(next) => wanted = next,
                None => break,
            }
        }
        Ok(())
    }

    /// Forgets a lock that nobody holds or waits for.
    fn forget_unused(&self, name: &str) {
        let mut locks = self.locks.borrow_mut();
        if locks
            .get(name)
            .is_some_and(|lock| Arc::strong_count(&lock.queue) == 1)
        {
            locks.remove(name);
        }
    }
}

impl<'a> Waiting<'a> {
    fn new(state: &'a State, caller: Caller, name: &str) -> Self {
        state.waiting.borrow_mut().insert(caller, name.to_owned());
        Self { state, caller }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.state.waiting.borrow_mut().remove(&self.caller);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lock) = self.state.locks.borrow_mut().get_mut(&self.name) {
            lock.holder = None;
        }
        self.place = None;
        self.state.forget_unused(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, poll};
    use std::pin::pin;

    #[tokio::test]
    async fn a_waiter_comes_next_and_nothing_is_left_behind() {
        let locks = Locks::default();
        let first = locks.take(1, "a").await.unwrap();
        let mut second = pin!(locks.take(2, "a"));
        assert!(poll!(&mut second).is_pending());
        drop(first);
        drop(second.await.unwrap());
        assert!(locks.state.locks.borrow().is_empty() && locks.state.waiting.borrow().is_empty());
    }

    #[tokio::test]
    async fn a_lock_that_is_held_is_not_waited_for() {
        let locks = Locks::default();
        let first = locks.try_take(1, "a").unwrap();
        assert!(locks.try_take(1, "a").is_none() && locks.try_take(2, "a").is_none());
        assert_eq!(
            locks.take(1, "a").await.unwrap_err(),
            LockError::Twice("a".into())
        );
        drop(first);
        drop(locks.try_take(2, "a").unwrap());
        assert!(locks.state.locks.borrow().is_empty());
    }

    #[tokio::test]
    async fn a_lock_taken_twice_is_refused() {
        let locks = Locks::default();
        let _held = locks.take(1, "a").await.unwrap();
        assert_eq!(
            locks.take(1, "a").await.unwrap_err(),
            LockError::Twice("a".into())
        );
    }

    #[tokio::test]
    async fn a_circle_is_refused_and_a_given_up_wait_is_none() {
        let locks = Locks::default();
        let _a = locks.take(1, "a").await.unwrap();
        let _b = locks.take(2, "b").await.unwrap();
        let mut waits = Box::pin(locks.take(1, "b"));
        assert!(poll!(&mut waits).is_pending());
        assert_eq!(
            locks.take(2, "a").await.unwrap_err(),
            LockError::Circle("a".into())
        );
        drop(waits);
        assert!(
            locks.take(2, "a").now_or_never().is_none(),
            "waits, as nobody waits for it"
        );
    }
}
