//! The SQLite driver: opening, migrating, the writer thread with group commit, and the readers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::Aside;
use crate::model::Fault;

/// Migrations in order; the database's `user_version` counts those that were applied.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
];

/// Writes that may wait for the writer before callers have to.
const QUEUE: usize = 1_024;
/// Writes that share one commit at most.
const GROUP: usize = 256;
/// Read-only connections.
const READERS: usize = 4;
/// Pages (KiB) that the writer keeps in memory. A cache is filled by whatever is read over time
/// and never shrinks, so all of them together are what the process grows by in its first hours.
const WRITER_KIB: i32 = 8_192;
/// The same for each reader: what is not there comes from the system's own cache of the file.
const READER_KIB: i32 = 2_048;

type Job = Box<dyn FnOnce(&Connection) -> Box<dyn FnOnce(Result<(), Fault>) + Send> + Send>;

/// The store. Cheap to clone; the writer thread ends when the last clone is gone.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    reader: Reader,
    aside: Aside,
}

/// A read-only door to the store.
#[derive(Clone)]
pub struct Reader {
    // Guards the ways to idle reading threads; held only while one is taken or given back.
    idle: Arc<Mutex<Vec<Line>>>,
    // One permit for each thread, so that `idle` is never empty for whoever holds one.
    permits: Arc<Semaphore>,
    path: Arc<PathBuf>,
}

/// A read, done by a thread with its own connection.
type Read = Box<dyn FnOnce(&mut Connection) + Send>;
/// The way to one reading thread, which ends with it.
type Line = std::sync::mpsc::Sender<Read>;

/// Reads within one consistent view of the database.
pub struct Rows<'a> {
    pub(super) conn: &'a Connection,
}

/// Reads and writes within one transaction.
pub struct Tx<'a> {
    rows: Rows<'a>,
}

impl<'a> std::ops::Deref for Tx<'a> {
    type Target = Rows<'a>;
    fn deref(&self) -> &Rows<'a> {
        &self.rows
    }
}

/// Turns a database error into a fault: busy and full disks may pass, the rest will not.
pub(super) fn fault(context: &str, error: rusqlite::Error) -> Fault {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure) => {
            Fault::transient(context, error)
        }
        _ => Fault::permanent(context, error),
    }
}

fn open(path: &Path, flags: OpenFlags, cache_kib: i32) -> anyhow::Result<Connection> {
    let conn = Connection::open_with_flags(path, flags)
        .with_context(|| format!("opening the store at {}", path.display()))?;
    conn.busy_timeout(Duration::from_secs(10))?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    Ok(conn)
}

fn migrate(conn: &mut Connection) -> anyhow::Result<()> {
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = version as usize;
    anyhow::ensure!(
        version <= MIGRATIONS.len(),
        "the store was written by a newer nightjar (schema {version}, this one knows {}); \
         start that version, or another data directory",
        MIGRATIONS.len()
    );
    for (n, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        let tx = conn.transaction()?;
        tx.execute_batch(sql).with_context(|| format!("applying migration {}", n + 1))?;
        tx.pragma_update(None, "user_version", (n + 1) as u32)?;
        tx.commit()?;
    }
    Ok(())
}

impl Store {
    /// Opens (or makes) the store at `path` and brings its schema up to date.
    ///
    /// # Errors
    /// The file can't be opened or written, is no database, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        Self::try_open(path)
            .map_err(|e| Fault::permanent(format!("can't open the store {}", path.display()), e))
    }

    fn try_open(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("making the folder {}", folder.display()))?;
        }
        let mut conn = open(path, OpenFlags::default(), WRITER_KIB)?;
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "full")?;
        migrate(&mut conn)?;
        let reader = Reader::connect(path)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer(&mut conn, queue))?;
        let aside = Aside::new(&path.with_extension("sqlite-aside"));
        Ok(Self { jobs, reader, aside })
    }

    /// Runs `work` in a transaction and returns once it is durable. `work` may be run in one
    /// commit with others, but fails alone.
    ///
    /// # Errors
    /// What `work` returned, or why the commit failed; then nothing of it was written.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |conn| {
            let outcome = in_savepoint(conn, work);
            Box::new(move |committed: Result<(), Fault>| {
                // Whoever asked may have gone away; the write stands all the same.
                let _ = answer.send(committed.and(outcome));
            })
        });
        let gone = || Fault::because("the store's writer has stopped");
        self.jobs.send(job).await.map_err(|_| gone())?;
        result.await.map_err(|_| {
            if self.jobs.is_closed() {
                return gone();
            }
            // No transaction could be begun, so nothing of it was run.
            let why = anyhow::anyhow!("no transaction could be begun");
            Fault::transient("writing to the store failed", why)
        })?
    }

    /// Runs `work` on a consistent view, see [`Reader::read`].
    ///
    /// # Errors
    /// What `work` returned.
    pub async fn read<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Rows<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.reader.read(work).await
    }

    /// Where urgent records go while the writer is busy.
    #[must_use]
    pub fn aside(&self) -> &Aside {
        &self.aside
    }

    /// The read-only door.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

