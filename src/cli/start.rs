//! Starting and ending: configuration, log, runtime, exit codes.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::{Log, check, complain, write};
use crate::app::MetricsText;
use crate::config::{self, Config};
use crate::observe;

/// Threads for blocking work at most: pictures, names looked up, the simulated shop. The store has
/// its own. Each keeps the memory that it once needed, so a pool of the usual hundreds would make
/// the process grow for hours.
const BLOCKING: usize = 4;
/// How often the recorder of metrics is drained.
const UPKEEP: Duration = Duration::from_secs(5);

/// An end with a text that is shown as it stands, and its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Stop {
    pub(super) code: u8,
    pub(super) text: String,
}

impl Stop {
    /// Wrong configuration or usage.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }
}

/// The exit code of an end, after saying why where it is not a good one.
pub(super) fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            complain(&format!("{}\n", stop.text.trim_end()));
            return ExitCode::from(stop.code);
        }
        complain(&format!("nightjar: {error:#}\n"));
        ExitCode::FAILURE
    })
}

/// The configuration of a file.
///
/// # Errors
/// [`Stop`] with everything that is wrong with it.
pub(super) fn loaded(path: &Path) -> anyhow::Result<Config> {
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let text = format!(
                "There is no {shown}. Make one with `nightjar config example > {shown}`, name \
                 another with --config, or try `nightjar demo`, which needs none."
            );
            return Err(Stop::usage(text).into());
        }
        Err(e) => return Err(Stop::usage(format!("{shown} can't be read: {e}")).into()),
    };
    let found = config::load(&text, &config::environment());
    found.map_err(|wrong| Stop::usage(wrong.render(&shown, &text)).into())
}

/// Starts log, metrics and the runtime, then runs `work` to its end; `false` is a failure.
///
/// # Errors
/// What `work` returned, or that the log can't be started.
pub(super) fn bot(
    log: &Log,
    work: impl AsyncFnOnce(MetricsText) -> anyhow::Result<bool>,
) -> anyhow::Result<ExitCode> {
    observe::start_log(log.log_format, &log.log).map_err(|e| Stop::usage(e.to_string()))?;
    let handle = observe::start_metrics()?;
    let upkeep = handle.clone();
    let metrics: MetricsText = Box::new(move || handle.render());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .build()?;
    let good = runtime.block_on(async {
        tokio::select! {
            result = work(metrics) => result,
            // Histograms keep every sample until they are drained; nobody may be scraping.
            () = drained(&upkeep) => Ok(false),
        }
    })?;
    Ok(code(good))
}

/// Drains the recorder's histograms for ever.
async fn drained(metrics: &metrics_exporter_prometheus::PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.run_upkeep();
    }
}

/// The exit code of a yes or no.
pub(super) fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `nightjar check`.
///
/// # Errors
/// [`Stop`] where the file itself is wrong.
pub(super) fn check(path: &Path, timeout_s: u64, json: bool) -> anyhow::Result<ExitCode> {
    let config = loaded(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = runtime.block_on(check::all(&config, path, Duration::from_secs(timeout_s)));
    if json {
        write(&format!("{:#}\n", check::json(&rows)));
    } else {
        write(&check::table(&rows));
    }
    Ok(code(!check::any_failed(&rows)))
}
