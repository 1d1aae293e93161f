//! The view of gaps: samples of single series that stop though their entity and source go on
//! speaking, or that come at another interval than they used to.
//!
//! Told for information: what was measured is not known to be ill, but nobody sees it any more. A
//! metric that goes on under other labels (a new version, another replica) is no gap, and what stays
//! away is taken for removed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::missing::Missing;
use super::series::SeriesState;
use crate::model::alert::{Band, SOURCE_ATTRIBUTE, Subject};
use crate::model::signal::Direction;
use crate::model::time::{HOUR_MS, duration_text};
use crate::model::{Anomaly, AnomalyId, EntityRef, Time};

/// Samples that stopped.
pub(super) const STOPPED: &str = "gap/1";
/// Samples that come at another interval.
pub(super) const INTERVAL: &str = "interval/1";
/// Live points before a rhythm is known.
const KNOWN: u16 = 100;
/// Share of intervals off the usual one from which there is no rhythm.
const IRREGULAR: f32 = 0.05;
/// An interval is another one beyond these factors of the usual one.
const OFF: (f64, f64) = (0.6, 1.6);
/// Intervals in a row that must be other ones.
const RUN: u8 = 10;
/// Usual intervals without a sample after which samples have stopped, at least.
const SILENT_STEPS: i64 = 10;
/// Weights of an interval in the usual one and in how irregular they are.
const USUAL: f64 = 1.0 / 64.0;
const OFTEN: f32 = 1.0 / 64.0;
/// A gap this old is no news, and a metric away for so long was removed.
const NEWS_MS: i64 = HOUR_MS;
const REMOVED_MS: i64 = 6 * HOUR_MS;
/// A new interval is usual after so long.
const ADOPTED_MS: i64 = HOUR_MS;
/// It is looked for them this often (ms).
const EVERY_MS: i64 = 10_000;
/// Metrics that are named.
const NAMED: usize = 3;
/// Entities of a source up to which each is told of by itself when intervals change.
const MOST_ENTITIES: usize = 3;

/// The rhythm in which samples of a series come: 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rhythm {
    usual_ms: u32,
    lately_ms: u32,
    irregular: f32,
    n: u16,
    /// Intervals in a row that are longer, or shorter, than the usual one.
    run: u8,
    longer: bool,
}

impl Rhythm {
    /// Learns the time between two live samples.
    pub(super) fn push(&mut self, interval_ms: i64) {
        let interval = interval_ms.clamp(1, i64::from(u32::MAX)) as f64;
        self.n = self.n.saturating_add(1);
        if self.n == 1 {
            (self.usual_ms, self.lately_ms) = (interval as u32, interval as u32);
            return;
        }
        let usual = f64::from(self.usual_ms);
        let off = interval < OFF.0 * usual || interval > OFF.1 * usual;
        let longer = interval > usual;
        let goes_on = off && self.run > 0 && longer == self.longer;
        if !goes_on {
            // What went on for long enough was a change; what did not was irregular.
            let n_off = if self.run < RUN { self.run.min(3) } else { 0 };
            for _ in 0..n_off {
                self.irregular += OFTEN * (1.0 - self.irregular);
            }
        }
        self.run = if goes_on { self.run.saturating_add(1) } else { u8::from(off) };
        self.longer = longer;
        let lately = f64::from(self.lately_ms);
        let weight = 1.0 / f64::from(self.run.clamp(1, 8));
        self.lately_ms = (lately + weight * (interval - lately)).round() as u32;
        // The first say what is usual whatever they are; later a change is none until it is told.
        let young = self.n < KNOWN / 4;
        if !off || young {
            let weight = if young { 0.25 } else { USUAL };
            self.usual_ms = (usual + weight * (interval - usual)).round().max(1.0) as u32;
        }
        if !off {
            self.irregular -= OFTEN * self.irregular;
        }
        // What was never regular looks for its step anew.
        if self.run == u8::MAX {
            (self.usual_ms, self.run) = (self.lately_ms, 0);
        }
    }

    fn is_regular(&self) -> bool {
        self.n >= KNOWN && self.irregular < IRREGULAR
    }

    fn has_changed(&self) -> bool {
        self.is_regular() && self.run >= RUN
    }

    fn adopt(&mut self) {
        (self.usual_ms, self.run) = (self.lately_ms, 0);
    }
}

/// What is known of gaps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Gaps {
    judged_at: Time,
    open: BTreeMap<String, Anomaly>,
}

