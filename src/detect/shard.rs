//! The shard: all detector state of the entities it owns, fed batch by batch, with no clock and
//! no I/O. The same batches give the same anomalies, before and after a restore.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::alert::{Band, Condition};
use crate::model::signal::ExternalAlert;
use crate::model::time::MINUTE_MS;
use crate::model::{Alert, Anomaly, Batch, EntityRef, Fault, Samples, SeriesId, Time};

use super::admit::{Admit, Detectors, Seen, quieten};
use super::apart::Apart;
use super::bars::{Bar, Bars};
use super::business;
use super::calendar::{Calendar, Declared};
use super::config::Config;
use super::footprint::Footprint;
use super::gap::Gaps;
use super::harmless::Marks;
use super::heartbeat::Heartbeats;
use super::lifecycle::alert_of_external;
use super::logs::Logs;
use super::missing::{GONE_MS, Missing};
use super::peers::{Peers, whole_of};
use super::reorder::Reorder;
use super::rollup::Rollup;
use super::series::{SeriesState, Taken};
use super::slo::{Heard, Objective, Slo, Standing, States};
use super::spans::Spans;

/// A point may be this far ahead of the batch that brings it (clock skew), in ms.
pub(super) const SKEW_MS: i64 = 5 * 60_000;
/// What is gone is looked for this often (ms).
const SWEEP_MS: i64 = 10 * MINUTE_MS;
/// Version of the snapshot's encoding.
const VERSION: u16 = 1;

/// Detector state of a set of entities.
#[derive(Clone, Debug)]
pub struct Shard {
    config: Config,
    /// Holidays that were declared.
    declared: Declared,
    state: State,
    slo: Slo,
    /// Which labels of other systems' alerts make their condition.
    condition: Condition,
    /// Points of series that no source gives, not taken yet.
    made: Vec<Samples>,
    /// The snapshot had the ensembles of series in a form that can't be read.
    has_lost_pasts: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    version: u16,
    /// Newest event time heard of.
    now: Time,
    series: BTreeMap<u64, Box<SeriesState>>,
    logs: Apart<Logs>,
    missing: Missing,
    counts: Counts,
    /// When it was last looked for what is gone.
    #[serde(default)]
    swept_at: Time,
    /// How the objectives stand.
    #[serde(default)]
    slo: States,
    /// Calls between services.
    #[serde(default)]
    spans: Apart<Spans>,
    #[serde(default)]
    heartbeats: Heartbeats,
    /// Points that wait to be put in order.
    #[serde(default)]
    reorder: Reorder,
    /// Replicas among each other.
    #[serde(default)]
    peers: Peers,
    /// Who of them is told, and how far their word holds.
    #[serde(default)]
    admit: Admit,
    /// Bars that people moved.
    #[serde(default)]
    bars: Bars,
    /// Patterns that people confirmed to be harmless.
    #[serde(default)]
    marks: Marks,
    /// Samples that stopped or come at another interval.
    #[serde(default)]
    gaps: Gaps,
    /// Entities as wholes.
    #[serde(default)]
    rollup: Rollup,
    /// The running day, as its series take it.
    #[serde(default)]
    calendar: Calendar,
}

/// What became of the points so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Judged and learned.
    pub judged: u64,
    /// Older than the newest of their series.
    pub late: u64,
    /// At the time of the newest of their series.
    pub duplicate: u64,
    /// Further ahead than clock skew explains.
    pub future: u64,
    /// Not finite.
    pub not_finite: u64,
    /// Series that were forgotten because they had been silent for a day.
    #[serde(default)]
    pub series_dropped: u64,
    /// Heartbeats that are not followed because there are too many names.
    #[serde(default)]
    pub beats_refused: u64,
    /// Came after a newer point of their series and were put in order all the same.
    #[serde(default)]
    pub reordered: u64,
    /// Entities whose logs had to make room for others.
    #[serde(default)]
    pub log_entities_shed: u64,
    /// Edges whose calls had to make room for others.
    #[serde(default)]
    pub edges_shed: u64,
}

