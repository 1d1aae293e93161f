//! Scores of a server's series: one file each, written stretch by stretch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::score::writable;
use crate::detect::ensemble::Entity;
use crate::model::{Batch, Series, SeriesId};

/// Text that is kept before it is written, over all files, in bytes.
const KEPT: usize = 16 << 20;
/// Longest name of a file, without its ending, in characters.
const NAME: usize = 150;

/// One series' file.
struct Scores {
    entity: Entity,
    path: PathBuf,
    text: String,
}

/// Writes `timestamp,value,anomaly_score` for every point, into one file a series. No file stays
/// open, so their number has no limit.
pub struct ScoreFiles {
    folder: PathBuf,
    series: BTreeMap<SeriesId, Scores>,
    names: BTreeSet<PathBuf>,
    kept: usize,
    n_rows: u64,
    failed: Option<io::Error>,
}

impl ScoreFiles {
    /// Files below a folder, which is made.
    ///
    /// # Errors
    /// The folder can't be made, or no file in it.
    pub fn new(folder: &Path) -> io::Result<Self> {
        writable(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            series: BTreeMap::new(),
            names: BTreeSet::new(),
            kept: 0,
            n_rows: 0,
            failed: None,
        })
    }

    /// Scores the points of a batch; what only teaches is learned and not written.
    pub fn take(&mut self, batch: &Batch) {
        for samples in &batch.metrics {
            let id = samples.series.id;
            if !self.series.contains_key(&id) {
                let path = self.path_of(&samples.series);
                let text = "timestamp,value,anomaly_score\n".to_owned();
                self.series.insert(id, Scores { entity: Entity::new(1), path, text });
            }
            let Some(scores) = self.series.get_mut(&id) else { continue };
            let before = scores.text.len();
            for point in &samples.points {
                let verdict = scores.entity.push(point.at.ms(), &[point.value]);
                if batch.backfill {
                    continue;
                }
                let score = verdict.map_or(0.0, |v| v.score);
                let _ = writeln!(scores.text, "{},{},{score}", point.at, point.value);
                self.n_rows += 1;
            }
            self.kept += scores.text.len() - before;
        }
        if self.kept > KEPT {
            self.flush();
        }
    }

    /// Writes what is left; gives the number of files and rows.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn finish(mut self) -> io::Result<(usize, u64)> {
        self.flush();
        match self.failed {
            Some(error) => Err(error),
            None => Ok((self.series.len(), self.n_rows)),
        }
    }

    fn flush(&mut self) {
        self.kept = 0;
        for scores in self.series.values_mut() {
            let text = std::mem::take(&mut scores.text);
            if text.is_empty() || self.failed.is_some() {
                continue;
            }
            // The head comes first, over whatever an earlier run left.
            let is_first = text.starts_with("timestamp");
            let mut how = OpenOptions::new();
            how.create(true).write(true).append(!is_first).truncate(is_first);
            let file = how.open(self.folder.join(&scores.path));
            if let Err(error) = file.and_then(|mut f| f.write_all(text.as_bytes())) {
                self.failed = Some(error);
            }
        }
    }

    /// `<entity>/<metric and labels>.csv` in letters that every file system takes.
    fn path_of(&mut self, series: &Series) -> PathBuf {
        let mut name = series.metric.clone();
        for (label, value) in series.labels.iter() {
            let _ = write!(name, " {label}={value}");
        }
        let folder = plain(series.entity.name());
        let mut path = Path::new(&folder).join(format!("{}.csv", plain(&name)));
        if !self.names.insert(path.clone()) {
            path = Path::new(&folder).join(format!("{} {}.csv", plain(&name), series.id));
            self.names.insert(path.clone());
        }
        fs::create_dir_all(self.folder.join(&folder)).unwrap_or_else(|e| self.failed = Some(e));
        path
    }
}

/// Letters, digits and a few signs; never empty, hidden or a way up.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '=' | '.' | ' ');
    let text: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(NAME).collect();
    let text = text.trim().trim_start_matches('.').to_owned();
    if text.is_empty() { "_".to_owned() } else { text }
}
