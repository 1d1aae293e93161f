//! `nightjar backtest`: its arguments, what is read and run, and what is said at the end.

mod given;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;

use super::start::{self, Stop, code};
use super::{complain, write};
use crate::backtest::{
    Outcome, Pace, Range, Read, Report, Run, ScoreFiles, Scored, Setup, TreeError, Truth, read_csv,
    read_prometheus, score_tree, time_of,
};
use crate::config::Config;
use crate::model::figure::n_of;
use crate::model::time::DAY_MS;
use crate::model::{Fault, Indicator, Time, wall_now};
use crate::telemetry::prometheus::PrometheusConfig;

pub(super) use given::Given;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  nightjar backtest --csv-dir history --scores scores
  nightjar backtest --csv-dir history --html report.html
  nightjar backtest --source prometheus --from -7d --against other.toml --html report.html
Exit code 1: something could not be read or written.";
/// Remarks on single files that are shown; the rest are counted.
const SHOWN: usize = 20;
/// How far back a Prometheus server is read without --from.
const REACH_MS: i64 = 7 * DAY_MS;

/// Where history comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    /// CSV files.
    Csv,
    /// The first configured Prometheus server, or the one that --server names.
    Prometheus,
}

/// Arguments of `nightjar backtest`.
#[derive(clap::Args)]
struct Args {
    /// Where history comes from; with --csv-dir it is csv.
    #[arg(long, value_enum)]
    source: Option<Source>,
    /// A folder of CSV files, with all below it: a column `timestamp` (ISO or unix seconds or
    /// milliseconds), one value column or several (several are one entity), and a `label` or not.
    #[arg(long, value_name = "DIR")]
    csv_dir: Option<PathBuf>,
    /// Writes `timestamp,value,anomaly_score` for every row into the same paths below this folder
    /// (of several value columns the first one's value), and nothing else; of a server, one file for
    /// each series beside the report.
    #[arg(long, value_name = "DIR")]
    scores: Option<PathBuf>,
    /// Start of what is judged: 2026-11-14T08:00:00Z, 2026-11-14, -7d. What lies before only
    /// teaches. Left out: the start of the files, or a week ago.
    #[arg(long, allow_hyphen_values = true)]
    from: Option<String>,
    /// End of what is judged; left out: the end of the files, or now.
    #[arg(long, allow_hyphen_values = true)]
    to: Option<String>,
    /// The configuration to try; left out: the defaults, or nightjar.toml for a server.
    #[arg(long, env = "NIGHTJAR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Another configuration to compare with.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Name of the configured server to read.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Known faults: a CSV file with the columns series, from, to.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Which signal all CSV series carry; left out: words of their names tell.
    #[arg(long, value_parser = indicator)]
    indicator: Option<Indicator>,
    /// Write the report with charts as one HTML file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

fn indicator(text: &str) -> Result<Indicator, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| {
        "one of rate, errors, duration, utilization, saturation, availability, usage, custom".into()
    })
}

/// Runs it.
///
/// # Errors
/// [`Stop`] where the arguments can't be put to work.
pub(super) fn run(given: Given) -> anyhow::Result<ExitCode> {
    given.check()?;
    let args = given.args;
    let is_server = args.source == Some(Source::Prometheus);
    if let (Some(from), Some(to), false) = (&args.csv_dir, &args.scores, is_server) {
        return scores(from, to, args.json);
    }
    let now = wall_now();
    if let Some(path) = &args.html {
        has_place(path)?;
    }
    let truth = labels(args.labels.as_deref())?;
    let source = args.source.unwrap_or(Source::Csv);
    let report = match (source, &args.csv_dir) {
        (Source::Csv, Some(folder)) => of_csv(&args, folder, truth, now)?,
        (Source::Csv, None) => {
            let text = "Name a folder of CSV files with --csv-dir, or read a server with \
                        --source prometheus.";
            return Err(Stop::usage(text).into());
        }
        (Source::Prometheus, _) => of_prometheus(&args, truth, now)?,
    };
    if let Some(path) = &args.html {
        std::fs::write(path, report.html(now))
            .map_err(|e| anyhow::anyhow!("{} can't be written: {e}", path.display()))?;
    }
    if args.json {
        write(&format!("{:#}\n", report.json()));
    } else {
        let notes = &report.read.notes;
        complain(&remarks(notes.iter().map(String::as_str), &report.read.failures));
        write(&report.text());
    }
    Ok(code(report.is_whole()))
}

/// Whether a report can lie there, before hours of reading.
fn has_place(path: &Path) -> Result<(), Stop> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = path.display();
    if path.is_dir() {
        return Err(Stop::usage(format!("--html {shown} is a folder. Name a file in it.")));
    }
    if !folder.is_dir() {
        let folder = folder.display();
        let text = format!("--html {shown}: there is no folder {folder}. Make it first.");
        return Err(Stop::usage(text));
    }
    Ok(())
}

