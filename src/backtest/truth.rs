//! What was told against what is labelled: event by event, with how long it took.
//!
//! A fault is found when something told of the same series or entity overlaps it; something told is
//! right when it overlaps a fault. No point adjustment: one event counts once, however long it is.
//! What is told of series without labels, or only while a label says neither, is not counted.

use std::io::Read;

use serde::Serialize;

use super::moment;
use crate::model::{EntityRef, Series, SeriesId, Time};

/// Whom a group of labels is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// An entity with all of its series.
    Entity(EntityRef),
    /// Whatever has this name: an entity (`checkout`, `service.name=checkout`), or a series
    /// (`checkout latency p99`, or its id).
    Named(String),
}

/// Labels of one entity or series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Whom it is about.
    pub who: Who,
    /// Faults: first and last time.
    pub faults: Vec<(Time, Time)>,
    /// Where nothing is known.
    pub unknown: Vec<(Time, Time)>,
}

/// All labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Each entity or series at most once.
    pub groups: Vec<Group>,
}

/// What something told is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Which entity.
    pub entity: EntityRef,
    /// Name and identity of the series, where there is one.
    pub series: Option<(String, SeriesId)>,
}

impl Topic {
    /// A series.
    #[must_use]
    pub fn of(series: &Series) -> Self {
        let named = (series.metric.clone(), series.id);
        Self { entity: series.entity.clone(), series: Some(named) }
    }
}

/// Something told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub topics: Vec<Topic>,
    /// Where it begins.
    pub since: Time,
    /// Where it ends.
    pub until: Time,
    /// When it was told.
    pub told_at: Time,
}

/// How well it was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// Faults labelled.
    pub n_faults: usize,
    /// Faults found.
    pub n_found: usize,
    /// Events told of what has labels.
    pub n_told: usize,
    /// Events that overlap a fault.
    pub n_right: usize,
    /// `n_found / n_faults`.
    pub recall: Option<f64>,
    /// `n_right / n_told`.
    pub precision: Option<f64>,
    /// Harmonic mean of both.
    pub f1: Option<f64>,
    /// Seconds from the start of a fault to its first telling, over found ones: the median, and the
    /// 90th of 100.
    pub latency_median_s: Option<f64>,
    /// See `latency_median_s`.
    pub latency_p90_s: Option<f64>,
    /// Faults not found: whose, from, to.
    pub missed: Vec<(String, Time, Time)>,
    /// Places of the events that overlap a fault, and of those that overlap none; those of which
    /// nothing is labelled stand in neither.
    pub right: Vec<usize>,
    /// See `right`.
    pub wrong: Vec<usize>,
}

impl Who {
    fn is(&self, topic: &Topic) -> bool {
        match self {
            Self::Entity(entity) => *entity == topic.entity,
            Self::Named(name) => {
                let entity = &topic.entity;
                name == entity.name()
                    || *name == entity.to_string()
                    || name.strip_suffix(".csv") == Some(entity.name())
                    || topic.series.as_ref().is_some_and(|(metric, id)| {
                        *name == format!("{} {metric}", entity.name()) || *name == id.to_string()
                    })
            }
        }
    }

    /// As people write it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Entity(entity) => entity.name(),
            Self::Named(name) => name,
        }
    }
}

impl Truth {
    /// Reads `series,from,to` with a first line that names the columns; times as in CSV history.
    ///
    /// # Errors
    /// A line that can't be read: which, and why.
    pub fn read(source: impl Read) -> Result<Self, String> {
        let mut csv = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let head = csv.headers().map_err(|e| e.to_string())?.clone();
        let column = |name: &str| {
            let place = head.iter().position(|h| h.eq_ignore_ascii_case(name));
            place.ok_or_else(|| {
                format!("line 1: there is no column `{name}`; it needs series,from,to")
            })
        };
        let (series, from, to) = (column("series")?, column("from")?, column("to")?);
        let mut truth = Self::default();
        for record in csv.records() {
            let record = record.map_err(|e| e.to_string())?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |i: usize| record.get(i).unwrap_or_default();
            let time = |i: usize| {
                let no = || format!("line {line}: `{}` is no time", field(i));
                moment::parse(field(i)).map(Time::from_ms).ok_or_else(no)
            };
            let fault = (time(from)?, time(to)?);
            if fault.1 < fault.0 {
                return Err(format!("line {line}: it ends before it begins"));
            }
            let who = Who::Named(field(series).to_owned());
            match truth.groups.iter_mut().find(|g| g.who == who) {
                Some(group) => group.faults.push(fault),
                None => {
                    truth.groups.push(Group { who, faults: vec![fault], unknown: Vec::new() });
                }
            }
        }
        Ok(truth)
    }

