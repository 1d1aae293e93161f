//! The running of detection: journal in, anomalies and alerts out, snapshots beside.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::lifecycle::told;
use super::slo::{Objective, Standing, StandingState};
use super::{Config, Counts, Detectors, Shard};
use crate::bus::{Bus, Event};
use crate::model::alert::{Band, Condition};
use crate::model::{Alert, AlertId, Anomaly, Fault, SeriesId, Time};
use crate::store::{Journaled, Snapshot, Store, Tx};
use crate::telemetry::intake::Intake;

/// Name of the snapshot in the store.
const NAME: &str = "detect";
/// Batches read from the journal at once: one transaction writes what they gave.
const AT_ONCE: usize = 64;
/// A snapshot is written after this many batches or this long, whichever comes first.
const SNAPSHOT_BATCHES: u64 = 2_000;
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);

/// A read-only view of the detectors' expectations for charts and diagnosis. Cheap to clone.
#[derive(Clone)]
pub struct SharedShard {
    // Guards the detector state: written by the detect stage for the time of one batch, read for
    // single expectations. A panic inside is harmless: the stage starts anew from its snapshot.
    shard: Arc<RwLock<Shard>>,
}

impl SharedShard {
    /// An empty state; detection fills it.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { shard: Arc::new(RwLock::new(Shard::new(config))) }
    }

    /// The same with objectives to watch.
    #[must_use]
    pub fn with_objectives(self, objectives: Vec<Objective>) -> Self {
        {
            let mut shard = self.shard.write().unwrap_or_else(PoisonError::into_inner);
            *shard = shard.clone().with_objectives(objectives);
        }
        self
    }

    /// The same, with what makes the condition of other systems' alerts.
    #[must_use]
    pub fn with_condition(self, condition: Condition) -> Self {
        {
            let mut shard = self.shard.write().unwrap_or_else(PoisonError::into_inner);
            *shard = shard.clone().with_condition(condition);
        }
        self
    }

    /// How each objective stands.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.shard.read().unwrap_or_else(PoisonError::into_inner).standings()
    }

    /// What was expected of a series at a time.
    #[must_use]
    pub fn expected(&self, id: SeriesId, at: Time) -> Option<Band> {
        self.shard.read().unwrap_or_else(PoisonError::into_inner).expected(id, at)
    }

    /// How many series are followed, and what became of their points.
    #[must_use]
    pub fn figures(&self) -> (usize, Counts) {
        let shard = self.shard.read().unwrap_or_else(PoisonError::into_inner);
        (shard.n_series(), shard.counts())
    }

    /// The bars that stand, as people moved them.
    #[must_use]
    pub fn bars(&self) -> Vec<super::Bar> {
        self.shard.read().unwrap_or_else(PoisonError::into_inner).bars()
    }

    /// How the detectors stand: the budget, their calibration, versions compared.
    #[must_use]
    pub fn detectors(&self) -> Detectors {
        self.shard.read().unwrap_or_else(PoisonError::into_inner).detectors()
    }
}

/// The detect stage. It is no [`crate::stage::Stage`]: its work comes from the journal, not from
/// doorbells.
#[derive(Clone)]
pub struct Detect {
    config: Config,
    store: Store,
    bus: Bus,
    intake: Intake,
    shard: SharedShard,
}

impl Detect {
    /// Its name in logs and metrics.
    pub const NAME: &'static str = "detect";

    /// The stage over a store's journal; `shard` is shared with whoever draws bands.
    #[must_use]
    pub fn new(config: Config, store: Store, bus: Bus, intake: Intake, shard: SharedShard) -> Self {
        Self { config, store, bus, intake, shard }
    }

