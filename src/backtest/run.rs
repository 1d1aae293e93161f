//! One run of the live detectors and of correlation over history: batches in, everything that would
//! have been told out. No clock, no store: time is that of the batches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use crate::correlate::{self, Correlator};
use crate::detect::slo::Objective;
use crate::detect::{self, Counts, Detectors, Shard, lifecycle};
use crate::model::alert::{Band, Subject};
use crate::model::{
    Alert, AlertId, Anomaly, AnomalyId, Batch, EntityRef, Graph, Incident, IncidentId,
    IncidentState, Point, Series, SeriesId, Silence, Time,
};

/// Points kept of every series, to show what came before an anomaly.
const BEFORE: usize = 90;
/// Points drawn of one anomaly at most, and after its end.
const DRAWN: usize = 400;
const AFTER: usize = 45;
/// Anomalies that are drawn at most: the strongest, as far as they are over, and those under way.
const CAPTURES: usize = 120;

/// What a run is configured to do.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// How it is called in what is told: the file's name.
    pub name: String,
    /// Detection.
    pub detect: detect::Config,
    /// Correlation.
    pub correlate: correlate::Config,
    /// Who calls whom, as far as it is declared.
    pub graph: Graph,
    /// Service level objectives.
    pub objectives: Vec<Objective>,
    /// Maintenance windows.
    pub silences: Vec<Silence>,
    /// Bars that people moved.
    pub bars: detect::Bars,
}

/// An anomaly with the time at which it would have been told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// The anomaly as it last stood.
    pub anomaly: Anomaly,
    /// When it was first told.
    pub told_at: Time,
}

/// What is drawn of an anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Which anomaly.
    pub anomaly: AnomalyId,
    /// Its series.
    pub series: Series,
    /// Before, while and after it.
    pub points: Vec<Point>,
    /// What was expected.
    pub bands: Vec<(Time, Band)>,
    left_after_end: usize,
}

/// What a run would have told.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Name of its configuration.
    pub name: String,
    /// First time judged.
    pub since: Time,
    /// Last time judged.
    pub until: Time,
    /// How the detectors stood at the end, the budget with them.
    pub detectors: Option<Detectors>,
    /// Series followed.
    pub n_series: usize,
    /// What became of the points.
    pub counts: Counts,
    /// Anomalies in the order of telling.
    pub claims: Vec<Claim>,
    /// Alerts in order of their start.
    pub alerts: Vec<Alert>,
    /// Incidents in order of opening; those that became part of another are left out.
    pub incidents: Vec<Incident>,
    /// Pictures of the strongest anomalies.
    pub pictures: Vec<Picture>,
}

/// A run under way.
pub struct Run {
    setup: Setup,
    shard: Shard,
    correlator: Correlator,
    since: Option<Time>,
    until: Time,
    claims: BTreeMap<AnomalyId, Claim>,
    order: Vec<AnomalyId>,
    alerts: BTreeMap<AlertId, Alert>,
    incidents: BTreeMap<IncidentId, Incident>,
    n_incidents: u64,
    /// When the history of an entity ends: its silence afterwards is not the entity's own.
    ends: BTreeMap<EntityRef, Time>,
    recent: BTreeMap<SeriesId, VecDeque<Point>>,
    pictures: Vec<Picture>,
}

impl Run {
    /// A run that has seen nothing. `ends` says when the history of an entity ends; silence after
    /// that is not told.
    #[must_use]
    pub fn new(setup: Setup, ends: BTreeMap<EntityRef, Time>) -> Self {
        let mut correlator = Correlator::new(setup.correlate.clone());
        correlator.learn(setup.graph.clone(), Vec::new(), setup.silences.clone());
        Self {
            shard: Shard::new(setup.detect.clone())
                .with_objectives(setup.objectives.clone())
                .with_bars(setup.bars.clone()),
            correlator,
            setup,
            since: None,
            until: Time::MIN,
            claims: BTreeMap::new(),
            order: Vec::new(),
            alerts: BTreeMap::new(),
            incidents: BTreeMap::new(),
            n_incidents: 0,
            ends,
            recent: BTreeMap::new(),
            pictures: Vec::new(),
        }
    }

    /// Takes the next batch, in order of time.
    pub fn take(&mut self, batch: &Batch) {
        let now = batch.received_at;
        let found = self.shard.observe(batch);
        if !batch.backfill {
            self.since.get_or_insert(now);
            self.until = self.until.max(now);
        }
        for anomaly in found {
            if self.is_end_of_history(&anomaly) {
                continue;
            }
            let alert = self.shard.alert_of(&anomaly);
            self.note(anomaly, now);
            self.hear(alert, now);
        }
        for external in &batch.alerts {
            self.hear(lifecycle::alert_of_external(external, now), now);
        }
        self.draw(batch);
        if !batch.backfill {
            self.decide(now);
        }
    }

