//! Memory that calls hold outside of the Lua states: bodies, files, the output of programs.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What the calls of one script may hold together. Clones share it.
#[derive(Debug, Clone)]
pub struct Allowance(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: usize,
    held: AtomicUsize,
}

/// Bytes that count against an allowance until this is dropped.
#[derive(Debug)]
pub struct Held {
    allowance: Allowance,
    bytes: usize,
}

/// Bytes that grow within an allowance.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    held: Held,
}

/// The calls of a script would hold more than its allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the calls of this script hold more than {} MiB outside of Lua: handle less at a time, \
     or raise `memory_mib` in plugin.toml",
    .0 >> 20
)]
pub struct Spent(usize);

impl Allowance {
    /// Creates an allowance of `limit` bytes.
    pub fn of(limit: usize) -> Self {
        let held = AtomicUsize::new(0);
        Self(Arc::new(Account { limit, held }))
    }

    /// Counts `bytes`.
    ///
    /// # Errors
    /// Nothing is counted if it would be more than the allowance.
    pub fn hold(&self, bytes: usize) -> Result<Held, Spent> {
        let mut held = Held {
            allowance: self.clone(),
            bytes: 0,
        };
        held.grow(bytes).map(|()| held)
    }
}

impl Default for Allowance {
    /// Creates an allowance without a limit, for Moondock's own work.
    fn default() -> Self {
        Self::of(usize::MAX)
    }
}

impl Held {
    fn grow(&mut self, bytes: usize) -> Result<(), Spent> {
        let Account { limit, held } = &*self.allowance.0;
        let sum = |now: usize| now.checked_add(bytes).filter(|sum| sum <= limit);
        held.fetch_update(Relaxed, Relaxed, sum)
            .map_err(|_| Spent(*limit))?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.allowance.0.held.fetch_sub(self.bytes, Relaxed);
    }
}

impl Buffer {
    /// Creates an empty buffer.
    pub fn new(allowance: &Allowance) -> Self {
        let allowance = allowance.clone();
        let held = Held {
            allowance,
            bytes: 0,
        };
        let bytes = Vec::new();
        Self { bytes, held }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// Nothing is appended if it would be more than the allowance.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), Spent> {
        self.held.grow(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let allowance = Allowance::of(3 << 20);
        let first = allowance.hold(2 << 20).unwrap();
        let mut buffer = Buffer::new(&allowance);
        buffer.extend(&vec![1; 1 << 20]).unwrap();
        let spent = buffer.extend(&[1]).unwrap_err();
        assert!(spent.to_string().contains("more than 3 MiB"), "{spent}");
        assert_eq!(buffer.len(), 1 << 20, "nothing of it was appended");
        drop(first);
        buffer.extend(&[1]).unwrap();
        drop(buffer);
        assert!(allowance.hold(3 << 20).is_ok());
        assert!(allowance.hold(usize::MAX).is_err());
    }
}
