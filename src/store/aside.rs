//! A file beside the database into which little, urgent records go while its writer is busy.
//!
//! The database has one writer: while that is held up (a large trim, a slow disk, another process
//! with a lock) no commit is had. What must be durable within a part of a second is then appended
//! here, a line each, and flushed to the disk; it goes into the database when that takes writes
//! again. Guarantees: [`Aside::put`] returns after the line is on disk; a line leaves the file only
//! after whoever took it said that it is kept ([`Aside::drop_first`]), so that after a crash it is
//! there again: taking it in must be idempotent. A line that a crash tore was never confirmed;
//! whoever takes lines leaves out what they can't read.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::model::Fault;

/// Bytes that may stand aside; what is more is refused.
const MOST_BYTES: u64 = 64 << 20;

/// The file. Cheap to clone.
#[derive(Clone)]
pub struct Aside {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    // Guards the file, which is made when something is first put into it; held while a line is
    // flushed, so that lines follow each other.
    file: Mutex<Option<File>>,
}

impl Aside {
    /// The file at `path`; it need not exist.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { inner: Arc::new(Inner { path: path.to_owned(), file: Mutex::default() }) }
    }

    /// Appends a line, which holds no line break, and returns once it is on disk.
    ///
    /// # Errors
    /// The disk did not take it, or too much stands aside already; it is not kept.
    pub async fn put(&self, line: String) -> Result<(), Fault> {
        self.blocking("setting something aside", move |inner| inner.append(&line)).await
    }

    /// All lines that stand aside, oldest first, and the bytes that they take in the file.
    ///
    /// # Errors
    /// The disk does not give them.
    pub async fn all(&self) -> Result<(Vec<String>, u64), Fault> {
        self.blocking("reading what was set aside", Inner::lines).await
    }

    /// Forgets the lines that the first `bytes` hold: they are kept elsewhere.
    ///
    /// # Errors
    /// The disk did not take it; the lines are there again the next time.
    pub async fn drop_first(&self, bytes: u64) -> Result<(), Fault> {
        self.blocking("forgetting what was set aside", move |inner| inner.cut(bytes)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Inner) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|e| Fault::permanent(what, e))?.map_err(|e| Fault::transient(what, e))
    }
}

impl Inner {
    /// Works on the file; nothing comes of it where there is none and none is to be made.
    fn with<T: Default>(
        &self,
        make: bool,
        work: impl FnOnce(&mut File) -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        let mut file = self.file.lock().expect("nothing panics under this lock");
        if file.is_none() {
            if !make && !self.path.exists() {
                return Ok(T::default());
            }
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true);
            // What people said is read by the bot alone.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let opened = options.open(&self.path)?;
            if let Some(folder) = self.path.parent().filter(|_| make) {
                // The name of a new file is durable once its folder is.
                File::open(folder)?.sync_all()?;
            }
            *file = Some(opened);
        }
        work(file.as_mut().expect("it was opened"))
    }

    fn append(&self, line: &str) -> std::io::Result<()> {
        self.with(true, |file| {
            let before = file.metadata()?.len();
            if before + line.len() as u64 > MOST_BYTES {
                return Err(std::io::Error::other("too much stands aside already"));
            }
            // A line that a crash tore ends where this one begins.
            let mut whole = Vec::with_capacity(line.len() + 2);
            whole.push(b'\n');
            whole.extend_from_slice(line.as_bytes());
            whole.push(b'\n');
            let written = file.write_all(&whole).and_then(|()| file.sync_data());
            if written.is_err() {
                // Half a line must not be taken for a whole one.
                file.set_len(before)?;
            }
            written
        })
    }

    fn lines(&self) -> std::io::Result<(Vec<String>, u64)> {
        self.with(false, |file| {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(0))?;
            file.read_to_end(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes);
            // What has no end was torn.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines = whole.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect();
            Ok((lines, bytes.len() as u64))
        })
    }

    fn cut(&self, bytes: u64) -> std::io::Result<()> {
        self.with(false, |file| {
            // Where more came since, all of it stays until it is taken together: it is idempotent.
            if file.metadata()?.len() == bytes {
                file.set_len(0)?;
                file.sync_data()?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_set_aside_is_there_after_a_crash_until_it_is_kept_elsewhere() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("aside");
        let aside = Aside::new(&path);
        assert_eq!(aside.all().await.expect("reads"), (Vec::new(), 0));
        assert!(!path.exists(), "nothing is made before it is needed");
        aside.put("one".into()).await.expect("is kept");
        aside.put("two".into()).await.expect("is kept");
        // Another process, after a crash in the midst of a third line.
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut f| f.write_all(b"\nthr"))
            .expect("is written");
        let next = Aside::new(&path);
        let (lines, bytes) = next.all().await.expect("reads");
        assert_eq!(lines, ["one", "two"]);
        // What comes in between is not forgotten with the others.
        next.put("four".into()).await.expect("is kept");
        next.drop_first(bytes).await.expect("is forgotten");
        let (lines, bytes) = next.all().await.expect("reads");
        assert_eq!(lines, ["one", "two", "thr", "four"]);
        next.drop_first(bytes).await.expect("is forgotten");
        assert_eq!(next.all().await.expect("reads"), (Vec::new(), 0));
    }
}