/// Something to be told of: of whom, what, since when, for how long, and how long is usual.
struct Gap {
    entity: EntityRef,
    what: String,
    detector: &'static str,
    since: Time,
    value_s: f64,
    usual_s: f64,
    least_s: f64,
    why: String,
}

impl Gaps {
    /// Looks for gaps and for their end.
    pub(super) fn judge(
        &mut self,
        config: &Config,
        now: Time,
        missing: &Missing,
        series: &mut BTreeMap<u64, Box<SeriesState>>,
        out: &mut Vec<Anomaly>,
    ) {
        if now.ms_since(self.judged_at) < EVERY_MS {
            return;
        }
        self.judged_at = now;
        let mut found = stopped(config, now, missing, series, &self.open);
        found.extend(changed(now, series));
        let over: Vec<String> =
            self.open.keys().filter(|k| !found.contains_key(*k)).cloned().collect();
        for key in over {
            let mut anomaly = self.open.remove(&key).expect("a key of the map");
            (anomaly.at, anomaly.until) = (now, Some(now));
            if anomaly.detector == STOPPED && now.ms_since(anomaly.since) >= REMOVED_MS {
                anomaly.unseen = true;
                anomaly.why = format!(
                    "{} Nothing came for {}, so it is taken for removed.",
                    anomaly.why,
                    duration_text(REMOVED_MS)
                );
            }
            out.push(anomaly);
        }
        for (key, gap) in found {
            if let Some(open) = self.open.get(&key) {
                if gap.detector == INTERVAL && now.ms_since(open.since) >= ADOPTED_MS {
                    adopt(series, &key);
                }
                continue;
            }
            let anomaly = gap.anomaly(config, &key, now);
            self.open.insert(key, anomaly.clone());
            out.push(anomaly);
        }
    }
}

impl Gap {
    fn anomaly(self, config: &Config, key: &str, now: Time) -> Anomaly {
        Anomaly {
            id: AnomalyId::derive(self.since, &[key, self.detector]),
            subject: Subject::Missing { entity: self.entity, what: self.what },
            detector: self.detector.to_owned(),
            since: self.since,
            at: now,
            until: None,
            value: self.value_s,
            peak: self.value_s,
            expected: Band {
                low: self.least_s,
                mid: self.usual_s,
                high: (OFF.1 * self.usual_s).max(if self.detector == STOPPED {
                    f64::from(config.missing_after_s)
                } else {
                    0.0
                }),
            },
            score: config.threshold,
            direction: if self.value_s < self.usual_s { Direction::Low } else { Direction::High },
            why: self.why,
            unseen: false,
            grounds: None,
        }
    }
}

/// Regular series that fell silent while others of their entity speak, by source and entity.
fn stopped(
    config: &Config,
    now: Time,
    missing: &Missing,
    series: &BTreeMap<u64, Box<SeriesState>>,
    open: &BTreeMap<String, Anomaly>,
) -> BTreeMap<String, Gap> {
    let patience = |s: &SeriesState| {
        let steps = SILENT_STEPS * i64::from(s.rhythm.usual_ms);
        (i64::from(config.missing_after_s) * 1_000).max(steps)
    };
    let key_of = |s: &SeriesState| format!("{STOPPED} {} {}", s.series.source, s.series.entity);
    let is_quiet = |s: &&SeriesState| {
        if !s.rhythm.is_regular() || now.ms_since(s.last) <= patience(s) {
            return false;
        }
        // Our own break is not theirs, and no recovery either.
        let heard = now.ms_since(missing.heard_since(s.last));
        if open.contains_key(&key_of(s)) {
            return now.ms_since(s.last) < REMOVED_MS;
        }
        heard > patience(s) && now.ms_since(s.last) <= NEWS_MS
    };
    let quiet: Vec<&SeriesState> = series.values().map(|s| &**s).filter(is_quiet).collect();
    if quiet.is_empty() {
        return BTreeMap::new();
    }
    let mut entities: BTreeSet<(&str, &EntityRef)> = BTreeSet::new();
    let mut metrics: BTreeSet<(&str, &EntityRef, &str)> = BTreeSet::new();
    for s in series.values() {
        let step_ms = i64::from(s.rhythm.usual_ms).max(s.step_ms);
        if s.n_live > 0 && now.ms_since(s.last) <= 3 * step_ms.max(EVERY_MS) {
            let s = &s.series;
            entities.insert((&s.source, &s.entity));
            metrics.insert((&s.source, &s.entity, &s.metric));
        }
    }
    let mut of: BTreeMap<String, Vec<&SeriesState>> = BTreeMap::new();
    for s in quiet {
        let d = &s.series;
        let goes_on = metrics.contains(&(&d.source, &d.entity, &d.metric));
        if goes_on || !entities.contains(&(&d.source, &d.entity)) {
            continue;
        }
        of.entry(key_of(s)).or_default().push(s);
    }
    of.into_iter()
        .map(|(key, quiet)| {
            let last = quiet.iter().map(|s| s.last).min().unwrap_or(now);
            let usual_ms = quiet.iter().map(|s| s.rhythm.usual_ms).max().unwrap_or(0);
            let entity = quiet[0].series.entity.clone();
            let names: BTreeSet<&str> = quiet.iter().map(|s| s.series.metric.as_str()).collect();
            let more = names.len().saturating_sub(NAMED);
            let named: Vec<&str> = names.into_iter().take(NAMED).collect();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let what = format!("samples of {}{more}", named.join(", "));
            let silent_ms = now.ms_since(last);
            let why = format!(
                "No {what} of {} came for {}, since {} UTC, though they used to come every {} and \
                 other data of {} still comes.",
                entity.name(),
                duration_text(silent_ms),
                last.clock_text(),
                duration_text(i64::from(usual_ms)),
                entity.name()
            );
            let gap = Gap {
                entity,
                what,
                detector: STOPPED,
                since: last,
                value_s: silent_ms as f64 / 1_000.0,
                usual_s: f64::from(usual_ms) / 1_000.0,
                least_s: 0.0,
                why,
            };
            (key, gap)
        })
        .collect()
}

