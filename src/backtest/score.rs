//! Scores a tree of CSV files: one row out for every row in.
//!
//! Each file is one entity, read and written row by row, so that memory does not grow with it;
//! files are shared out over the processor's cores. What is written stands under its name only once
//! it is whole.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::Serialize;

use super::rows::{Broken, Form, Reader};
use crate::detect::ensemble::Entity;

/// The first line of what is written.
const HEAD: [&str; 3] = ["timestamp", "value", "anomaly_score"];
/// Bytes written at once.
const BUFFER: usize = 1 << 17;

/// Why no file of a tree is scored.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// What is to be scored can't be read.
    #[error("the source can't be read")]
    Source(#[source] io::Error),
    /// No score can be written.
    #[error("the target can't be written")]
    Target(#[source] io::Error),
}

/// A file that could not be scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which file.
    pub file: PathBuf,
    /// The line, from 1, where one can be named.
    pub line: Option<u64>,
    /// What is wrong and what to do.
    pub text: String,
}

/// What became of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scored {
    /// Files written.
    pub n_files: usize,
    /// Rows written, over all files.
    pub n_rows: u64,
    /// Files that were not, in order of their names.
    pub failures: Vec<Failure>,
    /// What was taken in spite of its form, by file.
    pub notes: Vec<(PathBuf, String)>,
}

/// Scores one file: `timestamp,value,anomaly_score`. The time and the value stand as they came; of
/// several value columns it is the first one's. A score lies between 0 and 1 and grows without
/// reaching 1; a row without any value has 0. Gives the number of rows and what was odd.
///
/// # Errors
/// The file is broken, or nothing can be written.
pub fn score(source: impl Read, sink: impl Write) -> Result<(u64, Vec<String>), Broken> {
    let mut rows = Reader::open(source, Form::Wide)?;
    let mut entity = Entity::new(rows.n_values());
    let mut out = csv::WriterBuilder::new().buffer_capacity(BUFFER).from_writer(sink);
    let wrote = |e: csv::Error| Broken::new(None, format!("The scores can't be written: {e}."));
    out.write_record(HEAD).map_err(wrote)?;
    let mut n_rows = 0;
    let mut text = String::new();
    while let Some(row) = rows.next_row()? {
        let verdict = entity.push(row.at_ms, row.values);
        let score = verdict.map_or(0.0, |v| v.score);
        let score = if score.is_finite() { score.clamp(0.0, 1.0) } else { 0.0 };
        text.clear();
        text.push_str(&score.to_string());
        out.write_record([row.time, row.first, text.as_bytes()]).map_err(wrote)?;
        n_rows += 1;
    }
    out.flush().map_err(|e| wrote(e.into()))?;
    Ok((n_rows, rows.notes().sentences()))
}

/// Scores every file whose name ends in `.csv` below a folder (or one file) into the same relative
/// path below another, on all cores. What can't be scored is listed and keeps nothing back.
///
/// # Errors
/// The folder can't be read, both are the same, or nothing can be written.
pub fn score_tree(from: &Path, to: &Path) -> Result<Scored, TreeError> {
    let files = find(from, Some(to)).map_err(TreeError::Source)?;
    if !files.is_empty() {
        writable(to).map_err(TreeError::Target)?;
    }
    let next = AtomicUsize::new(0);
    let n_threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(files.len());
    let work = || {
        let mut done = Vec::new();
        while let Some((i, path)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, files.get(i)?)))
        {
            done.push((i, one(from, to, path)));
        }
        done
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|t| t.join());
        joined.flat_map(|d| d.expect("a row is judged without a panic")).collect()
    });
    done.sort_by_key(|(i, _)| *i);
    let mut all = Scored::default();
    for (i, result) in done {
        let file = &files[i];
        match result {
            Ok((n_rows, notes)) => {
                all.n_files += 1;
                all.n_rows += n_rows;
                all.notes.extend(notes.into_iter().map(|n| (file.clone(), n)));
            }
            Err(Broken { line, text }) => {
                all.failures.push(Failure { file: file.clone(), line, text });
            }
        }
    }
    Ok(all)
}

/// Scores one file of a tree into a file beside its place, which is moved there when it is whole.
fn one(from: &Path, to: &Path, path: &Path) -> Result<(u64, Vec<String>), Broken> {
    let (source, target) = (from.join(path), to.join(path));
    let opened = File::open(&source)
        .map_err(|e| Broken::new(None, format!("The file can't be opened: {e}.")))?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = target.with_file_name(name);
    // Without the file's name, so that what holds for many is told once.
    let written = |e: io::Error| Broken::new(None, format!("Its scores can't be written: {e}."));
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(written)?;
    }
    let sink = File::create(&partial).map_err(written)?;
    let result = score(opened, BufWriter::new(sink))
        .and_then(|done| fs::rename(&partial, &target).map(|()| done).map_err(written));
    if result.is_err() {
        fs::remove_file(&partial).ok();
    }
    result
}

/// Makes a folder, and finds out whether files can be made in it before hours of reading.
pub(super) fn writable(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join(".nightjar.partial");
    File::create(&probe)?;
    fs::remove_file(&probe)
}

/// Files below `from` whose name ends in `.csv`, relative to it and in order; never what lies below
/// `to`, which an earlier run wrote.
pub(super) fn find(from: &Path, to: Option<&Path>) -> io::Result<Vec<PathBuf>> {
    let root = from.canonicalize()?;
    let target = to.and_then(|to| to.canonicalize().ok());
    if target.as_ref() == Some(&root) {
        let text = "the scores would be written over what they are of; choose another folder";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if root.is_file() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is a file, not a folder"));
    }
    let (mut found, mut open) = (Vec::new(), vec![from.to_path_buf()]);
    let mut seen = BTreeSet::new();
    while let Some(folder) = open.pop() {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", folder.display()));
        // A link may lead back up.
        let real = folder.canonicalize().map_err(named)?;
        if target.as_ref() == Some(&real) || !seen.insert(real) {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(named)? {
            let path = entry.map_err(named)?.path();
            let is_csv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
            if path.is_dir() {
                open.push(path);
            } else if let (true, Ok(relative)) = (is_csv, path.strip_prefix(from)) {
                found.push(relative.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}
