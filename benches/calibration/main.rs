//! False rate of onsets: how often quiet series begin an episode, beside the rate that the episode's
//! p-value names. Without an argument over simulated series; with a folder over your own CSV files,
//! whose rows count as quiet but for those near a `label`.
//!
//! ```sh
//! cargo bench --bench calibration
//! cargo bench --bench calibration -- history
//! ```

mod kinds;

use std::fs::File;
use std::path::{Path, PathBuf};

use kinds::{KINDS, Quiet};
use nightjar::backtest::{Form, Reader};
use nightjar::detect::ensemble::Entity;
use nightjar::stats::Draws;

/// Rates that are held against what was observed.
const LEVELS: [f64; 5] = [1e-2, 3e-3, 1e-3, 3e-4, 1e-4];
/// Rows of each series that only teach.
const LESSON: usize = 750;
/// Simulated series of each kind, and their rows.
const SERIES: u64 = 10;
const ROWS: usize = 22_000;
/// Rows before and after a labelled one that are not taken for quiet.
const BEFORE: usize = 50;
const AFTER: usize = 200;
/// Resamples of the bootstrap over series (Efron 1979), for 95 % intervals.
const RESAMPLES: usize = 400;

/// What one series gave.
struct Counted {
    name: String,
    rows: f64,
    onsets: [f64; LEVELS.len()],
}

impl Counted {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), rows: 0.0, onsets: [0.0; LEVELS.len()] }
    }

    fn count(&mut self, nats: Option<f32>) {
        self.rows += 1.0;
        for (n, level) in self.onsets.iter_mut().zip(LEVELS) {
            *n += f64::from(u8::from(nats.is_some_and(|s| f64::from(s) >= -level.ln())));
        }
    }
}

fn main() {
    // `cargo bench` adds an argument of its own.
    let folder = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let all = match &folder {
        Some(folder) => read(Path::new(folder)),
        None => simulated(),
    };
    let rows: f64 = all.iter().map(|c| c.rows).sum();
    println!("observed / nominal onsets of {} series with {rows} quiet rows", all.len());
    print!("{:38}", "");
    for level in LEVELS {
        print!("{level:>18}");
    }
    println!();
    table("all, with 95 % intervals", &all, true);
    if folder.is_none() {
        for kind in KINDS {
            let of: Vec<&Counted> = all.iter().filter(|c| c.name == kind).collect();
            table(kind, of, false);
        }
    }
}

/// One line: the ratio at every level.
fn table<'a>(name: &str, of: impl IntoIterator<Item = &'a Counted>, with_interval: bool) {
    let of: Vec<&Counted> = of.into_iter().collect();
    let ratio = |of: &[&Counted], level: usize| {
        let rows: f64 = of.iter().map(|c| c.rows).sum();
        of.iter().map(|c| c.onsets[level]).sum::<f64>() / (rows * LEVELS[level]).max(1e-300)
    };
    print!("{name:38}");
    let mut draws = Draws::new(42);
    for level in 0..LEVELS.len() {
        let mut text = format!("{:.2}", ratio(&of, level));
        if with_interval && !of.is_empty() {
            let mut resampled: Vec<f64> = (0..RESAMPLES)
                .map(|_| {
                    let again = (0..of.len()).map(|_| of[draws.bits() as usize % of.len()]);
                    ratio(&again.collect::<Vec<_>>(), level)
                })
                .collect();
            resampled.sort_by(f64::total_cmp);
            let at = |share: f64| resampled[(share * RESAMPLES as f64) as usize];
            text.push_str(&format!(" [{:.2} {:.2}]", at(0.025), at(0.975)));
        }
        print!("{text:>18}");
    }
    println!();
}

fn simulated() -> Vec<Counted> {
    let one = |kind: usize, seed: u64| {
        let (mut entity, mut quiet) = (Entity::new(1), Quiet::new(kind, seed));
        let mut counted = Counted::new(KINDS[kind]);
        for i in 0..ROWS {
            let (at_ms, value) = quiet.row();
            let verdict = entity.push(at_ms, &[value]);
            if i >= LESSON {
                counted.count(verdict.and_then(|v| v.onset_nats()));
            }
        }
        counted
    };
    (0..KINDS.len()).flat_map(|kind| (0..SERIES).map(move |seed| one(kind, seed))).collect()
}

/// All CSV files below a folder.
fn read(folder: &Path) -> Vec<Counted> {
    let (mut open, mut files): (Vec<PathBuf>, Vec<PathBuf>) = (vec![folder.into()], Vec::new());
    while let Some(folder) = open.pop() {
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.flatten().map(|e| e.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "csv") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|path| of_file(path)).collect()
}

fn of_file(path: &Path) -> Counted {
    let shown = path.display().to_string();
    let mut rows = Reader::open(File::open(path).expect("it can be opened"), Form::Wide)
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
    let mut entity = Entity::new(rows.n_values());
    let (mut said, mut quiet) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next_row().unwrap_or_else(|e| panic!("{shown}: {e}")) {
        // A row of which a label says nothing may be anything.
        quiet.push(row.label.is_none() || row.is_anomalous() == Some(false));
        let labelled = row.is_anomalous() == Some(true);
        let verdict = entity.push(row.at_ms, row.values);
        said.push((labelled, verdict.map(|v| v.onset_nats())));
    }
    for (i, (labelled, _)) in said.iter().enumerate() {
        if *labelled {
            let upto = (i + AFTER).min(quiet.len());
            quiet[i.saturating_sub(BEFORE)..upto].fill(false);
        }
    }
    let mut counted = Counted::new(shown);
    for (quiet, (_, nats)) in quiet.iter().zip(said).skip(LESSON) {
        if let (true, Some(nats)) = (quiet, nats) {
            counted.count(nats);
        }
    }
    counted
}
