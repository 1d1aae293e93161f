//! Logs: what each entity writes, against its own past.
//!
//! Errors and worse: a **new** template, or a **burst** of a known one, in relation to the
//! traffic; one that is for longer a larger part of all lines (**rate**); a rising **share of errors** where no one template stands out. Lines of any level: a
//! template that came like a clock and **vanished** while others go on, and a changed **mixture**
//! of templates. New lines below error raise nothing by themselves.
//!
//! A record with a stack trace is one event, also when its lines come as records of their own; JSON
//! and logfmt bodies are read. State is bounded: so many entities, so many templates of each.

mod entity;
mod errors;
mod event;
mod mixture;
mod rate;
mod said;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::time::{MINUTE_MS, SECOND_MS};
use crate::model::{Anomaly, EntityRef, LogLine, Time};

use super::config::LogConfig;
use entity::{EntityLog, Look};

/// Entities at most; the one heard of longest ago makes room.
const MOST_ENTITIES: usize = 2_000;
/// What time brings is looked at this often (ms).
const TICK_MS: i64 = 10 * SECOND_MS;

/// Log state of all entities.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Logs {
    /// First line ever read.
    since: Option<Time>,
    ticked_at: Time,
    entities: BTreeMap<EntityRef, EntityLog>,
    /// Entities that had to make room.
    pub(super) shed: u64,
}

impl Logs {
    /// Takes in lines, and lets what is over end. History (`backfill`) only teaches.
    pub(super) fn observe(
        &mut self,
        config: &LogConfig,
        lines: &[LogLine],
        now: Time,
        backfill: bool,
        out: &mut Vec<Anomaly>,
    ) {
        let look = |since: Time, at: Time| Look {
            config,
            now,
            backfill,
            warm: at.ms_since(since) >= i64::from(config.warm_up_s) * SECOND_MS,
        };
        for line in lines {
            let since = *self.since.get_or_insert(line.at);
            if !self.entities.contains_key(&line.entity) {
                self.make_room(now, out);
                let log = EntityLog::new(config, line, now);
                self.entities.insert(line.entity.clone(), log);
            }
            if let Some(log) = self.entities.get_mut(&line.entity) {
                log.take(look(since, line.at), line, out);
            }
        }
        if now.ms_since(self.ticked_at) < TICK_MS {
            return;
        }
        self.ticked_at = now;
        let Some(since) = self.since else { return };
        for log in self.entities.values_mut() {
            log.tick(look(since, now), out);
        }
    }

    /// Room for one more entity; what was open of the one that goes ends unseen.
    fn make_room(&mut self, now: Time, out: &mut Vec<Anomaly>) {
        if self.entities.len() < MOST_ENTITIES {
            return;
        }
        let oldest = self.entities.iter().min_by_key(|(_, log)| (log.has_open(), log.heard_at));
        let Some(oldest) = oldest.map(|(entity, _)| entity.clone()) else {
            return;
        };
        if let Some(log) = self.entities.remove(&oldest) {
            self.shed += 1;
            out.extend(log.into_open().map(|a| Anomaly {
                at: now,
                until: Some(now),
                unseen: true,
                ..a
            }));
        }
    }

    /// Forgets entities with nothing open for which `gone` holds, given the entity and when it last
    /// wrote a line; and of the others the counts of templates that came last before `stale`.
    pub(super) fn forget(&mut self, stale: Time, gone: impl Fn(&EntityRef, Time) -> bool) {
        let minute = stale.ms().div_euclid(MINUTE_MS);
        self.entities.retain(|entity, log| {
            log.forget_before(minute);
            log.has_open() || !gone(entity, log.heard_at)
        });
    }
}