fn labels(path: Option<&Path>) -> anyhow::Result<Truth> {
    let Some(path) = path else { return Ok(Truth::default()) };
    let wrong = |why: String| Stop::usage(format!("--labels {}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|e| wrong(e.to_string()))?;
    Ok(Truth::read(file).map_err(wrong)?)
}

/// One configuration, or two.
fn configurations(args: &Args, first: Option<&Path>) -> anyhow::Result<Vec<(String, Config)>> {
    let shown = |path: &Path| path.display().to_string();
    let mut all = vec![match first {
        Some(path) => (shown(path), start::loaded(path)?),
        None => ("defaults".to_owned(), Config::default()),
    }];
    if let Some(path) = &args.against {
        all.push((shown(path), start::loaded(path)?));
    }
    Ok(all)
}

fn setup(name: &str, config: &Config, since: Time, until: Time) -> Setup {
    Setup {
        name: name.to_owned(),
        detect: config.detect.clone(),
        correlate: config.correlate.clone(),
        graph: config.graph.graph(),
        objectives: config.slo.clone(),
        silences: config.maintenance.iter().flat_map(|m| m.silences(since, until)).collect(),
        bars: crate::detect::Bars::default(),
    }
}

/// Start and end as asked for.
fn range(args: &Args, now: Time) -> anyhow::Result<(Option<Time>, Option<Time>)> {
    let time = |name: &str, text: Option<&String>| match text {
        Some(text) => {
            time_of(text, now).map(Some).map_err(|e| Stop::usage(format!("{name}: {e}.")))
        }
        None => Ok(None),
    };
    let (from, to) = (time("--from", args.from.as_ref())?, time("--to", args.to.as_ref())?);
    if from.zip(to).is_some_and(|(from, to)| to <= from) {
        return Err(Stop::usage("--to is not after --from.").into());
    }
    Ok((from, to))
}

fn of_csv(args: &Args, folder: &Path, truth: Truth, now: Time) -> anyhow::Result<Report> {
    let (from, to) = range(args, now)?;
    let configurations = configurations(args, args.config.as_deref())?;
    let mut history = read_csv(folder, args.indicator).map_err(|e| no_source(folder, &e))?;
    let columns = std::mem::take(&mut history.truth);
    let (truth, said) = truth.with_columns(columns, &history.topics());
    history.notes.extend(said);
    let Some((first, last)) = history.range() else {
        complain(&remarks(history.notes.iter().map(String::as_str), &history.failures));
        let text =
            format!("There is no point to judge in the CSV files below {}.", folder.display());
        return Err(Stop::usage(text).into());
    };
    let (since, until) = (from.unwrap_or(first).max(first), to.unwrap_or(last).min(last));
    if until <= since {
        let text = format!(
            "The files hold {} to {}: nothing lies between --from and --to.",
            first.minute_text(),
            last.minute_text()
        );
        return Err(Stop::usage(text).into());
    }
    let step_ms = history.step_ms();
    let outcomes: Vec<Outcome> = configurations
        .iter()
        .map(|(name, config)| {
            let mut run = Run::new(setup(name, config, since, until), history.ends());
            Pace::new("csv", first, since, step_ms).play(&history.tracks, until, |b| run.take(b));
            run.finish()
        })
        .collect();
    let read = Read {
        from: folder.display().to_string(),
        n_series: history.tracks.len(),
        n_points: history.n_points() as u64,
        step_ms,
        gaps: Vec::new(),
        failures: history.failures,
        notes: history.notes,
    };
    Ok(Report::new(read, outcomes, &truth))
}

fn of_prometheus(args: &Args, truth: Truth, now: Time) -> anyhow::Result<Report> {
    let (from, to) = range(args, now)?;
    let until = to.unwrap_or(now);
    let since = from.unwrap_or(until.plus_ms(-REACH_MS));
    if until <= since {
        return Err(Stop::usage("--to is not after --from.").into());
    }
    let path = args.config.clone().unwrap_or_else(|| PathBuf::from("nightjar.toml"));
    let configurations = configurations(args, Some(&path))?;
    let server = server(&configurations[0].1, args.server.as_deref(), &path)?;
    let mut runs: Vec<Run> = configurations
        .iter()
        .map(|(name, config)| Run::new(setup(name, config, since, until), BTreeMap::new()))
        .collect();
    let teach_ms = i64::from(server.backfill_days) * DAY_MS;
    let wrong = |e: std::io::Error| no_target(args.scores.as_deref().unwrap_or(Path::new("")), &e);
    let mut files = args.scores.as_deref().map(ScoreFiles::new).transpose().map_err(wrong)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reading =
        runtime.block_on(read_prometheus(server, Range { since, until, teach_ms }, |batch| {
            for run in &mut runs {
                run.take(batch);
            }
            if let Some(files) = &mut files {
                files.take(batch);
            }
        }));
    let reading = reading.map_err(|fault: Fault| anyhow::anyhow!(fault.chain()))?;
    let written = files.map(ScoreFiles::finish).transpose().map_err(wrong)?;
    if reading.n_points == 0 {
        let text = format!(
            "The server `{}` has no point for {} to {} ({} questions asked). Choose another --from \
             and --to, or see `nightjar check`.",
            server.name,
            since.minute_text(),
            until.minute_text(),
            reading.n_watches
        );
        anyhow::bail!(text);
    }
    let (truth, mut notes) = truth.with_columns(Truth::default(), &reading.topics);
    notes.extend(written.map(|(files, rows)| {
        format!("Scores: {} in {}.", n_of(rows, "row"), n_of(files as u64, "file"))
    }));
    let read = Read {
        from: format!("the Prometheus server `{}`", server.name),
        n_series: reading.topics.len(),
        n_points: reading.n_points,
        step_ms: reading.step_ms,
        gaps: reading.gaps,
        notes,
        ..Read::default()
    };
    Ok(Report::new(read, runs.into_iter().map(Run::finish).collect(), &truth))
}

fn server<'a>(
    config: &'a Config,
    name: Option<&str>,
    path: &Path,
) -> Result<&'a PrometheusConfig, Stop> {
    let known: Vec<&str> = config.prometheus.iter().map(|p| p.name.as_str()).collect();
    let found = match name {
        Some(name) => config.prometheus.iter().find(|p| p.name == name),
        None => config.prometheus.first(),
    };
    found.ok_or_else(|| {
        let path = path.display();
        Stop::usage(match name {
            Some(name) if !known.is_empty() => {
                format!("{path} has no server `{name}`; it has: {}.", known.join(", "))
            }
            _ => format!(
                "{path} configures no Prometheus server; add a [[prometheus]] with its url."
            ),
        })
    })
}