impl Reader {
    /// Opens a store to read it and nothing else: nothing is made, nothing is brought up to date.
    ///
    /// # Errors
    /// There is no store, it can't be read, or another version wrote it.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let opened = || {
            anyhow::ensure!(path.exists(), "there is none");
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let conn = open(path, flags, READER_KIB)?;
            let version: u32 = conn.pragma_query_value(None, "user_version", |r| r.get(0))?;
            anyhow::ensure!(
                version as usize == MIGRATIONS.len(),
                "it has schema {version} and this nightjar reads {}; start the version that wrote \
                 it, or let `nightjar run` bring an older one up to date",
                MIGRATIONS.len()
            );
            Self::connect(path)
        };
        opened()
            .map_err(|e| Fault::permanent(format!("can't read the store {}", path.display()), e))
    }

    fn connect(path: &Path) -> anyhow::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut idle = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let mut conn = open(path, flags, READER_KIB)?;
            let (line, reads) = std::sync::mpsc::channel::<Read>();
            // Threads of its own, because memory that a thread has used stays with it: in a large
            // pool every thread would in time hold what the largest read needs.
            std::thread::Builder::new()
                .name("store-reader".into())
                .spawn(move || reads.into_iter().for_each(|read| read(&mut conn)))?;
            idle.push(line);
        }
        Ok(Self {
            idle: Arc::new(Mutex::new(idle)),
            permits: Arc::new(Semaphore::new(READERS)),
            path: Arc::new(path.to_owned()),
        })
    }

    /// Runs `work` on a consistent view of the store, on a thread for blocking work.
    ///
    /// # Errors
    /// What `work` returned, or that the view could not be opened.
    pub async fn read<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Rows<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let line = self.idle.lock().expect("nothing panics under this lock").pop();
        let line = line.expect("a permit stands for a thread");
        let (answer, result) = oneshot::channel();
        let (idle, back) = (self.idle.clone(), line.clone());
        let read: Read = Box::new(move |conn| {
            // A panic in a closure must not end the thread: it is reported.
            let run = std::panic::AssertUnwindSafe(|| {
                let tx = conn.transaction().map_err(|e| fault("opening a read view", e))?;
                work(&Rows { conn: &tx })
            });
            let result = std::panic::catch_unwind(run)
                .unwrap_or_else(|_| Err(Fault::because("a read of the store panicked")));
            // The thread is free again before anybody may take its permit.
            idle.lock().expect("nothing panics under this lock").push(back);
            drop(permit);
            // Whoever asked may have gone away.
            let _ = answer.send(result);
        });
        let gone = || Fault::because("a reader of the store has stopped");
        line.send(read).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// Size of the database file in bytes, without its write-ahead log.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        std::fs::metadata(&*self.path).map_or(0, |m| m.len())
    }
}

fn in_savepoint<T>(
    conn: &Connection,
    work: impl FnOnce(&Tx<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    conn.execute_batch("SAVEPOINT job").map_err(|e| fault("starting a write", e))?;
    // A panic in a closure must not end the writer thread: the write is undone and reported.
    let run = std::panic::AssertUnwindSafe(|| work(&Tx { rows: Rows { conn } }));
    let result = std::panic::catch_unwind(run)
        .unwrap_or_else(|_| Err(Fault::because("a write to the store panicked")));
    let end = if result.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    conn.execute_batch(end).map_err(|e| fault("ending a write", e))?;
    result
}

fn writer(conn: &mut Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < GROUP
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        metrics::histogram!("nightjar_store_group_size").record(jobs.len() as f64);
        let mut answers = Vec::with_capacity(jobs.len());
        let begun = conn.execute_batch("BEGIN IMMEDIATE").map_err(|e| e.to_string());
        if begun.is_ok() {
            answers.extend(jobs.into_iter().map(|job| job(conn)));
        } else {
            // Without a transaction the jobs are not run at all; dropping them tells the callers.
            drop(jobs);
        }
        let committed =
            begun.and_then(|()| conn.execute_batch("COMMIT").map_err(|e| e.to_string()));
        if let Err(error) = &committed {
            tracing::error!(error = %error, "a commit to the store failed");
            // Nothing may stay open for the next group; there is none to undo when BEGIN failed.
            let _ = conn.execute_batch("ROLLBACK");
        }
        for answer in answers {
            answer(committed.clone().map_err(|e| {
                Fault::transient("writing to the store failed", anyhow::anyhow!("{e}"))
            }));
        }
    }
}
