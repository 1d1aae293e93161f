//! Logs: a new error template, or a burst of a known one, per entity.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::alert::{Band, Subject};
use crate::model::signal::Direction;
use crate::model::{Anomaly, AnomalyId, EntityRef, Level, LogLine, Time};
use crate::stats::RobustMean;
use crate::templates::{Merge, Miner, TemplateId, record};

use super::config::LogConfig;

/// Lines are counted per minute.
const MINUTE_MS: i64 = 60_000;
/// A template is new for this long (ms) after its first line.
const NEW_MS: i64 = 120_000;
/// Weight of one minute in the usual rate: about an hour of memory.
const ALPHA: f64 = 1.0 / 60.0;

/// Log state of all entities.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Logs {
    /// First line ever read.
    since: Option<Time>,
    entities: BTreeMap<String, EntityLog>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct EntityLog {
    entity: EntityRef,
    miner: Miner,
    /// Error templates only.
    rates: BTreeMap<TemplateId, Rate>,
    /// When its newest line of any level was taken in.
    #[serde(default)]
    heard_at: Time,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rate {
    first: Time,
    /// First seen when it could have been known already.
    is_new: bool,
    minute: i64,
    count: u32,
    usual: RobustMean,
    since: Time,
    open: Option<Anomaly>,
    last_hot: Time,
}

impl Logs {
    /// Takes in lines (errors and worse are watched, the rest is ignored); lets quiet episodes end.
    pub(super) fn observe(
        &mut self,
        config: &LogConfig,
        lines: &[LogLine],
        now: Time,
        backfill: bool,
        out: &mut Vec<Anomaly>,
    ) {
        for line in lines {
            let since = *self.since.get_or_insert(line.at);
            if line.level < Level::Error {
                if let Some(log) = self.entities.get_mut(&line.entity.to_string()) {
                    log.heard_at = now;
                }
                continue;
            }
            let warm = !backfill && line.at.ms_since(since) >= i64::from(config.warm_up_s) * 1_000;
            let entry = self.entities.entry(line.entity.to_string());
            let log = entry.or_insert_with(|| EntityLog {
                entity: line.entity.clone(),
                miner: Miner::new(config.templates),
                rates: BTreeMap::new(),
                heard_at: now,
            });
            log.heard_at = now;
            log.take(config, line, warm, out);
        }
        if backfill {
            return;
        }
        let clear_ms = i64::from(config.clear_s) * 1_000;
        for rate in self.entities.values_mut().flat_map(|l| l.rates.values_mut()) {
            if rate.open.is_some() && now.ms_since(rate.last_hot) >= clear_ms {
                let mut anomaly = rate.open.take().expect("checked");
                (anomaly.at, anomaly.until) = (now, Some(rate.last_hot));
                // It has been told of once; from now on it counts as known.
                rate.is_new = false;
                out.push(anomaly);
            }
        }
    }
}

impl Logs {
    /// Forgets entities with nothing open for which `gone` holds, given the entity and when it last
    /// wrote a line; and of the others the rates of templates that came last before `stale`. Their
    /// texts stay in the miner, which is bounded: they are not new when they come again.
    pub(super) fn forget(
        &mut self,
        now: Time,
        stale: Time,
        gone: impl Fn(&EntityRef, Time) -> bool,
    ) {
        let minute = stale.ms().div_euclid(MINUTE_MS);
        self.entities.retain(|_, log| {
            // A snapshot from before this was kept: it counts as heard now.
            if log.heard_at == Time::MIN {
                log.heard_at = now;
            }
            log.rates.retain(|_, rate| rate.open.is_some() || rate.minute >= minute);
            log.rates.values().any(|r| r.open.is_some()) || !gone(&log.entity, log.heard_at)
        });
    }
}

impl EntityLog {
    fn take(&mut self, config: &LogConfig, line: &LogLine, warm: bool, out: &mut Vec<Anomaly>) {
        let found = self.miner.learn(&record::read(line.body.as_bytes()).message);
        if let Some(gone) = found.evicted {
            self.rates.remove(&gone);
        }
        for merge in self.miner.take_merges() {
            self.fold(merge, line.at, out);
        }
        let minute = line.at.ms().div_euclid(MINUTE_MS);
        let rate = self.rates.entry(found.id).or_insert_with(|| Rate {
            first: line.at,
            is_new: warm && found.is_new,
            minute,
            count: 0,
            usual: RobustMean::new(),
            since: line.at,
            open: None,
            last_hot: Time::MIN,
        });
        if minute > rate.minute {
            rate.close_minute(minute, line.at);
        }
        rate.count = rate.count.saturating_add(1);
        let count = f64::from(rate.count);
        let usual = rate.usual.level();
        // Poisson counts spread with the root of their mean; the floor and the ratio keep a
        // template that comes in small clumps quiet.
        let most = (usual + 4.0 * usual.max(1.0).sqrt())
            .max(config.burst_ratio * usual)
            .max(f64::from(config.burst_lines));
        let fresh =
            rate.is_new && rate.count >= config.new_lines && line.at.ms_since(rate.first) <= NEW_MS;
        let burst = warm && count > most;
        let goes_on = rate.open.is_some() && (rate.is_new || count > most / 2.0);
        if !(fresh || burst || goes_on) {
            return;
        }
        rate.last_hot = rate.last_hot.max(line.at);
        let text = self.miner.text(found.id).unwrap_or_default();
        let score = if rate.is_new { 8.0 } else { (4.0 * count / most).min(100.0) };
        if let Some(open) = &mut rate.open {
            (open.at, open.value) = (line.at, count);
            open.peak = open.peak.max(count);
            // Told again when it has doubled.
            if open.score * 2.0 <= score {
                open.score = score;
                out.push(open.clone());
            }
            return;
        }
        let kind = if rate.is_new { "log-new/1" } else { "log-burst/1" };
        let since = if rate.is_new { rate.first } else { rate.since };
        let why = if rate.is_new {
            format!(
                "{} logs an error it has not logged before, {} times since {} UTC: {text}",
                self.entity.name(),
                rate.count,
                since.clock_text()
            )
        } else {
            format!(
                "{} logged this error {} times within a minute, usually {usual:.1}: {text}",
                self.entity.name(),
                rate.count
            )
        };
        let anomaly = Anomaly {
            id: AnomalyId::derive(since, &[&self.entity.to_string(), &text, kind]),
            subject: Subject::LogTemplate { entity: self.entity.clone(), template: text },
            detector: kind.to_owned(),
            since,
            at: line.at,
            until: None,
            value: count,
            peak: count,
            expected: Band { low: 0.0, mid: usual, high: most },
            score,
            direction: Direction::High,
            why,
            unseen: false,
        };
        rate.open = Some(anomaly.clone());
        out.push(anomaly);
    }
}

impl EntityLog {
    /// Two templates turned out to be one: their lines are counted together from now on.
    fn fold(&mut self, merge: Merge, at: Time, out: &mut Vec<Anomaly>) {
        let Some(mut from) = self.rates.remove(&merge.from) else { return };
        let Some(into) = self.rates.get_mut(&merge.into) else {
            self.rates.insert(merge.into, from);
            return;
        };
        if from.minute != into.minute {
            let minute = from.minute.max(into.minute);
            for rate in [&mut from, &mut *into] {
                if rate.minute < minute {
                    rate.close_minute(minute, at);
                }
            }
        }
        into.first = into.first.min(from.first);
        // What was known in one wording is not new in another.
        into.is_new &= from.is_new;
        into.count = into.count.saturating_add(from.count);
        into.usual = into.usual.sum(&from.usual);
        into.since = into.since.min(from.since);
        into.last_hot = into.last_hot.max(from.last_hot);
        match (&into.open, from.open) {
            (None, open) => into.open = open,
            (Some(_), Some(mut anomaly)) => {
                (anomaly.at, anomaly.until) = (at, Some(from.last_hot));
                out.push(anomaly);
            }
            (Some(_), None) => {}
        }
    }
}

impl Rate {
    /// Closes the counted minute and the silent ones after it.
    fn close_minute(&mut self, minute: i64, at: Time) {
        let trusted = self.open.is_none();
        if trusted {
            self.usual.push(f64::from(self.count), ALPHA);
            for _ in 0..(minute - self.minute - 1).clamp(0, 120) {
                self.usual.push(0.0, ALPHA);
            }
        }
        (self.minute, self.count, self.since) = (minute, 0, at);
    }
}
