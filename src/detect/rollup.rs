//! The roll-up: all series of one entity as one. Several weak signals at the same time are one
//! strong one, though none of them would be told of by itself.
//!
//! What the ensemble says of a row is a chance by the series' own past. Each series adds the nats by
//! which its rarest row of two minutes is rarer than one in ten, up to a limit, so that no single
//! series decides; their sum is held against the entity's own past sums (a negative binomial
//! distribution with their mean and clumping: series of one entity move together by nature). Pods and
//! instances count for what they are replicas of.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::counts::Events;
use super::episode::{Claim, Episode, Rules, advance};
use super::grounds::Surprise;
use super::peers::owner_of;
use super::series::SeriesState;
use crate::model::signal::Direction;
use crate::model::time::MINUTE_MS;
use crate::model::{Anomaly, EntityRef, Indicator, Labels, Point, Samples, Series, Time};

/// Id of the view.
pub(super) const ID: &str = "rollup/1";
/// Rows within so long are at the same time (ms).
const TURN_MS: i64 = 2 * MINUTE_MS;
/// A row counts from this surprise on: one in ten.
const LEAST_NATS: f32 = 2.303;
/// Most that one series adds.
const MOST_NATS: f32 = 5.0;
/// Different metrics that must be unusual at once.
const LEAST_METRICS: usize = 3;
/// Turns before an entity is judged, half a day, and turns that its usual sum is taken over.
const WARM: u32 = 360;
const MEMORY: u32 = 5_000;
/// Clumping to begin with, and so many turns' worth of it.
const PRIOR: (f32, f32) = (3.0, 100.0);
/// Most that one turn says of clumping.
const MOST_CLUMPED: f32 = 100.0;
/// Entities followed at once; one that was quiet for longest makes room.
const MOST_ENTITIES: usize = 20_000;
/// Metrics that are named.
const NAMED: usize = 4;

/// All entities with something unusual in their past.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollup {
    entities: BTreeMap<EntityRef, Entity>,
    turn: i64,
}

/// One entity: some hundred bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Entity {
    /// The turn that the nats belong to.
    turn: i64,
    /// Nats by series.
    nats: BTreeMap<u64, f32>,
    n: u32,
    mean: f32,
    clumping: f32,
    open: Option<Box<Episode>>,
}

impl Rollup {
    /// Takes in how surprising the newest row of a series is.
    pub(super) fn hear(&mut self, now: Time, series: &SeriesState, nats: f32) {
        if nats < LEAST_NATS {
            return;
        }
        let entity = owner_of(&series.series.entity).into_owned();
        let turn = turn_of(now);
        if self.entities.len() >= MOST_ENTITIES && !self.entities.contains_key(&entity) {
            let quiet = |e: &Entity| e.open.is_some() || turn - e.turn < i64::from(WARM);
            self.entities.retain(|_, e| quiet(e));
            if self.entities.len() >= MOST_ENTITIES {
                return;
            }
        }
        let entity = self.entities.entry(entity).or_insert_with(|| Entity {
            turn,
            clumping: PRIOR.0,
            ..Entity::default()
        });
        let here = entity.nats.entry(series.series.id.0).or_default();
        *here = here.max((nats - LEAST_NATS).min(MOST_NATS));
    }

    /// Judges the turn that ended, if one did; what is to be charted goes to `made`.
    pub(super) fn judge(
        &mut self,
        config: &Config,
        now: Time,
        series: &BTreeMap<u64, Box<SeriesState>>,
        (out, made): (&mut Vec<Anomaly>, &mut Vec<Samples>),
    ) {
        let turn = turn_of(now);
        if turn <= self.turn {
            return;
        }
        self.turn = turn;
        for (name, entity) in &mut self.entities {
            if entity.nats.is_empty() && entity.open.is_none() {
                continue;
            }
            entity.close(config, (name, turn), series, out, made);
        }
        // Removed: nothing unusual was heard of it for as long as its past reaches.
        self.entities.retain(|_, e| turn - e.turn < i64::from(MEMORY));
    }
}

