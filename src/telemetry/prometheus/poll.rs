//! The poll loop: history first, then everything since the last answer, for ever.
//!
//! Every watch has its own cursor, kept in the store: a question that failed is asked again from
//! where it stopped, and so is everything after a restart. What lies more than an hour back is
//! read in coarse steps as history (`backfill`): detectors learn from it and raise nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::pending::Pending;
use super::wire::{Dropped, RangeRow};
use super::{Client, Cursor, PrometheusConfig, QueryError, Watch};
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{Batch, Fault, Gap, Labels, Samples, SharedClock, Time};
use crate::store::Store;
use crate::telemetry::discovery::{self, Discovered};
use crate::telemetry::gaps;
use crate::telemetry::intake::Intake;

/// How far back live polls reach; anything older is history.
const LIVE_REACH_MS: i64 = HOUR_MS;
/// History ends this long before now, so that what goes on at the start is judged and not learned.
const HISTORY_END_MS: i64 = 15 * MINUTE_MS;
/// Longest pause after a failed question, in polls.
const MAX_BACKOFF: u32 = 32;
/// Clocks that differ by more are said so.
const SKEW_MS: i64 = 30 * SECOND_MS;

/// How far a source has come, for whoever waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Which source.
    pub source: String,
    /// Whether history is being read.
    pub backfill: bool,
    /// Read up to here.
    pub at: Time,
    /// Share of the range that is done, 0 to 1.
    pub done_ratio: f64,
    /// Series in the newest answers.
    pub n_series: usize,
    /// Points taken since the start.
    pub n_points: u64,
}

/// One Prometheus server being polled.
pub struct Poller {
    config: PrometheusConfig,
    client: Client,
    intake: Intake,
    store: Store,
    clock: SharedClock,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
    state: State,
}

#[derive(Default)]
struct State {
    watches: Vec<Watch>,
    limits: BTreeMap<String, BTreeMap<Labels, f64>>,
    cursor: Cursor,
    /// Failures in a row and the poll before which a watch is left alone, by key.
    failing: BTreeMap<String, (u32, u64)>,
    n_polls: u64,
    n_points: u64,
    step_ms: i64,
    /// The server's clock minus ours.
    skew_ms: i64,
    discovered_at: Option<Time>,
    /// Watches and series as last logged.
    watching: Option<(usize, usize)>,
    said: Option<String>,
}

/// One stretch of time to read.
#[derive(Clone, Copy)]
struct Slice {
    until: Time,
    step_ms: i64,
    backfill: bool,
    done_ratio: f64,
}