    /// What would have been told.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        let claims = self.order.iter().filter_map(|id| self.claims.remove(id)).collect();
        let mut alerts: Vec<Alert> = self.alerts.into_values().collect();
        alerts.sort_by_key(|a| (a.starts_at, a.id));
        let mut incidents: Vec<Incident> = self.incidents.into_values().collect();
        incidents.retain(|i| i.state != IncidentState::Merged);
        incidents.sort_by_key(|i| i.number);
        Outcome {
            name: self.setup.name,
            since: self.since.unwrap_or_default(),
            until: self.until,
            detectors: Some(self.shard.detectors()),
            n_series: self.shard.n_series(),
            counts: self.shard.counts(),
            claims,
            alerts,
            incidents,
            pictures: self.pictures,
        }
    }

    fn is_end_of_history(&self, anomaly: &Anomaly) -> bool {
        let Subject::Missing { entity, .. } = &anomaly.subject else { return false };
        match self.ends.get(entity) {
            Some(end) => anomaly.since >= *end,
            // Files have no collector that could fall silent.
            None => !self.ends.is_empty(),
        }
    }

    fn note(&mut self, anomaly: Anomaly, now: Time) {
        let id = anomaly.id;
        if let Some(known) = self.claims.get_mut(&id) {
            known.anomaly = anomaly;
            return;
        }
        if let Subject::Series { series } = &anomaly.subject
            && self.has_place()
        {
            let points: Vec<Point> =
                self.recent.get(&series.id).into_iter().flatten().copied().collect();
            let expected = |p: &Point| Some((p.at, self.shard.expected(series.id, p.at)?));
            let bands = points.iter().filter_map(expected).collect();
            let series = series.clone();
            self.pictures.push(Picture {
                anomaly: id,
                series,
                points,
                bands,
                left_after_end: AFTER,
            });
        }
        self.order.push(id);
        self.claims.insert(id, Claim { anomaly, told_at: now });
    }

    /// Whether one more can be drawn: the weakest that is over makes room.
    fn has_place(&mut self) -> bool {
        if self.pictures.len() < CAPTURES {
            return true;
        }
        let score = |p: &Picture| self.claims.get(&p.anomaly).map_or(0.0, |c| c.anomaly.score);
        let over = self.pictures.iter().enumerate().filter(|(_, p)| !p.is_open());
        let weakest = over.min_by(|a, b| score(a.1).total_cmp(&score(b.1))).map(|(i, _)| i);
        weakest.map(|i| self.pictures.remove(i)).is_some()
    }

    fn hear(&mut self, alert: Alert, now: Time) {
        let id = alert.id;
        // Live, correlation hears what is news and looks at all that fires every few seconds.
        if let Some((alert, _)) = lifecycle::told(self.alerts.get(&id).cloned(), alert) {
            self.correlator.take(&alert, now);
            self.alerts.insert(id, alert);
        }
    }

    fn decide(&mut self, now: Time) {
        let decisions = self.correlator.decide(now);
        for mut incident in decisions.incidents {
            if incident.number == 0 {
                let known = self.incidents.get(&incident.id).map(|i| i.number);
                incident.number = known.unwrap_or_else(|| {
                    self.n_incidents += 1;
                    self.n_incidents
                });
            }
            self.incidents.insert(incident.id, incident);
        }
        for verdict in decisions.verdicts {
            if let Some(alert) = self.alerts.get_mut(&verdict.alert) {
                verdict.apply(alert);
            }
        }
    }

    /// Keeps the newest points of every series, and goes on with the pictures of those that depart.
    fn draw(&mut self, batch: &Batch) {
        for samples in &batch.metrics {
            let id = samples.series.id;
            let recent = self.recent.entry(id).or_default();
            recent.extend(samples.points.iter().filter(|p| p.value.is_finite()));
            recent.drain(..recent.len().saturating_sub(BEFORE));
        }
        let departing: BTreeSet<SeriesId> =
            self.pictures.iter().filter(|p| p.is_open()).map(|p| p.series.id).collect();
        if departing.is_empty() {
            return;
        }
        for samples in batch.metrics.iter().filter(|s| departing.contains(&s.series.id)) {
            let id = samples.series.id;
            for picture in self.pictures.iter_mut().filter(|p| p.series.id == id && p.is_open()) {
                let ended =
                    self.claims.get(&picture.anomaly).is_some_and(|c| c.anomaly.until.is_some());
                for point in samples.points.iter().filter(|p| p.value.is_finite()) {
                    if !picture.is_open() || picture.points.last().is_some_and(|l| l.at >= point.at)
                    {
                        continue;
                    }
                    picture.points.push(*point);
                    picture.bands.extend(self.shard.expected(id, point.at).map(|b| (point.at, b)));
                    picture.left_after_end -= usize::from(ended);
                }
            }
        }
    }
}

impl Picture {
    fn is_open(&self) -> bool {
        self.points.len() < DRAWN && self.left_after_end > 0
    }
}