    /// Only what lies within a range; an event across its edge is cut.
    #[must_use]
    pub fn within(&self, since: Time, until: Time) -> Self {
        let cut = |all: &[(Time, Time)]| {
            all.iter()
                .filter(|(from, to)| *from <= until && *to >= since)
                .map(|(from, to)| ((*from).max(since), (*to).min(until)))
                .collect()
        };
        let groups = self.groups.iter().map(|g| Group {
            who: g.who.clone(),
            faults: cut(&g.faults),
            unknown: cut(&g.unknown),
        });
        Self { groups: groups.collect() }
    }

    /// All faults in order of time: whose, from, to.
    #[must_use]
    pub fn faults(&self) -> Vec<(String, Time, Time)> {
        let of = |g: &Group| {
            let name = g.who.name();
            g.faults.iter().map(move |(from, to)| (name.to_owned(), *from, *to)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.groups.iter().flat_map(of).collect();
        all.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        all
    }

    /// Holds what was told against the labels. `slack_ms` is how far an event may lie beside a fault
    /// and still overlap it: the distance between points.
    #[must_use]
    pub fn judge(&self, told: &[Event], slack_ms: i64) -> Score {
        let overlaps = |e: &Event, (from, to): &(Time, Time)| {
            e.since <= to.plus_ms(slack_ms) && e.until.plus_ms(slack_ms) >= *from
        };
        let mut score = Score::default();
        let mut latencies = Vec::new();
        for group in &self.groups {
            let own: Vec<&Event> =
                told.iter().filter(|e| e.topics.iter().any(|t| group.who.is(t))).collect();
            for fault in &group.faults {
                score.n_faults += 1;
                let first = own.iter().filter(|e| overlaps(e, fault)).map(|e| e.told_at).min();
                match first {
                    Some(at) => latencies.push(at.ms_since(fault.0).max(0)),
                    None => score.missed.push((group.who.name().to_owned(), fault.0, fault.1)),
                }
            }
        }
        for (place, event) in told.iter().enumerate() {
            let about: Vec<&Group> =
                self.groups.iter().filter(|g| event.topics.iter().any(|t| g.who.is(t))).collect();
            let right = about.iter().any(|g| g.faults.iter().any(|f| overlaps(event, f)));
            let open = about.iter().any(|g| {
                g.unknown.iter().any(|(from, to)| *from <= event.since && event.until <= *to)
            });
            if about.is_empty() || (open && !right) {
                continue;
            }
            score.n_told += 1;
            if right {
                score.n_right += 1;
                score.right.push(place);
            } else {
                score.wrong.push(place);
            }
        }
        score.n_found = latencies.len();
        score.sum_up(latencies)
    }
}

impl Score {
    fn sum_up(mut self, mut latencies: Vec<i64>) -> Self {
        let share = |n: usize, of: usize| (of > 0).then(|| n as f64 / of as f64);
        self.recall = share(self.n_found, self.n_faults);
        self.precision = share(self.n_right, self.n_told);
        self.f1 = self
            .recall
            .zip(self.precision)
            .map(|(r, p)| if r + p > 0.0 { 2.0 * r * p / (r + p) } else { 0.0 });
        latencies.sort_unstable();
        let at = |share: f64| {
            let place = (share * latencies.len() as f64) as usize;
            latencies.get(place.min(latencies.len().saturating_sub(1))).map(|ms| *ms as f64 / 1e3)
        };
        (self.latency_median_s, self.latency_p90_s) = (at(0.5), at(0.9));
        self
    }
}