impl Poller {
    /// A poller that starts where its cursor in the store stands.
    ///
    /// # Errors
    /// The configuration makes no client.
    pub fn new(
        config: PrometheusConfig,
        intake: Intake,
        store: Store,
        clock: SharedClock,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<Self, Fault> {
        let client = Client::new(&config)?;
        Ok(Self { config, client, intake, store, clock, progress, state: State::default() })
    }

    /// Polls until `shutdown`.
    ///
    /// # Errors
    /// The store failed; what a server does wrong becomes a gap.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Fault> {
        self.load().await?;
        while !shutdown.is_cancelled() {
            let work = async {
                self.poll().await?;
                let pause = Duration::from_secs(u64::from(self.config.interval_s.max(1)));
                self.rest(pause).await;
                Ok::<(), Fault>(())
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                result = work => match result {
                    // The intake is full or the store busy: the cursor has not moved.
                    Err(e) if e.is_transient() => {
                        tracing::warn!(source = self.config.name, error = e.chain(), "a poll waits");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    other => other?,
                },
            }
        }
        Ok(())
    }

    /// Waits for some event time. Looks at the clock twice a second, since its speed may change
    /// while we wait.
    async fn rest(&self, pause: Duration) {
        const LOOK: Duration = Duration::from_millis(500);
        let due = self.clock.now().plus(pause);
        loop {
            let left_ms = due.ms_since(self.clock.now()).max(0).unsigned_abs();
            let wait = self.clock.wall(Duration::from_millis(left_ms));
            tokio::time::sleep(wait.clamp(Duration::from_millis(20), LOOK)).await;
            if wait <= LOOK {
                return;
            }
        }
    }

    /// Reads the cursor that an earlier run left; the gaps it left are found anew.
    ///
    /// # Errors
    /// The store failed.
    pub async fn load(&mut self) -> Result<(), Fault> {
        let (key, source) = (self.cursor_key(), self.config.name.clone());
        let cursor = self.store.write(move |tx| {
            gaps::forget(tx, &source)?;
            tx.value(&key)
        });
        self.state.cursor = cursor.await?.unwrap_or_default();
        Ok(())
    }

    /// One poll: discovers when it is due, then reads everything up to now.
    ///
    /// # Errors
    /// The store or the intake failed.
    pub async fn poll(&mut self) -> Result<(), Fault> {
        let started = std::time::Instant::now();
        self.state.n_polls += 1;
        let now = self.clock.now();
        let every_ms = i64::from(self.config.discover_every_s) * SECOND_MS;
        let is_due = self.state.discovered_at.is_none_or(|at| now.ms_since(at) >= every_ms);
        if is_due {
            match self.prepare().await {
                Ok(()) => {
                    self.state.discovered_at = Some(now);
                    self.state.said = None;
                }
                Err(e) => {
                    self.say(now, e.gap(self.name(), Some(now), None)).await?;
                    // Without a first discovery there is nothing to ask.
                    if self.state.watches.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
        self.advance(now).await?;
        metrics::histogram!("nightjar_prometheus_poll_seconds", "source" => self.config.name.clone())
            .record(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Finds what to watch, the scrape interval, limits and the clocks' difference.
    async fn prepare(&mut self) -> Result<(), QueryError> {
        let server = self.client.server_time().await?;
        let skew_ms = server.ms_since(self.clock.now());
        self.state.skew_ms = if skew_ms.abs() > SKEW_MS { skew_ms } else { 0 };
        metrics::gauge!("nightjar_prometheus_clock_skew_seconds", "source" => self.config.name.clone())
            .set(skew_ms as f64 / 1_000.0);
        if skew_ms.abs() > SKEW_MS {
            tracing::warn!(source = self.config.name, skew_ms, "clocks differ");
        }
        let (scrape_ms, discovered) = survey(&self.client, &self.config).await?;
        self.state.step_ms = (i64::from(self.config.step_s.max(1)) * SECOND_MS).max(scrape_ms);
        let figures = (discovered.watches.len(), discovered.n_series());
        if self.state.watching != Some(figures) {
            let (n_watches, n_series) = figures;
            tracing::info!(source = self.config.name, n_watches, n_series, "watching");
            self.state.watching = Some(figures);
        }
        self.state.watches = discovered.watches;
        for watch in &self.state.watches {
            let Some(promql) = &watch.limit_promql else { continue };
            // Limits are a help: without them the series is watched all the same.
            if let Ok(rows) = self.client.instant(promql, None).await {
                let rows = rows.into_iter().map(|(l, v)| (l.without(&["__name__"]), v)).collect();
                self.state.limits.insert(watch.key(), rows);
            }
        }
        Ok(())
    }

    /// Reads every watch from its cursor to `now`, history first, in slices in order of time.
    async fn advance(&mut self, now: Time) -> Result<(), Fault> {
        let now = now.plus_ms(self.state.skew_ms.min(0));
        let step_ms = self.state.step_ms;
        let coarse_ms = (i64::from(self.config.backfill_step_s.max(1)) * SECOND_MS).max(step_ms);
        let floor = now.plus_ms(-i64::from(self.config.backfill_days) * DAY_MS).floor_to(coarse_ms);
        let history_end = now.plus_ms(-HISTORY_END_MS).floor_to(coarse_ms);
        let behind = self.starts(floor, now.plus_ms(-LIVE_REACH_MS));
        if let Some(first) = behind.values().min().copied() {
            let mut end = first;
            let span_ms = history_end.ms_since(first).max(1) as f64;
            while end < history_end {
                end = end.plus_ms(DAY_MS).min(history_end);
                let done_ratio = end.ms_since(first) as f64 / span_ms;
                let slice = Slice { until: end, step_ms: coarse_ms, backfill: true, done_ratio };
                self.read(&behind, slice).await?;
            }
        }
        let until = now.floor_to(step_ms);
        let live = self.starts(now.plus_ms(-LIVE_REACH_MS), Time::MAX);
        // A watch whose history failed has not come this far; its hole is read first, later.
        let live: BTreeMap<String, Time> = live
            .into_iter()
            .filter(|(key, _)| {
                !behind.contains_key(key)
                    || self.state.cursor.answered.get(key).is_some_and(|at| *at >= history_end)
            })
            .collect();
        self.read(&live, Slice { until, step_ms, backfill: false, done_ratio: 1.0 }).await
    }

    /// Watches whose cursor stands before `before`, with where to start: their cursor, or `floor`
    /// when that is later.
    fn starts(&self, floor: Time, before: Time) -> BTreeMap<String, Time> {
        self.state
            .watches
            .iter()
            .map(|w| {
                let key = w.key();
                let at = self.state.cursor.answered.get(&key).copied().unwrap_or(Time::MIN);
                (key, at)
            })
            .filter(|(_, at)| *at < before)
            .map(|(key, at)| (key, at.max(floor)))
            .collect()
    }

    async fn read(&mut self, chosen: &BTreeMap<String, Time>, slice: Slice) -> Result<(), Fault> {
        let n_polls = self.state.n_polls;
        let due: Vec<(Watch, Time)> = self
            .state
            .watches
            .iter()
            .filter_map(|watch| {
                let key = watch.key();
                let start = *chosen.get(&key)?;
                let since =
                    self.state.cursor.answered.get(&key).map_or(start, |at| (*at).max(start));
                let rests = self.state.failing.get(&key).is_some_and(|(_, until)| *until > n_polls);
                let since = since.floor_to(slice.step_ms).plus_ms(slice.step_ms);
                (!rests && since <= slice.until).then(|| (watch.clone(), since))
            })
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let client = self.client.clone();
        let concurrency = self.config.concurrency.max(1) as usize;
        let n_due = due.len();
        let mut answers = stream::iter(due)
            .map(|(watch, since)| {
                let client = client.clone();
                async move {
                    let rows = client.range(&watch.promql, since, slice.until, slice.step_ms).await;
                    (watch, since, rows)
                }
            })
            .buffered(concurrency);
        let mut pending = Pending::new(self.batch(slice));
        let mut answered = Vec::new();
        let mut failed: Vec<(String, Gap)> = Vec::new();
        while let Some((watch, since, rows)) = answers.next().await {
            match rows {
                Ok(rows) => {
                    let samples = self.samples(&watch, &rows);
                    answered.push(watch.key());
                    for one in samples {
                        if let Some(full) = pending.push(one) {
                            self.intake.accept(full).await?;
                        }
                    }
                }
                Err(e) => {
                    let what = format!("prometheus {}: {}", self.config.name, watch.metric);
                    failed.push((watch.key(), e.gap(what, Some(since), None)));
                }
            }
        }
        drop(answers);
        let mended = self.note_failures(&mut pending.batch, &answered, failed, n_due);
        self.state.n_points += pending.n_points;
        let (n_series, batch) = (pending.n_series, pending.batch);
        if !batch.is_tick() {
            self.intake.accept(batch).await?;
        }
        for key in answered {
            self.state.cursor.answered.insert(key, slice.until);
        }
        let (key, cursor) = (self.cursor_key(), self.state.cursor.clone());
        let source = self.config.name.clone();
        self.store
            .write(move |tx| {
                for what in mended {
                    gaps::mend(tx, &source, &what)?;
                }
                tx.put_value(&key, &cursor)
            })
            .await?;
        metrics::gauge!("nightjar_prometheus_series", "source" => self.config.name.clone())
            .set(n_series as f64);
        (self.progress)(Progress {
            source: self.config.name.clone(),
            backfill: slice.backfill,
            at: slice.until,
            done_ratio: slice.done_ratio,
            n_series,
            n_points: self.state.n_points,
        });
        Ok(())
    }

    /// Backs off from what fails, and puts gaps into the batch: one for the whole server when
    /// nothing was answered, and none twice in a row. Gives the gaps that are no longer there:
    /// what was missing is read from where it stopped.
    fn note_failures(
        &mut self,
        batch: &mut Batch,
        answered: &[String],
        failed: Vec<(String, Gap)>,
        n_due: usize,
    ) -> Vec<String> {
        let mut mended = Vec::new();
        if !answered.is_empty() {
            mended.push(self.name());
        }
        for key in answered {
            if self.state.failing.remove(key).is_some() {
                let watch = self.state.watches.iter().find(|w| w.key() == *key);
                mended.extend(watch.map(|w| format!("{}: {}", self.name(), w.metric)));
            }
        }
        let all = failed.len() == n_due && n_due > 1;
        for (n, (key, gap)) in failed.into_iter().enumerate() {
            let (count, until) = self.state.failing.entry(key).or_insert((0, 0));
            // A server that is down is asked at every poll; a query that is wrong, ever less.
            *count = if all { 1 } else { (*count * 2).clamp(1, MAX_BACKOFF) };
            *until = self.state.n_polls + u64::from(if all { 1 } else { *count });
            let is_news = *count == 1;
            if all && n == 0 {
                let gap = Gap { what: self.name(), ..gap };
                if self.state.said.as_ref() != Some(&gap.why) {
                    self.state.said = Some(gap.why.clone());
                    batch.gaps.push(gap);
                }
            } else if !all && is_news {
                batch.gaps.push(gap);
            }
        }
        if !answered.is_empty() {
            self.state.said = None;
        }
        mended
    }

    /// What the source is called in gaps.
    fn name(&self) -> String {
        format!("prometheus {}", self.config.name)
    }

    fn samples(&self, watch: &Watch, rows: &[RangeRow]) -> Vec<Samples> {
        let none = BTreeMap::new();
        let limits = self.state.limits.get(&watch.key()).unwrap_or(&none);
        let (mut samples, dropped) =
            watch.samples(&self.config.name, rows, limits, self.state.step_ms);
        self.count(dropped);
        // A label that explodes must not take the store with it.
        let most = if watch.n_series > 0 { watch.n_series * 2 + 100 } else { 10_000 };
        if samples.len() > most {
            metrics::counter!(
                "nightjar_prometheus_series_cut_total", "source" => self.config.name.clone()
            )
            .increment((samples.len() - most) as u64);
            samples.truncate(most);
        }
        samples
    }

    fn count(&self, dropped: Dropped) {
        for (why, n) in [
            ("not_finite", dropped.n_not_finite),
            ("duplicate", dropped.n_duplicate),
            ("disordered", dropped.n_disordered),
        ] {
            if n > 0 {
                metrics::counter!(
                    "nightjar_prometheus_dropped_points_total",
                    "source" => self.config.name.clone(), "why" => why
                )
                .increment(n);
            }
        }
    }

    /// Records a gap of the whole server, unless it was the last thing said.
    async fn say(&mut self, now: Time, gap: Gap) -> Result<(), Fault> {
        if self.state.said.as_ref() == Some(&gap.why) {
            return Ok(());
        }
        tracing::warn!(source = self.config.name, why = gap.why, "can't be read");
        self.state.said = Some(gap.why.clone());
        let mut batch = Batch::new(&self.config.name, now);
        batch.gaps.push(gap);
        self.intake.accept(batch).await.map(|_| ())
    }

    fn batch(&self, slice: Slice) -> Batch {
        let at = if slice.backfill { slice.until } else { self.clock.now() };
        Batch { backfill: slice.backfill, ..Batch::new(&self.config.name, at) }
    }

    fn cursor_key(&self) -> String {
        Cursor::key(&self.config.name)
    }
}

/// What a server would be watched for: its scrape interval in milliseconds, and the configured
/// and discovered watches. `check` prints it.
///
/// # Errors
/// The server can't be asked.
pub async fn survey(
    client: &Client,
    config: &PrometheusConfig,
) -> Result<(i64, Discovered), QueryError> {
    let told = match config.scrape_interval_s {
        Some(s) => Some(i64::from(s) * SECOND_MS),
        None => client.scrape_interval_ms().await,
    };
    let scrape_ms = told.unwrap_or(15 * SECOND_MS).clamp(SECOND_MS, HOUR_MS);
    let window_ms = config.window_ms(scrape_ms);
    let mut found = Discovered::default();
    if config.discovers() {
        let mut inventory = discovery::inventory(client, config.concurrency as usize).await?;
        inventory.window_ms = window_ms;
        inventory.max_series = config.max_series as usize;
        found = discovery::discover(&inventory);
    }
    let configured = config.queries.iter().map(|q| q.watch(window_ms));
    found.watches.splice(0..0, configured);
    Ok((scrape_ms, found))
}
