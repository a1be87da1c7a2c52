//! The durable key-value store of one plugin: a redb file, and a copy in memory that answers reads.
//!
//! The copy changes only after the file, so a read never returns what a power cut could revert, and
//! never waits for a disk; see `docs/decisions/0009-store.md`.

mod content;

pub use self::content::{Bytes, KeyRange, StoreSize};

use self::content::{Changes, Content, Map, apply};
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("values");

/// The size of redb's cache, in bytes. It is small because [`Map`] contains the whole file.
const PAGE_CACHE: usize = 1 << 20;

/// An error of the store. Nothing has been written then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another store in this one, has opened the file.
    #[error("the store `{0}` is in use by another process")]
    InUse(PathBuf),
    /// The file is corrupt, or not a redb file.
    #[error(
        "the store `{path}` is corrupt ({reason}): restore it from a backup, or move it away to start empty"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The store would hold more keys than its limit.
    #[error(
        "the store holds {0} keys, and no more: delete some, or raise `store_keys` in plugin.toml"
    )]
    Keys(usize),
    /// The store would hold more text than its limit.
    #[error(
        "the store would hold more than {} MiB: delete something, or raise `store_mib` in \
         plugin.toml",
        .0 >> 20
    )]
    Bytes(usize),
    /// The disk is full.
    #[error("no space left for the store `{0}`: nothing was written")]
    Full(PathBuf),
    /// The file could not be opened, read or written.
    #[error("the store `{path}` failed: {reason}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// The system's message.
        reason: String,
    },
}

/// A plugin's store, which is opened at first use. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    file: Arc<StoreFile>,
    /// The database, locked by the current transaction; others wait in a fair queue. It is `None`
    /// until the file is opened, and after an error, because redb then requires a reopen.
    database: Arc<Mutex<Option<Database>>>,
}

#[derive(Debug)]
struct StoreFile {
    path: PathBuf,
    committed: RwLock<Option<Content>>,
}

/// A transaction, the only one at its time. Dropping it without [`Transaction::commit`] writes
/// nothing.
#[derive(Debug)]
pub struct Transaction {
    file: Arc<StoreFile>,
    database: OwnedMutexGuard<Option<Database>>,
    changes: Changes,
    /// What the store will hold.
    size: StoreSize,
}

impl Store {
    /// Creates a store in the file `path`, whose directory must exist at first use.
    pub fn new(path: PathBuf) -> Self {
        let file = Arc::new(StoreFile {
            path,
            committed: RwLock::new(None),
        });
        Self {
            file,
            database: Arc::default(),
        }
    }

    /// Returns what the store holds; nothing before it is first used.
    pub fn size(&self) -> StoreSize {
        let committed = self.file.committed.read();
        let content = committed.unwrap_or_else(PoisonError::into_inner);
        content.as_ref().map(Content::size).unwrap_or_default()
    }

    /// Returns the value of `key`. Waits only while the file is first opened.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.opened().await?;
        Ok(self.file.read(|content| content.map.get(key).cloned()))
    }

    /// Returns the keys of a range and their values, sorted by key.
    pub async fn list(&self, range: &KeyRange) -> Result<Vec<(String, Bytes)>, StoreError> {
        self.opened().await?;
        Ok(self.file.read(|content| {
            range
                .within(&content.map)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        }))
    }

    /// Begins a transaction after those before it.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        let database = self.database.clone().lock_owned().await;
        let database = self.file.clone().with_database(database).await?;
        Ok(Transaction {
            size: self.file.read(Content::size),
            file: self.file.clone(),
            database,
            changes: Changes::new(),
        })
    }

    async fn opened(&self) -> Result<(), StoreError> {
        if self.file.is_loaded() {
            return Ok(());
        }
        self.begin().await.map(drop)
    }
}