impl State {
    /// Forgets series and log entities that have been silent for so long that they were removed,
    /// so that labels that change (versions, pods) do not make the state grow for good. Our own
    /// breaks in hearing do not count as their silence, and nothing open is forgotten.
    fn sweep(&mut self, now: Time, out: &mut Vec<Anomaly>) {
        if now.ms_since(self.swept_at) < SWEEP_MS {
            return;
        }
        self.swept_at = now;
        self.peers.forget(now, GONE_MS, &self.series, out);
        let missing = &self.missing;
        let gone = |heard: Time| now.ms_since(missing.silent_since(heard)) > GONE_MS;
        let before = self.series.len();
        self.series.retain(|_, s| s.has_open() || !gone(s.last.max(s.heard_at)));
        self.counts.series_dropped += (before - self.series.len()) as u64;
        // Errors may be rare: what is known of an entity's logs stays while its metrics come.
        let alive: BTreeSet<&EntityRef> = self.series.values().map(|s| &s.series.entity).collect();
        let stale = if gone(Time::MIN) { now.plus_ms(-GONE_MS) } else { Time::MIN };
        self.spans.forget(gone);
        self.logs.forget(stale, |e, heard| gone(heard) && !alive.contains(e));
    }
}

impl Shard {
    /// A shard that knows nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let declared = Declared::new(&config.holidays, config.utc_offset_h);
        let state = State { version: VERSION, ..State::default() };
        let (slo, condition) = (Slo::default(), Condition::default());
        Self { config, declared, state, slo, condition, made: Vec::new(), has_lost_pasts: false }
    }

    /// The same with objectives to watch; what is stored of them is taken over.
    #[must_use]
    pub fn with_objectives(mut self, objectives: Vec<Objective>) -> Self {
        self.slo = Slo::new(objectives, &mut self.state.slo);
        self
    }

    /// The same, with what makes the condition of other systems' alerts.
    #[must_use]
    pub fn with_condition(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// What makes the condition of other systems' alerts.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The objectives that it watches.
    #[must_use]
    pub fn objectives(&self) -> &[Objective] {
        self.slo.objectives()
    }

    /// How each objective stands, by the newest time heard of.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.slo.standings(&self.state.slo, self.state.now)
    }

    /// Takes in a batch and gives the anomalies that it called, retold or ended, in order.
    /// Back-fill only teaches. A tick makes silence noticeable.
    pub fn observe(&mut self, batch: &Batch) -> Vec<Anomaly> {
        let mut out = Vec::new();
        drop(self.take_made());
        let state = &mut self.state;
        let now = batch.received_at.max(state.now);
        state.missing.hear(now, state.now, batch.backfill);
        state.now = now;
        let today =
            state.calendar.day(&self.declared, if batch.backfill { Time::MIN } else { now });
        let (mut votes, mut is_troubled) = (Vec::new(), false);
        let mut seen = Seen::default();
        let heed = state.admit.heeds_ensemble();
        for samples in &batch.metrics {
            let described = business::described(&self.config.business, &samples.series);
            let entry = state.series.entry(samples.series.id.0);
            let peers = &mut state.peers;
            let series = entry.or_insert_with(|| {
                let series = described.clone().into_owned();
                Box::new(match whole_of(&described).and_then(|whole| peers.known(whole.id.0)) {
                    Some(siblings) => SeriesState::inheriting(series, siblings),
                    None => SeriesState::new(series),
                })
            });
            series.fetch();
            // What a series is may be learned better later (a limit, a unit); its state stays.
            if series.series != *described {
                series.describe(&described);
            }
            let is_business = self.config.business.iter().any(|b| b.covers(&samples.series));
            series.heard_at = now;
            series.unheeded = !heed;
            series.bar = state.bars.factor(&series.series);
            series.day = today;
            let known = (series.last, series.step_ms);
            let points = if batch.backfill {
                Cow::Borrowed(samples.points.as_slice())
            } else {
                state.reorder.admit(samples.series.id.0, known, &samples.points, now)
            };
            for point in points.iter() {
                let count = if !point.value.is_finite() {
                    &mut state.counts.not_finite
                } else if point.at > now.plus_ms(SKEW_MS) {
                    &mut state.counts.future
                } else {
                    if batch.backfill {
                        series.day = self.declared.of_history(point.at);
                    }
                    let pooled = state.admit.pooled();
                    let fill = batch.backfill;
                    match series.observe_by(&self.config, pooled, *point, fill, &mut out) {
                        (Taken::Judged, word) => {
                            votes.extend(word.vote);
                            is_troubled |= !fill && series.troubles_the_day(is_business);
                            if let Some(row) = word.row.filter(|_| !batch.backfill) {
                                state.admit.hear(&samples.series.entity, point.at, &row);
                                seen.row(&samples.series, point.at, &row);
                                state.rollup.hear(now, series, word.nats);
                            }
                            if let Some(group) = series.group {
                                peers.hear(group.get(), samples.series.id.0, *point);
                            }
                            &mut state.counts.judged
                        }
                        (Taken::Duplicate, _) => &mut state.counts.duplicate,
                        (Taken::Late, _) => &mut state.counts.late,
                    }
                };
                *count += 1;
            }
        }
        state.logs.observe(&self.config.logs, &batch.logs, now, batch.backfill, &mut out);
        state.spans.observe(&batch.spans, now, batch.backfill, &mut out);
        let heard = Heard { now, latest: now.plus_ms(SKEW_MS), backfill: batch.backfill };
        self.slo.observe(&mut state.slo, &batch.metrics, heard, &mut out);
        if !batch.backfill {
            for (id, points) in state.reorder.due(now) {
                let Some(series) = state.series.get_mut(&id) else { continue };
                series.fetch();
                series.day = today;
                for point in points {
                    let pooled = state.admit.pooled();
                    let (taken, word) =
                        series.observe_by(&self.config, pooled, point, false, &mut out);
                    state.counts.judged += u64::from(taken == Taken::Judged);
                    if let Some(row) = word.row {
                        state.admit.hear(&series.series.entity, point.at, &row);
                        seen.row(&series.series, point.at, &row);
                        state.rollup.hear(now, series, word.nats);
                    }
                    if let (Taken::Judged, Some(group)) = (taken, series.group) {
                        state.peers.hear(group.get(), id, point);
                    }
                }
            }
        }
        state.peers.judge(&self.config, &state.series, batch.backfill, &mut out);
        if !batch.backfill {
            state.calendar.count(now, &votes);
            if is_troubled {
                state.calendar.trouble(now);
            }
            state.missing.judge(&self.config, now, &mut state.series, &mut out);
            let made = (&mut out, &mut self.made);
            state.rollup.judge(&self.config, now, &state.series, made);
            state.gaps.judge(&self.config, now, &state.missing, &mut state.series, &mut out);
            let heard = (now, state.missing.silent_since(Time::MIN));
            state.heartbeats.observe(&self.config, &batch.beats, heard, &mut out);
            state.sweep(now, &mut out);
            for order in &batch.orders {
                state.admit.obey(order);
            }
            state.admit.judge(&self.config, (now, &state.bars), seen, &out);
            state.bars.pass(now, &batch.bars);
            state.marks.pass(now, &batch.harmless);
        }
        out
    }

    /// The alert of an anomaly that the newest batch gave. What the budget holds back strengthens
    /// an incident and opens none.
    #[must_use]
    pub fn alert_of(&self, anomaly: &Anomaly) -> Alert {
        let mut alert = business::alert_weighed(&self.config, anomaly);
        if let Some(why) = self.state.admit.held(anomaly.id) {
            quieten(&mut alert, why);
        }
        self.state.marks.mark(&mut alert);
        alert
    }

    /// The alert of another system's word, told with the newest batch.
    #[must_use]
    pub fn alert_of_external(&self, external: &ExternalAlert, now: Time) -> Alert {
        let mut alert = alert_of_external(external, now);
        alert.fingerprint = self.condition.of(&alert.labels);
        self.state.marks.mark(&mut alert);
        alert
    }

    /// How the detectors stand: the budget, their calibration, versions compared.
    #[must_use]
    pub fn detectors(&self) -> Detectors {
        self.state.admit.report(&self.config)
    }

    /// The bars that stand, as people moved them.
    #[must_use]
    pub fn bars(&self) -> Vec<Bar> {
        self.state.bars.all()
    }

    /// The same with bars that were moved before anything was seen: for trials over history.
    #[must_use]
    pub fn with_bars(mut self, bars: Bars) -> Self {
        self.state.bars = bars;
        self
    }

    /// What was expected of a series at a time, for charts; `None` while it is too young.
    #[must_use]
    pub fn expected(&self, id: SeriesId, at: Time) -> Option<Band> {
        match self.state.series.get(&id.0) {
            Some(series) => series.expected(&self.config, at),
            None => self.state.peers.expected(&self.config, id, at),
        }
    }

    /// Points of series that no source gives, made by the newest batch: the means of
    /// replicas. They are to be stored, so that charts of them have points.
    pub fn take_made(&mut self) -> Vec<Samples> {
        let mut made = std::mem::take(&mut self.made);
        made.extend(self.state.peers.take_judged());
        made
    }

    /// What became of the points so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            beats_refused: self.state.heartbeats.n_refused,
            reordered: self.state.reorder.n_saved,
            log_entities_shed: self.state.logs.shed,
            edges_shed: self.state.spans.shed,
            ..self.state.counts
        }
    }

    /// How many bytes the live state of a series takes.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint::of(self.state.series.values().map(|s| &**s))
    }

    /// How many series it follows.
    #[must_use]
    pub fn n_series(&self) -> usize {
        self.state.series.len()
    }

    /// The parts that the snapshot it was restored from had in a form that this program can't read:
    /// they started anew.
    #[must_use]
    pub fn lost(&self) -> Vec<&'static str> {
        let parts = [
            (self.state.logs.is_lost(), "log templates"),
            (self.state.spans.is_lost(), "calls between services"),
            (self.has_lost_pasts, "how surprising points are by their series' own past"),
        ];
        parts.into_iter().filter(|(lost, _)| *lost).map(|(_, part)| part).collect()
    }

    /// The whole state as bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        rmp_serde::to_vec(&self.state).expect("the state has only numbers, texts, lists and maps")
    }

    /// A shard from a snapshot: it goes on exactly as the one that was snapshotted.
    ///
    /// # Errors
    /// The bytes are not a snapshot, or one of another version.
    pub fn restore(config: Config, bytes: &[u8]) -> Result<Self, Fault> {
        let mut state: State = rmp_serde::from_slice(bytes)
            .map_err(|e| Fault::permanent("a detector snapshot can't be read", e))?;
        if state.version != VERSION {
            return Err(Fault::because(format!(
                "the detector snapshot has version {}, this program reads {VERSION}",
                state.version
            )));
        }
        let State { series, bars, .. } = &mut state;
        for series in series.values_mut() {
            series.bar = bars.factor(&series.series);
        }
        let declared = Declared::new(&config.holidays, config.utc_offset_h);
        let has_lost_pasts = state.series.values().any(|s| s.has_lost_its_past());
        let (slo, condition) = (Slo::default(), Condition::default());
        Ok(Self { config, declared, state, slo, condition, made: Vec::new(), has_lost_pasts })
    }
}
