//! What a Prometheus server has kept, read as live: the configured and discovered questions, in
//! stretches of time so that memory does not grow with the range.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::pace::Pace;
use super::truth::Topic;
use crate::model::time::{DAY_MS, HOUR_MS, SECOND_MS};
use crate::model::{Batch, Fault, Labels, Samples, SeriesId, Time};
use crate::telemetry::prometheus::{Client, PrometheusConfig, QueryError, RangeRow, Watch, survey};

/// Lengths of what is read at once (ms), in fine and in coarse steps.
const STRETCH_MS: i64 = 6 * HOUR_MS;
const COARSE_STRETCH_MS: i64 = 3 * DAY_MS;
/// How often a question is asked, and the pause between.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// Which stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Start of what is judged.
    pub since: Time,
    /// Its end.
    pub until: Time,
    /// How long before it detectors only learn (ms).
    pub teach_ms: i64,
}

/// How the reading went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Questions asked of the server: what is watched.
    pub n_watches: usize,
    /// Series read, each once.
    pub topics: Vec<Topic>,
    /// Points read.
    pub n_points: u64,
    /// Distance between points that are judged (ms).
    pub step_ms: i64,
    /// What could not be read: which, when, why.
    pub gaps: Vec<String>,
}

/// Reads history and hands it on in batches: first what teaches, in coarse steps as a first start
/// does, then what is judged.
///
/// # Errors
/// The server can't be asked at all.
pub async fn read_prometheus(
    config: &PrometheusConfig,
    range: Range,
    mut each: impl FnMut(&Batch),
) -> Result<Reading, Fault> {
    let client = Client::new(config)?;
    let asked = survey(&client, config).await;
    let (scrape_ms, found) = asked.map_err(|e| unreachable_server(config, &e))?;
    let step_ms = (i64::from(config.step_s.max(1)) * SECOND_MS).max(scrape_ms);
    let coarse_ms = (i64::from(config.backfill_step_s.max(1)) * SECOND_MS).max(step_ms);
    let limits = limits(&client, &found.watches, range.until).await;
    let mut reading = Reading { n_watches: found.watches.len(), step_ms, ..Reading::default() };
    let mut known: BTreeMap<SeriesId, Topic> = BTreeMap::new();
    let from = range.since.plus_ms(-range.teach_ms);
    let mut pace = Pace::new(&config.name, from, range.since, step_ms);
    let mut at = from;
    while at < range.until {
        let teaches = at < range.since;
        let (length, step, end) = if teaches {
            (COARSE_STRETCH_MS, coarse_ms, range.since.plus_ms(-1))
        } else {
            (STRETCH_MS, step_ms, range.until)
        };
        let to = at.plus_ms(length).min(end).max(at);
        let first = at.plus_ms(step - 1).floor_to(step);
        let mut tracks: Vec<Samples> = Vec::new();
        let mut answers = stream::iter(&found.watches)
            .map(|watch| {
                let client = &client;
                async move { (watch, ask(client, watch, (first, to), step).await) }
            })
            .buffered(config.concurrency.max(1) as usize);
        while let Some((watch, answer)) = answers.next().await {
            match answer {
                Ok(rows) => {
                    let none = BTreeMap::new();
                    let known = limits.get(&watch.key()).unwrap_or(&none);
                    tracks.extend(watch.samples(&config.name, &rows, known, step_ms).0);
                }
                Err(e) => reading.gaps.push(format!(
                    "{} from {} to {}: {e}",
                    watch.metric,
                    at.minute_text(),
                    to.minute_text()
                )),
            }
        }
        drop(answers);
        tracks
            .sort_by(|a, b| (&a.series.entity, a.series.id).cmp(&(&b.series.entity, b.series.id)));
        for track in &tracks {
            known.entry(track.series.id).or_insert_with(|| Topic::of(&track.series));
        }
        reading.n_points += tracks.iter().map(|t| t.points.len() as u64).sum::<u64>();
        pace.play(&tracks, to, &mut each);
        at = to.plus_ms(1);
    }
    reading.topics = known.into_values().collect();
    Ok(reading)
}

/// One question, asked again where that may help.
async fn ask(
    client: &Client,
    watch: &Watch,
    (first, last): (Time, Time),
    step_ms: i64,
) -> Result<Vec<RangeRow>, QueryError> {
    if first > last {
        return Ok(Vec::new());
    }
    let mut tries = 1;
    loop {
        match client.range(&watch.promql, first, last, step_ms).await {
            Err(e) if e.is_transient() && tries < TRIES => tries += 1,
            answer => return answer,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Upper limits by watch and labels, as they were at the end of the range.
async fn limits(
    client: &Client,
    watches: &[Watch],
    at: Time,
) -> BTreeMap<String, BTreeMap<Labels, f64>> {
    let mut all = BTreeMap::new();
    for watch in watches {
        let Some(promql) = &watch.limit_promql else { continue };
        // Limits are a help: without them the series is judged all the same.
        if let Ok(rows) = client.instant(promql, Some(at)).await {
            let rows = rows.into_iter().map(|(l, v)| (l.without(&["__name__"]), v)).collect();
            all.insert(watch.key(), rows);
        }
    }
    all
}

fn unreachable_server(config: &PrometheusConfig, error: &QueryError) -> Fault {
    Fault::because(format!(
        "The Prometheus server `{}` can't be asked: {error}. `nightjar check` tries its address and \
         token.",
        config.name
    ))
}