impl Transaction {
    /// Returns the value of `key`, including this transaction's changes.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        match self.changes.get(key) {
            Some(change) => change.clone(),
            None => self.file.read(|content| content.map.get(key).cloned()),
        }
    }

    /// Returns all keys with `prefix` and their values, sorted by key, including this transaction's
    /// changes.
    pub fn list(&self, prefix: &str) -> Vec<(String, Bytes)> {
        let range = KeyRange::of(prefix);
        let mut found: Map = self.file.read(|content| {
            range
                .within(&content.map)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        });
        let changes = range.within(&self.changes);
        apply(&mut found, changes.map(|(k, v)| (k.clone(), v.clone())));
        found.into_iter().collect()
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// Nothing is changed if the store would grow beyond `limit`.
    pub fn set(
        &mut self,
        key: String,
        value: impl Into<Bytes>,
        limit: StoreSize,
    ) -> Result<(), StoreError> {
        let value = value.into();
        let size = self.size_without(&key).with(&key, &value);
        if size.keys > limit.keys.max(self.size.keys) {
            return Err(StoreError::Keys(limit.keys));
        }
        if size.bytes > limit.bytes.max(self.size.bytes) {
            return Err(StoreError::Bytes(limit.bytes));
        }
        self.size = size;
        self.changes.insert(key, Some(value));
        Ok(())
    }

    fn size_without(&self, key: &str) -> StoreSize {
        match self.get(key) {
            Some(value) => self.size.without(key, &value),
            None => self.size,
        }
    }

    /// Deletes `key`. Returns whether it existed.
    pub fn delete(&mut self, key: &str) -> bool {
        let Some(value) = self.get(key) else {
            return false;
        };
        self.size = self.size.without(key, &value);
        self.changes.insert(key.to_owned(), None);
        true
    }

    /// Deletes all keys with `prefix`. Returns how many there were.
    pub fn delete_all(&mut self, prefix: &str) -> usize {
        let found = self.list(prefix);
        for (key, _) in &found {
            self.delete(key);
        }
        found.len()
    }

    /// Writes all changes or none, and returns once they are on disk. If the caller drops the
    /// future, the commit still completes before the next transaction begins.
    pub async fn commit(self) -> Result<(), StoreError> {
        let Self {
            file,
            mut database,
            changes,
            size,
        } = self;
        if changes.is_empty() {
            return Ok(());
        }
        let path = file.path.clone();
        let commit = spawn_blocking(move || file.write(&mut database, changes, size));
        commit
            .await
            .unwrap_or_else(|panic| Err(failed(&path, &panic)))
    }
}

impl StoreFile {
    fn read<T: Default>(&self, look: impl FnOnce(&Content) -> T) -> T {
        let committed = self
            .committed
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        committed.as_ref().map(look).unwrap_or_default()
    }

    fn is_loaded(&self) -> bool {
        self.committed
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Opens the file, unless it is open.
    async fn with_database(
        self: Arc<Self>,
        mut database: OwnedMutexGuard<Option<Database>>,
    ) -> Result<OwnedMutexGuard<Option<Database>>, StoreError> {
        if database.is_some() {
            return Ok(database);
        }
        let path = self.path.clone();
        let open = spawn_blocking(move || {
            *database = Some(self.load()?);
            Ok(database)
        });
        open.await
            .unwrap_or_else(|panic| Err(corrupt(&path, &panic)))
    }

    fn load(&self) -> Result<Database, StoreError> {
        let explain = |error| explain(&self.path, error);
        let database = open(&self.path).map_err(explain)?;
        let map = read_all(&database).map_err(explain)?;
        *self
            .committed
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Content::of(map));
        Ok(database)
    }

    /// Writes the changes. The database is taken out of its place meanwhile, so that a panic closes
    /// it.
    fn write(
        &self,
        place: &mut Option<Database>,
        changes: Changes,
        size: StoreSize,
    ) -> Result<(), StoreError> {
        let database = match place.take() {
            Some(database) => database,
            None => self.load()?,
        };
        if let Err(error) = write_all(&database, &changes) {
            drop(database);
            *place = self.load().ok();
            return Err(explain(&self.path, error));
        }
        *place = Some(database);
        let mut committed = self
            .committed
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        committed.get_or_insert_default().apply(changes, size);
        Ok(())
    }
}

fn open(path: &Path) -> Result<Database, redb::Error> {
    if !path.try_exists()? {
        create(path)?;
    }
    let database = builder().open(path)?;
    Ok(database)
}

/// Verifies every checksum: redb trusts a file that something else changed, and may panic.
fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(PAGE_CACHE)
        .set_check_integrity_on_open(true);
    builder
}

/// Creates the file under another name: redb cannot open a file whose creation was interrupted.
fn create(path: &Path) -> Result<(), redb::Error> {
    let fresh = path.with_extension("redb.new");
    let _ = fs::remove_file(&fresh);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    let database = builder().create_with_backend(FileBackend::new(file)?)?;
    write_all(&database, &Changes::new())?;
    database.close()?;
    link(&fresh, path)?;
    Ok(())
}

/// Links the file into place, because a rename would replace a store that another process creates
/// meanwhile.
fn link(fresh: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(fresh, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::remove_file(fresh)?,
    }
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn read_all(database: &Database) -> Result<Map, redb::Error> {
    let table = database.begin_read()?.open_table(TABLE)?;
    let mut map = Map::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        map.insert(key.value().to_owned(), value.value().into());
    }
    Ok(map)
}

fn write_all(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut table = transaction.open_table(TABLE)?;
    for (key, change) in changes {
        match change {
            Some(value) => drop(table.insert(key.as_str(), value.as_ref())?),
            None => drop(table.remove(key.as_str())?),
        }
    }
    drop(table);
    transaction.commit()?;
    Ok(())
}

fn explain(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
            StoreError::Full(path.to_owned())
        }
        redb::Error::Corrupted(reason) => StoreError::Corrupt {
            path: path.to_owned(),
            reason,
        },
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            corrupt(path, &error)
        }
        redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            corrupt(path, &error)
        }
        other => failed(path, &other),
    }
}

fn corrupt(path: &Path, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn failed(path: &Path, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