/// Samples that come at another interval than usual: one finding an entity, or one for the source
/// when many of its entities are concerned.
fn changed(now: Time, series: &BTreeMap<u64, Box<SeriesState>>) -> BTreeMap<String, Gap> {
    let mut of: BTreeMap<&str, BTreeMap<&EntityRef, Vec<&SeriesState>>> = BTreeMap::new();
    for s in series.values().filter(|s| s.rhythm.has_changed()) {
        let entities = of.entry(&s.series.source).or_default();
        entities.entry(&s.series.entity).or_default().push(&**s);
    }
    let mut found: Vec<(EntityRef, EntityRef, Vec<&SeriesState>)> = Vec::new();
    for (source, entities) in of {
        let source = EntityRef::new(SOURCE_ATTRIBUTE, source);
        if entities.len() > MOST_ENTITIES {
            let all = entities.into_values().flatten().collect();
            found.push((source.clone(), source, all));
        } else {
            let each = entities.into_iter().map(|(e, all)| (source.clone(), e.clone(), all));
            found.extend(each);
        }
    }
    found
        .into_iter()
        .map(|(source, entity, all)| {
            let one = all[0];
            let key = interval_key(&source, &entity);
            let (usual, lately) = (one.rhythm.usual_ms, one.rhythm.lately_ms);
            let since = one.last.plus_ms(-i64::from(one.rhythm.run) * i64::from(lately));
            let what = match all.len() {
                1 => format!("samples of {}", one.series.metric),
                n => format!("samples of {n} series ({}, …)", one.series.metric),
            };
            let why = format!(
                "The {what} of {} come every {} since {} UTC, though they used to come every {}: windows \
                 and sums over a number of samples reach over another time.",
                entity.name(),
                duration_text(i64::from(lately)),
                since.min(now).clock_text(),
                duration_text(i64::from(usual)),
            );
            let gap = Gap {
                entity,
                what,
                detector: INTERVAL,
                since: since.min(now),
                value_s: f64::from(lately) / 1_000.0,
                usual_s: f64::from(usual) / 1_000.0,
                least_s: OFF.0 * f64::from(usual) / 1_000.0,
                why,
            };
            (key, gap)
        })
        .collect()
}

/// The key of a finding about an entity of a source, or about the source.
fn interval_key(source: &EntityRef, entity: &EntityRef) -> String {
    format!("{INTERVAL} {source} {entity}")
}

/// Takes the new interval of the series of a finding for usual.
fn adopt(series: &mut BTreeMap<u64, Box<SeriesState>>, key: &str) {
    for s in series.values_mut().filter(|s| s.rhythm.has_changed()) {
        let source = EntityRef::new(SOURCE_ATTRIBUTE, &s.series.source);
        if [&s.series.entity, &source].iter().any(|e| key == interval_key(&source, e)) {
            s.rhythm.adopt();
        }
    }
}