fn scores(from: &Path, to: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let scored = score_tree(from, to).map_err(|e| match e {
        TreeError::Source(e) => no_source(from, &e),
        TreeError::Target(e) => no_target(to, &e),
    })?;
    if scored.n_files + scored.failures.len() == 0 {
        let text = format!("There is no file below {} whose name ends in .csv.", from.display());
        return Err(Stop::usage(text).into());
    }
    if json {
        write(&format!("{:#}\n", serde_json::to_value(&scored)?));
    } else {
        let notes: Vec<String> =
            scored.notes.iter().map(|(file, n)| format!("{}: {n}", file.display())).collect();
        complain(&remarks(notes.iter().map(String::as_str), &scored.failures));
        write(&summary(&scored, to, started.elapsed().as_secs_f64()));
    }
    Ok(code(scored.failures.is_empty()))
}

/// Why the folder of CSV files can't be taken.
fn no_source(folder: &Path, error: &std::io::Error) -> Stop {
    let shown = folder.display();
    Stop::usage(match error.kind() {
        std::io::ErrorKind::NotFound => format!(
            "There is no folder {shown}, which --csv-dir names. Name one that holds CSV files; a \
             relative name is seen from the current folder."
        ),
        std::io::ErrorKind::NotADirectory => format!(
            "--csv-dir {shown} is a file. Name the folder that holds it; all CSV files below are \
             taken."
        ),
        _ => format!("--csv-dir {shown} can't be taken: {error}."),
    })
}

/// Why no scores can be written.
fn no_target(folder: &Path, error: &std::io::Error) -> Stop {
    Stop::usage(format!(
        "--scores {}: no file can be written there: {error}. Name a folder of your own, which is \
         made where it is missing.",
        folder.display()
    ))
}

fn summary(scored: &Scored, to: &Path, took_s: f64) -> String {
    let mut text = format!(
        "{} with {} scored into {} in {took_s:.1} s.\n",
        n_of(scored.n_files as u64, "file"),
        n_of(scored.n_rows, "row"),
        to.display()
    );
    if !scored.failures.is_empty() {
        let failed = n_of(scored.failures.len() as u64, "file");
        text.push_str(&format!("{failed} could not be scored; see above.\n"));
    }
    text
}

/// What was odd, then what failed, one line each.
fn remarks<'a>(
    notes: impl ExactSizeIterator<Item = &'a str>,
    failures: &[crate::backtest::Failure],
) -> String {
    let mut text = String::new();
    let n = notes.len();
    for note in notes.take(SHOWN) {
        text.push_str(&format!("{note}\n"));
    }
    if n > SHOWN {
        text.push_str(&format!("… and {} more such remarks.\n", n - SHOWN));
    }
    // What keeps many files back in the same way is told once.
    let mut reasons: Vec<(String, &Path, usize)> = Vec::new();
    for failure in failures {
        let line = failure.line.map_or(String::new(), |l| format!("line {l}: "));
        let why = format!("{line}{}", failure.text);
        match reasons.iter_mut().find(|r| failure.line.is_none() && r.0 == why) {
            Some(same) => same.2 += 1,
            None => reasons.push((why, &failure.file, 0)),
        }
    }
    for (why, file, n_more) in reasons {
        let rest = if n_more > 0 { format!(" and {n_more} more") } else { String::new() };
        text.push_str(&format!("{}{rest}: not read: {why}\n", file.display()));
    }
    text
}
