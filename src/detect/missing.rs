//! Missing data: entities and whole sources that used to speak regularly and fell silent.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::alert::{Band, SOURCE_ATTRIBUTE, Subject};
use crate::model::signal::Direction;
use crate::model::time::{DAY_MS, duration_text};
use crate::model::{Anomaly, AnomalyId, EntityRef, Time};

use super::config::Config;
use super::peers::owner_of;
use super::series::SeriesState;

/// Live points before a series can be missed.
const REGULAR: u32 = 20;
/// When nothing at all was heard for this long (ms), we were deaf; silence counts from then on.
const DEAF_MS: i64 = 120_000;
/// Usual steps without a word after which a single series counts as gone.
const VANISHED_STEPS: i64 = 10;
/// Silence is looked for this often (ms): ticks come every second.
const EVERY_MS: i64 = 10_000;
/// From this share of a source's series on, the source is missing rather than its entities.
const WHOLE: f64 = 0.8;
/// Silence of this length (ms) means that the entity was removed.
pub(super) const GONE_MS: i64 = DAY_MS;

/// What is known of silence.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Missing {
    /// Since when we have been hearing without a break.
    hearing_since: Time,
    judged_at: Time,
    open: BTreeMap<String, Anomaly>,
    /// When the newest break in our own hearing ended; unlike `hearing_since`, back-fill does not
    /// move it.
    #[serde(default)]
    deaf_until: Time,
}

impl Missing {
    /// Notes that a batch came at `now`, the one before at `before`.
    pub(super) fn hear(&mut self, now: Time, before: Time, backfill: bool) {
        let deaf = now.ms_since(before) > DEAF_MS;
        if deaf {
            self.deaf_until = now;
        }
        if backfill || deaf {
            self.hearing_since = now;
        }
    }

    /// Since when silence counts towards being removed, for what was last heard at `heard`.
    pub(super) fn silent_since(&self, heard: Time) -> Time {
        heard.max(self.deaf_until)
    }

    /// Since when something last heard at `last` has been silent as far as we could hear.
    pub(super) fn heard_since(&self, last: Time) -> Time {
        last.max(self.hearing_since)
    }

