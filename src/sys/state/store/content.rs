//! What a store holds, in memory, and its size.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// A stored value.
pub type Bytes = Arc<[u8]>;

/// The size of a store, or the limit of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct StoreSize {
    /// The bytes of all keys and values.
    pub bytes: usize,
    /// The number of keys.
    pub keys: usize,
}

/// What is stored, and its size.
#[derive(Debug, Default)]
pub struct Content {
    pub map: Map,
    bytes: usize,
}

pub type Map = BTreeMap<String, Bytes>;
pub type Changes = BTreeMap<String, Option<Bytes>>;

impl StoreSize {
    /// Returns the size with one more key.
    #[must_use]
    pub fn with(self, key: &str, value: &[u8]) -> Self {
        Self {
            bytes: self.bytes + key.len() + value.len(),
            keys: self.keys + 1,
        }
    }

    /// Returns the size without a key that is there.
    #[must_use]
    pub fn without(self, key: &str, value: &[u8]) -> Self {
        Self {
            bytes: self.bytes - key.len() - value.len(),
            keys: self.keys - 1,
        }
    }
}

impl Content {
    /// Measures what is stored.
    pub fn of(map: Map) -> Self {
        let bytes = map.iter().map(|(key, value)| key.len() + value.len()).sum();
        Self { map, bytes }
    }

    /// Returns its size.
    pub fn size(&self) -> StoreSize {
        StoreSize {
            bytes: self.bytes,
            keys: self.map.len(),
        }
    }

    /// Makes the changes of a transaction, which leave content of this size.
    pub fn apply(&mut self, changes: Changes, size: StoreSize) {
        apply(&mut self.map, changes);
        self.bytes = size.bytes;
    }
}

/// A range of keys, in their order.
#[derive(Debug, Default, Clone)]
pub struct KeyRange {
    /// What the keys begin with.
    pub prefix: String,
    /// The key after which the range begins, if not at the first.
    pub after: Option<String>,
    /// How many keys there are at most.
    pub limit: Option<usize>,
}

impl KeyRange {
    /// Returns the range of all keys with `prefix`.
    pub fn of(prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        Self {
            prefix,
            ..Self::default()
        }
    }

    /// Returns the keys in the range, and what they lead to.
    pub fn within<'a, T>(
        &'a self,
        map: &'a BTreeMap<String, T>,
    ) -> impl Iterator<Item = (&'a String, &'a T)> {
        let start = match &self.after {
            Some(after) if *after >= self.prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(self.prefix.as_str()),
        };
        map.range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&self.prefix))
            .take(self.limit.unwrap_or(usize::MAX))
    }
}

/// Makes changes in a part of what is stored.
pub fn apply(map: &mut Map, changes: impl IntoIterator<Item = (String, Option<Bytes>)>) {
    for (key, change) in changes {
        match change {
            Some(value) => drop(map.insert(key, value)),
            None => drop(map.remove(&key)),
        }
    }
}
