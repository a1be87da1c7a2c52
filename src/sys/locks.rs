//! The named locks of one plugin, taken by calls on any of its threads, and the guard against deadlock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

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

/// The named locks of one plugin. Clones are the same locks.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    state: Arc<Mutex<LockTable>>,
}

#[derive(Debug, Default)]
struct LockTable {
    callers: Caller,
    locks: HashMap<String, Lock>,
    waiting: HashMap<Caller, String>,
}

#[derive(Debug, Default)]
struct Lock {
    queue: Arc<Queue<()>>,
    holder: Option<Caller>,
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Held {
    locks: Locks,
    name: String,
    place: Option<OwnedMutexGuard<()>>,
}

/// A caller's place in a queue, given up when this is dropped.
struct Waiting<'a> {
    locks: &'a Locks,
    caller: Caller,
}

impl Locks {
    /// Returns a number for a call that takes its first lock.
    pub fn caller(&self) -> Caller {
        let mut state = self.state();
        state.callers += 1;
        state.callers
    }

    /// Waits for the lock `name`, first come, first served; `caller` may hold other ones.
    ///
    /// # Errors
    /// When the wait would never end.
    pub async fn take(&self, caller: Caller, name: &str) -> Result<Held, LockError> {
        let (queue, waiting) = self.line_up(caller, name)?;
        let place = queue.lock_owned().await;
        drop(waiting);
        Ok(self.hold(caller, name, place))
    }

    /// Takes the lock `name` if nobody holds it or waits for it.
    pub fn try_take(&self, caller: Caller, name: &str) -> Option<Held> {
        let mut state = self.state();
        let place = state.queue(name).try_lock_owned().ok()?;
        drop(state);
        Some(self.hold(caller, name, place))
    }

    /// Enters the queue of `name`. The check and the entry are one step, so of the calls that would
    /// close a circle the last one always sees it.
    fn line_up(
        &self,
        caller: Caller,
        name: &str,
    ) -> Result<(Arc<Queue<()>>, Waiting<'_>), LockError> {
        let mut state = self.state();
        state.refuse_circle(caller, name)?;
        state.waiting.insert(caller, name.to_owned());
        let waiting = Waiting {
            locks: self,
            caller,
        };
        Ok((state.queue(name), waiting))
    }

    fn hold(&self, caller: Caller, name: &str, place: OwnedMutexGuard<()>) -> Held {
        self.state().lock(name).holder = Some(caller);
        Held {
            locks: self.clone(),
            name: name.to_owned(),
            place: Some(place),
        }
    }

    fn state(&self) -> MutexGuard<'_, LockTable> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LockTable {
    fn lock(&mut self, name: &str) -> &mut Lock {
        self.locks.entry(name.to_owned()).or_default()
    }

    fn queue(&mut self, name: &str) -> Arc<Queue<()>> {
        self.lock(name).queue.clone()
    }

    /// Follows who waits for whom, beginning with the holder of `name`.
    fn refuse_circle(&self, caller: Caller, name: &str) -> Result<(), LockError> {
        let mut wanted = name;
        while let Some(holder) = self.locks.get(wanted).and_then(|lock| lock.holder) {
            match self.waiting.get(&holder) {
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
    fn forget_unused(&mut self, name: &str) {
        let unused = |lock: &Lock| Arc::strong_count(&lock.queue) == 1;
        if self.locks.get(name).is_some_and(unused) {
            self.locks.remove(name);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.locks.state().waiting.remove(&self.caller);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.locks.state();
        if let Some(lock) = state.locks.get_mut(&self.name) {
            lock.holder = None;
        }
        self.place = None;
        state.forget_unused(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, poll};
    use std::pin::pin;

    #[tokio::test]
    async fn a_released_lock_goes_to_the_next_waiter_and_leaves_no_entry() {
        let locks = Locks::default();
        let first = locks.take(1, "a").await.unwrap();
        let mut second = pin!(locks.take(2, "a"));
        assert!(poll!(&mut second).is_pending());
        drop(first);
        drop(second.await.unwrap());
        assert!(locks.state().locks.is_empty() && locks.state().waiting.is_empty());
    }

    #[tokio::test]
    async fn try_lock_does_not_wait() {
        let locks = Locks::default();
        let first = locks.try_take(1, "a").unwrap();
        assert!(locks.try_take(1, "a").is_none() && locks.try_take(2, "a").is_none());
        assert_eq!(
            locks.take(1, "a").await.unwrap_err(),
            LockError::Twice("a".into())
        );
        drop(first);
        drop(locks.try_take(2, "a").unwrap());
        assert!(locks.state().locks.is_empty());
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
    async fn deadlocks_are_refused_and_cancelled_waits_do_not_count() {
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
