//! Missing data: entities and whole sources that used to speak regularly and fell silent.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::alert::{Band, Subject};
use crate::model::signal::Direction;
use crate::model::time::duration_text;
use crate::model::{Anomaly, AnomalyId, EntityRef, Time};

use super::config::Config;
use super::series::SeriesState;

/// Live points before a series can be missed.
const REGULAR: u32 = 20;
/// When nothing at all was heard for this long (ms), we were deaf; silence counts from then on.
const DEAF_MS: i64 = 120_000;
/// Silence is looked for this often (ms): ticks come every second.
const EVERY_MS: i64 = 10_000;
/// From this share of a source's series on, the source is missing rather than its entities.
const WHOLE: f64 = 0.8;
/// Silence of this length (ms) means that the entity is gone for good.
const GONE_MS: i64 = 6 * 3_600_000;

/// What is known of silence.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Missing {
    /// Since when we have been hearing without a break.
    hearing_since: Time,
    judged_at: Time,
    open: BTreeMap<String, Anomaly>,
}

impl Missing {
    /// Notes that a batch came at `now`, the one before at `before`.
    pub(super) fn hear(&mut self, now: Time, before: Time, backfill: bool) {
        if backfill || now.ms_since(before) > DEAF_MS {
            self.hearing_since = now;
        }
    }

    /// Looks for silence and for its end.
    pub(super) fn judge(
        &mut self,
        config: &Config,
        now: Time,
        series: &BTreeMap<u64, SeriesState>,
        out: &mut Vec<Anomaly>,
    ) {
        if now.ms_since(self.judged_at) < EVERY_MS {
            return;
        }
        self.judged_at = now;
        let mut sources: BTreeMap<&str, (usize, Vec<&SeriesState>)> = BTreeMap::new();
        let mut entities: BTreeMap<&EntityRef, usize> = BTreeMap::new();
        for s in series.values().filter(|s| s.n_live >= REGULAR) {
            let patience = (i64::from(config.missing_after_s) * 1_000).max(5 * s.step_ms);
            let silent_ms = now.ms_since(s.last.max(self.hearing_since));
            if now.ms_since(s.last) > GONE_MS {
                continue;
            }
            *entities.entry(&s.series.entity).or_default() += 1;
            let source = sources.entry(&s.series.source).or_default();
            source.0 += 1;
            if silent_ms > patience {
                source.1.push(s);
            }
        }
        let mut silent: BTreeMap<String, (EntityRef, String, Time)> = BTreeMap::new();
        for (source, (n, missing)) in &sources {
            let Some(since) = missing.iter().map(|s| s.last).min() else { continue };
            if *n >= 5 && missing.len() as f64 >= WHOLE * *n as f64 {
                let entity = EntityRef::new("nightjar.source", *source);
                let what = format!("all data of the source {source} ({} series)", missing.len());
                silent.insert(entity.to_string(), (entity, what, since));
                continue;
            }
            let mut of: BTreeMap<&EntityRef, Vec<&SeriesState>> = BTreeMap::new();
            for s in missing {
                of.entry(&s.series.entity).or_default().push(s);
            }
            for (entity, gone) in of {
                // One series that pauses while its entity goes on speaking is no fault.
                if gone.len() < entities[entity] {
                    continue;
                }
                let names: BTreeSet<&str> = gone.iter().map(|s| s.series.metric.as_str()).collect();
                let names: Vec<&str> = names.into_iter().take(3).collect();
                let what = format!("all {} series ({}, …)", gone.len(), names.join(", "));
                let since = gone.iter().map(|s| s.last).max().unwrap_or(now);
                silent.insert(entity.to_string(), (entity.clone(), what, since));
            }
        }
        let ended: Vec<String> =
            self.open.keys().filter(|k| !silent.contains_key(*k)).cloned().collect();
        for key in ended {
            let mut anomaly = self.open.remove(&key).expect("a key of the map");
            (anomaly.at, anomaly.until) = (now, Some(now));
            out.push(anomaly);
        }
        for (key, (entity, what, since)) in silent {
            if self.open.contains_key(&key) {
                continue;
            }
            let silent_ms = now.ms_since(since);
            let anomaly = Anomaly {
                id: AnomalyId::derive(since, &[&key, "missing/1"]),
                why: format!(
                    "{what} of {} have been silent for {}, since {} UTC.",
                    entity.name(),
                    duration_text(silent_ms),
                    since.clock_text()
                ),
                subject: Subject::Missing { entity, what },
                detector: "missing/1".to_owned(),
                since,
                at: now,
                until: None,
                value: silent_ms as f64 / 1_000.0,
                peak: silent_ms as f64 / 1_000.0,
                expected: Band { low: 0.0, mid: 0.0, high: f64::from(config.missing_after_s) },
                score: 2.0 * config.threshold,
                direction: Direction::High,
            };
            self.open.insert(key, anomaly.clone());
            out.push(anomaly);
        }
    }
}