impl Entity {
    /// Ends a turn.
    fn close(
        &mut self,
        config: &Config,
        (name, turn): (&EntityRef, i64),
        series: &BTreeMap<u64, Box<SeriesState>>,
        out: &mut Vec<Anomaly>,
        made: &mut Vec<Samples>,
    ) {
        // Turns without a word had a sum of zero.
        let empty = (turn - self.turn - 1).clamp(0, i64::from(MEMORY)) as u32;
        self.turn = turn;
        for _ in 0..empty {
            self.learn(0.0);
        }
        let nats = std::mem::take(&mut self.nats);
        let all: Vec<&SeriesState> =
            nats.keys().filter_map(|id| Some(&**series.get(id)?)).collect();
        let is_told = all.iter().any(|s| s.is_told());
        // What a band tells of needs no second word: the others are summed up beside it.
        let is_quiet = |id: &u64| series.get(id).is_none_or(|s| !s.is_told());
        let all: Vec<&SeriesState> = all.into_iter().filter(|s| !s.is_told()).collect();
        let metrics: BTreeSet<&str> = all.iter().map(|s| s.series.metric.as_str()).collect();
        let quiet = nats.iter().filter(|(id, _)| is_quiet(id));
        let sum = quiet.map(|(_, nats)| nats).sum::<f32>().round();
        let mean = f64::from(self.mean).max(0.05);
        let many = metrics.len() >= LEAST_METRICS;
        let events = Events::of(mean, f64::from(self.clumping), f64::from(self.n));
        let score = if many { events.score_high(sum as u32) } else { 0.0 };
        let judged = self.n >= WARM;
        if judged && (self.open.is_some() || score >= config.threshold) {
            let at = Time::from_ms(turn * TURN_MS);
            let whole = whole(name, &all);
            let claim = Claim {
                at,
                value: f64::from(sum),
                score,
                expected: events.band_high(config.threshold),
                detector: ID,
                surprise: Surprise::default(),
            };
            let rules = Rules::held(config, 2);
            let point = Point { at, value: claim.value };
            let mut slot = self.open.take();
            if let Some(mut anomaly) = advance(&mut slot, &whole, &claim, &rules) {
                anomaly.why = why(&whole, &anomaly, &metrics);
                out.push(anomaly);
            }
            self.open = slot;
            made.push(Samples { series: whole, points: vec![point] });
        }
        if self.open.is_none() && !is_told {
            self.learn(sum);
        }
    }

    fn learn(&mut self, sum: f32) {
        self.n = self.n.saturating_add(1);
        let weight = 1.0 / self.n.min(MEMORY) as f32;
        let one = ((sum - self.mean).powi(2) / self.mean.max(0.5)).min(MOST_CLUMPED);
        let known = 1.0 / (self.n as f32 + PRIOR.1).min(MEMORY as f32);
        self.clumping += known * (one - self.clumping);
        self.mean += weight * (sum - self.mean);
    }
}

fn turn_of(now: Time) -> i64 {
    now.ms().div_euclid(TURN_MS)
}

/// The entity as a series of its own; it carries the signal that people feel most of those that are
/// unusual.
fn whole(entity: &EntityRef, all: &[&SeriesState]) -> Series {
    let felt = [Indicator::Errors, Indicator::Duration, Indicator::Availability, Indicator::Rate];
    let shown = |i: &Indicator| all.iter().any(|s| s.series.indicator == *i);
    let (metric, labels) = ("weak signals together".to_owned(), Labels::default());
    Series {
        id: Series::identity("nightjar", &metric, entity, &labels),
        source: "nightjar".to_owned(),
        entity: entity.clone(),
        metric,
        labels,
        indicator: felt.into_iter().find(shown).unwrap_or(Indicator::Custom),
        unit: String::new(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: TURN_MS,
    }
}

fn why(whole: &Series, anomaly: &Anomaly, metrics: &BTreeSet<&str>) -> String {
    let named: Vec<&str> = metrics.iter().copied().take(NAMED).collect();
    let more = metrics.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let signals = if metrics.is_empty() {
        "Its signals are as usual again".to_owned()
    } else {
        format!("Of {} {}{more} are unusual together", whole.entity.name(), named.join(", "))
    };
    format!(
        "{signals}, none of them by enough to be told of by itself: their rarity adds up to {:.0} nats \
         (at worst {:.0}), up to {:.0} is expected of it, {:.1} standard deviations or their \
         equivalent at worst, since {} UTC ({ID}).",
        anomaly.value,
        anomaly.peak,
        anomaly.expected.high,
        anomaly.score,
        anomaly.since.clock_text()
    )
}