    /// Looks for silence and for its end, and ends what silence leaves open.
    pub(super) fn judge(
        &mut self,
        config: &Config,
        now: Time,
        series: &mut BTreeMap<u64, Box<SeriesState>>,
        out: &mut Vec<Anomaly>,
    ) {
        if now.ms_since(self.judged_at) < EVERY_MS {
            return;
        }
        self.judged_at = now;
        let mut sources: BTreeMap<&str, (usize, Vec<&SeriesState>)> = BTreeMap::new();
        let mut known: BTreeSet<Cow<'_, EntityRef>> = BTreeSet::new();
        for s in series.values().filter(|s| s.n_live >= REGULAR) {
            if now.ms_since(self.silent_since(s.last)) > GONE_MS {
                continue;
            }
            known.insert(owner_of(&s.series.entity));
            let source = sources.entry(&s.series.source).or_default();
            source.0 += 1;
            if now.ms_since(s.last) > patience_ms(config, s) {
                source.1.push(s);
            }
        }
        let silent = self.silent(config, now, series, &sources);
        let ended: Vec<String> =
            self.open.keys().filter(|k| !silent.contains_key(*k)).cloned().collect();
        for key in ended {
            let mut anomaly = self.open.remove(&key).expect("a key of the map");
            (anomaly.at, anomaly.until) = (now, Some(now));
            let entity = anomaly.subject.entity();
            if !known.contains(&Cow::Borrowed(entity)) && !sources.contains_key(entity.name()) {
                anomaly.unseen = true;
                anomaly.why = format!(
                    "{} No data came for {}, so it is taken for removed; it was not seen to \
                     recover.",
                    anomaly.why,
                    duration_text(GONE_MS)
                );
            }
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
                unseen: false,
                grounds: None,
            };
            self.open.insert(key, anomaly.clone());
            out.push(anomaly);
        }
        self.end_vanished(config, now, series, out);
    }
    /// Ends what is open of series that are gone while their source still speaks, or whose entity
    /// is told of as missing; a source that is missing as a whole says nothing of its series until
    /// it counts as removed. Only series with something open are looked at.
    fn end_vanished(
        &self,
        config: &Config,
        now: Time,
        series: &mut BTreeMap<u64, Box<SeriesState>>,
        out: &mut Vec<Anomaly>,
    ) {
        let silent: Vec<u64> = series
            .iter()
            .filter(|(_, s)| s.has_open())
            .filter(|(_, s)| {
                let patience =
                    (i64::from(config.missing_after_s) * 1_000).max(VANISHED_STEPS * s.step_ms);
                now.ms_since(s.last.max(self.hearing_since)) > patience
            })
            .map(|(id, _)| *id)
            .collect();
        if silent.is_empty() {
            return;
        }
        let speaking: BTreeSet<String> = series
            .values()
            .filter(|s| s.n_live > 0 && now.ms_since(s.last) <= patience_ms(config, s))
            .map(|s| s.series.source.clone())
            .filter(|s| !self.open.contains_key(&EntityRef::new(SOURCE_ATTRIBUTE, s).to_string()))
            .collect();
        for id in silent {
            let s = series.get_mut(&id).expect("an id of the map");
            let gone = now.ms_since(self.silent_since(s.last)) > GONE_MS
                || speaking.contains(&s.series.source)
                || self.open.contains_key(&owner_of(&s.series.entity).to_string());
            if gone {
                s.vanish(now, out);
            }
        }
    }

    /// What is silent now: what was open and stays silent, and what can be told anew. A break in
    /// our own hearing tells nothing new, and is no recovery either.
    fn silent(
        &self,
        config: &Config,
        now: Time,
        series: &BTreeMap<u64, Box<SeriesState>>,
        sources: &BTreeMap<&str, (usize, Vec<&SeriesState>)>,
    ) -> BTreeMap<String, (EntityRef, String, Time)> {
        let mut silent = BTreeMap::new();
        if sources.values().all(|(_, quiet)| quiet.is_empty()) {
            return silent;
        }
        let missed =
            |s: &SeriesState| now.ms_since(s.last.max(self.hearing_since)) > patience_ms(config, s);
        // A young series says that its entity lives: labels change with a new version. A replica says
        // it of what it is a replica of: those that were removed are not missed while others serve.
        let speaking: BTreeSet<Cow<'_, EntityRef>> = series
            .values()
            .filter(|s| s.n_live > 0 && now.ms_since(s.last) <= patience_ms(config, s))
            .map(|s| owner_of(&s.series.entity))
            .collect();
        // Per entity: its quiet series, and whether a missing source tells of them already.
        let mut of: BTreeMap<Cow<'_, EntityRef>, (Vec<&SeriesState>, bool)> = BTreeMap::new();
        for (source, (n, quiet)) in sources {
            let entity = EntityRef::new(SOURCE_ATTRIBUTE, *source);
            let key = entity.to_string();
            let open = self.open.contains_key(&key);
            let n_missing =
                if open { quiet.len() } else { quiet.iter().filter(|s| missed(s)).count() };
            let whole = *n >= 5 && n_missing as f64 >= WHOLE * *n as f64;
            if let Some(since) = quiet.iter().map(|s| s.last).min().filter(|_| whole) {
                let what = format!("all data of the source {source} ({n_missing} series)");
                silent.insert(key, (entity, what, since));
            }
            for s in quiet {
                let entry = of.entry(owner_of(&s.series.entity)).or_default();
                entry.0.push(s);
                entry.1 |= whole;
            }
        }
        for (entity, (quiet, whole)) in of {
            let key = entity.to_string();
            let open = self.open.contains_key(&key);
            let new = !whole && quiet.iter().all(|s| missed(s));
            // One series that pauses while its entity goes on speaking is no fault.
            if speaking.contains(&entity) || !(open || new) {
                continue;
            }
            let names: BTreeSet<&str> = quiet.iter().map(|s| s.series.metric.as_str()).collect();
            let names: Vec<&str> = names.into_iter().take(3).collect();
            let what = format!("all {} series ({}, …)", quiet.len(), names.join(", "));
            let since = quiet.iter().map(|s| s.last).max().unwrap_or(now);
            silent.insert(key, (entity.into_owned(), what, since));
        }
        silent
    }
}

/// How long a regular series may be silent before it is missed, in ms.
fn patience_ms(config: &Config, s: &SeriesState) -> i64 {
    (i64::from(config.missing_after_s) * 1_000).max(5 * s.step_ms)
}