    /// Restores, then judges the journal as it grows, until the token is cancelled; then writes
    /// what is left of the journal's present end and a last snapshot.
    ///
    /// # Errors
    /// The store failed; started anew, it goes on from the last snapshot.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Fault> {
        let mut seq = self.restore().await?;
        let mut end = self.intake.watch();
        let (mut kept_at, mut kept) = (Instant::now(), seq);
        let mut reported = Counts::default();
        loop {
            let last = seq;
            let batches = self.store.read(move |r| r.batches_after(last, AT_ONCE)).await?;
            if let Some(newest) = batches.last() {
                seq = newest.seq;
                self.judge(batches).await?;
                self.intake.judged(seq);
                self.report(&mut reported);
                tokio::task::yield_now().await;
            }
            let idle = last == seq;
            let due = seq > kept
                && (seq - kept >= SNAPSHOT_BATCHES || kept_at.elapsed() >= SNAPSHOT_EVERY);
            if due || (shutdown.is_cancelled() && idle) {
                self.keep(seq).await?;
                self.report_objectives();
                (kept_at, kept) = (Instant::now(), seq);
            }
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => {
                        self.keep(seq).await?;
                        return Ok(());
                    }
                    moved = end.changed() => if moved.is_err() { return Ok(()) },
                    () = tokio::time::sleep(SNAPSHOT_EVERY) => {}
                }
            }
        }
    }

    async fn restore(&self) -> Result<u64, Fault> {
        let snapshot = self.store.read(|r| r.snapshot(NAME)).await?;
        let mut place = 0;
        // Without a snapshot the state begins empty too: what a run before this one had judged and
        // not written is judged again.
        let mut shard = Shard::new(self.config.clone());
        if let Some(snapshot) = snapshot {
            match Shard::restore(self.config.clone(), &snapshot.body) {
                Ok(restored) => {
                    for part in restored.lost() {
                        tracing::warn!(
                            part,
                            "this program keeps this part of detection in another form than the \
                             one before it: it starts anew and learns again"
                        );
                    }
                    (shard, place) = (restored, snapshot.seq);
                }
                // A newer program starts from the journal that is left rather than not at all.
                Err(e) => {
                    tracing::warn!(error = e.chain(), "detection starts without its snapshot");
                }
            }
        }
        let mut held = self.shard.shard.write().unwrap_or_else(PoisonError::into_inner);
        let objectives = held.objectives().to_vec();
        let condition = held.condition().clone();
        *held = shard.with_objectives(objectives).with_condition(condition);
        Ok(place)
    }

    async fn keep(&self, seq: u64) -> Result<(), Fault> {
        let started = Instant::now();
        let body = self.shard.shard.read().unwrap_or_else(PoisonError::into_inner).snapshot();
        metrics::gauge!("nightjar_detect_snapshot_bytes").set(body.len() as f64);
        self.shard.detectors().publish();
        self.store
            .write(move |tx| {
                tx.put_snapshot(NAME, &Snapshot { seq, body })?;
                tx.trim_journal(seq)?;
                Ok(())
            })
            .await?;
        metrics::histogram!("nightjar_detect_snapshot_seconds")
            .record(started.elapsed().as_secs_f64());
        Ok(())
    }

    async fn judge(&self, batches: Vec<Journaled>) -> Result<(), Fault> {
        let started = Instant::now();
        let mut anomalies: Vec<Anomaly> = Vec::new();
        let mut alerts: Vec<Alert> = Vec::new();
        let mut made = Vec::new();
        for journaled in &batches {
            {
                let mut shard = self.shard.shard.write().unwrap_or_else(PoisonError::into_inner);
                let span = tracing::info_span!("stage", name = Self::NAME, seq = journaled.seq);
                let found = span.in_scope(|| shard.observe(&journaled.batch));
                made.extend(shard.take_made());
                let now = journaled.batch.received_at;
                let own = |a| Alert { known_at: Some(now), ..shard.alert_of(a) };
                alerts.extend(found.iter().map(own));
                anomalies.extend(found);
                let external = journaled.batch.alerts.iter();
                alerts.extend(external.map(|a| shard.alert_of_external(a, now)));
            }
            // Whoever reads of a detector blocks its thread until the lock is free: for one batch,
            // not for all that were read at once.
            tokio::task::yield_now().await;
        }
        metrics::histogram!("nightjar_detect_batch_seconds")
            .record(started.elapsed().as_secs_f64() / batches.len() as f64);
        if anomalies.is_empty() && alerts.is_empty() && made.is_empty() {
            return Ok(());
        }
        metrics::counter!("nightjar_detect_anomalies_total").increment(anomalies.len() as u64);
        let changed = self
            .store
            .write(move |tx| {
                for samples in &made {
                    tx.append_points(samples)?;
                }
                for anomaly in &anomalies {
                    tx.put(anomaly)?;
                }
                let mut changed = Vec::new();
                for alert in alerts {
                    changed.extend(store_alert(tx, alert)?);
                }
                Ok(changed)
            })
            .await?;
        for id in changed {
            self.bus.publish(Event::Alert(id));
        }
        Ok(())
    }

    fn report_objectives(&self) {
        for s in self.shard.standings() {
            let name = s.name;
            if let Some(left) = s.budget_left {
                metrics::gauge!("nightjar_detect_slo_budget_left_ratio", "objective" => name.clone())
                    .set(left);
            }
            for burn in s.burns {
                let window = format!("{}h", burn.long_h);
                metrics::gauge!(
                    "nightjar_detect_slo_burn_rate", "objective" => name.clone(), "window" => window
                )
                .set(burn.long);
            }
            let unseen = matches!(s.state, StandingState::Blind | StandingState::NoData);
            metrics::gauge!("nightjar_detect_slo_blind", "objective" => name.clone())
                .set(f64::from(unseen));
            metrics::gauge!("nightjar_detect_slo_late_points", "objective" => name)
                .set(s.n_late as f64);
        }
    }

    fn report(&self, reported: &mut Counts) {
        let (n, counts) = self.shard.figures();
        metrics::gauge!("nightjar_detect_series").set(n as f64);
        for (why, new, old) in [
            ("late", counts.late, reported.late),
            ("duplicate", counts.duplicate, reported.duplicate),
            ("future", counts.future, reported.future),
            ("not_finite", counts.not_finite, reported.not_finite),
            ("too_many_heartbeats", counts.beats_refused, reported.beats_refused),
        ] {
            if new > old {
                metrics::counter!("nightjar_detect_dropped_points_total", "why" => why)
                    .increment(new - old);
            }
        }
        metrics::counter!("nightjar_detect_points_total")
            .increment(counts.judged.saturating_sub(reported.judged));
        metrics::counter!("nightjar_detect_reordered_points_total")
            .increment(counts.reordered.saturating_sub(reported.reordered));
        metrics::counter!("nightjar_detect_series_dropped_total")
            .increment(counts.series_dropped.saturating_sub(reported.series_dropped));
        metrics::counter!("nightjar_detect_log_entities_shed_total")
            .increment(counts.log_entities_shed.saturating_sub(reported.log_entities_shed));
        metrics::counter!("nightjar_detect_edges_shed_total")
            .increment(counts.edges_shed.saturating_sub(reported.edges_shed));
        *reported = counts;
    }
}

/// Writes an alert over what is stored of it; gives its id when that says something new.
fn store_alert(tx: &Tx<'_>, new: Alert) -> Result<Option<AlertId>, Fault> {
    let (id, old) = (new.id, tx.get::<Alert>(new.id)?);
    let Some((alert, is_news)) = told(old, new) else { return Ok(None) };
    tx.put(&alert)?;
    Ok(is_news.then_some(id))
}
