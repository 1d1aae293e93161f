//! Heartbeats: what said that it would speak again within some time, and did not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::Config;
use crate::model::alert::{Band, Subject};
use crate::model::signal::{Beat, Direction};
use crate::model::time::{DAY_MS, duration_text};
use crate::model::{Anomaly, AnomalyId, EntityRef, Time};

/// Silence.
pub(super) const MISSED: &str = "heartbeat/1";
/// A beat that says that it failed.
pub(super) const FAILED: &str = "heartbeat-failed/1";
/// Most heartbeats followed; new ones beyond that are not, and are counted.
const MOST: usize = 10_000;
/// One that was missed for so long is forgotten when room is needed.
const FORGOTTEN_MS: i64 = 30 * DAY_MS;
/// Silence is looked for this often (ms).
const EVERY_MS: i64 = 10_000;

/// All heartbeats, by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Heartbeats {
    pulses: BTreeMap<String, Pulse>,
    judged_at: Time,
    /// Beats that were not followed because there were too many names.
    pub(super) n_refused: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pulse {
    entity: EntityRef,
    last: Time,
    every_ms: i64,
    grace_ms: i64,
    open: Option<Anomaly>,
}

impl Heartbeats {
    /// Takes in beats, and looks for silence at `now`; while we ourselves heard nothing, up to
    /// `deaf_until`, nobody was silent.
    pub(super) fn observe(
        &mut self,
        config: &Config,
        beats: &[Beat],
        (now, deaf_until): (Time, Time),
        out: &mut Vec<Anomaly>,
    ) {
        for beat in beats {
            self.beat(config, beat, out);
        }
        if now.ms_since(self.judged_at) < EVERY_MS {
            return;
        }
        self.judged_at = now;
        for (name, pulse) in self.pulses.iter_mut().filter(|(_, p)| p.open.is_none()) {
            let silent_ms = now.ms_since(pulse.last.max(deaf_until));
            if silent_ms > pulse.every_ms.saturating_add(pulse.grace_ms) {
                let since = pulse.last.max(deaf_until).plus_ms(pulse.every_ms);
                let why = format!(
                    "No heartbeat of {name} since {} UTC, for {}; one is expected every {}, and {} \
                     later at most.",
                    pulse.last.minute_text(),
                    duration_text(now.ms_since(pulse.last)),
                    duration_text(pulse.every_ms),
                    duration_text(pulse.grace_ms)
                );
                let anomaly = pulse.anomaly(config, (name, MISSED), (since, now), why);
                out.push(anomaly.clone());
                pulse.open = Some(anomaly);
            }
        }
    }

    fn beat(&mut self, config: &Config, beat: &Beat, out: &mut Vec<Anomaly>) {
        if !self.pulses.contains_key(&beat.name) {
            if self.pulses.len() >= MOST {
                self.pulses.retain(|_, p| beat.at.ms_since(p.last) <= FORGOTTEN_MS + p.every_ms);
            }
            if beat.ended || self.pulses.len() >= MOST {
                self.n_refused += u64::from(!beat.ended);
                return;
            }
        }
        let pulse = self.pulses.entry(beat.name.clone()).or_insert_with(|| Pulse {
            entity: beat.entity.clone(),
            last: Time::MIN,
            every_ms: beat.every_ms,
            grace_ms: beat.grace_ms,
            open: None,
        });
        // A late word changes nothing of a newer one.
        if beat.at < pulse.last {
            return;
        }
        (pulse.last, pulse.every_ms, pulse.grace_ms) = (beat.at, beat.every_ms, beat.grace_ms);
        if let Some(mut anomaly) = pulse.open.take() {
            (anomaly.at, anomaly.until) = (beat.at, Some(beat.at));
            out.push(anomaly);
        }
        pulse.entity.clone_from(&beat.entity);
        if beat.ended {
            self.pulses.remove(&beat.name);
        } else if let Some(text) = &beat.failed {
            let told = if text.is_empty() { "" } else { ": " };
            let why = format!(
                "{} said at {} UTC that it failed{told}{text}.",
                beat.name,
                beat.at.clock_text()
            );
            let anomaly = pulse.anomaly(config, (&beat.name, FAILED), (beat.at, beat.at), why);
            out.push(anomaly.clone());
            pulse.open = Some(anomaly);
        }
    }
}

impl Pulse {
    fn anomaly(
        &self,
        config: &Config,
        (name, detector): (&str, &str),
        (since, now): (Time, Time),
        why: String,
    ) -> Anomaly {
        let silent_s = now.ms_since(self.last) as f64 / 1_000.0;
        Anomaly {
            id: AnomalyId::derive(since, &[name, detector]),
            subject: Subject::Missing { entity: self.entity.clone(), what: name.to_owned() },
            detector: detector.to_owned(),
            since,
            at: now,
            until: None,
            value: silent_s,
            peak: silent_s,
            expected: Band { low: 0.0, mid: 0.0, high: self.every_ms as f64 / 1_000.0 },
            score: 2.0 * config.threshold,
            direction: Direction::High,
            why,
            unseen: false,
            grounds: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Shard;
    use crate::model::Batch;

    fn at(s: i64) -> Time {
        Time::from_ms(1_800_000_000_000 + s * 1_000)
    }

    fn beat(s: i64, failed: Option<&str>, ended: bool) -> Batch {
        let beat = Beat {
            name: "backup".into(),
            entity: EntityRef::service("orders"),
            at: at(s),
            every_ms: 600_000,
            grace_ms: 60_000,
            failed: failed.map(str::to_owned),
            ended,
        };
        Batch { beats: vec![beat], ..Batch::new("heartbeat", at(s)) }
    }

    /// What is told between two times, ticking once a second.
    fn pass(shard: &mut Shard, from: i64, to: i64) -> Vec<(i64, String, bool)> {
        let all = (from..to).flat_map(|s| shard.observe(&Batch::tick(at(s))));
        all.map(|a| (a.at.ms_since(at(0)) / 1_000, a.detector, a.until.is_some())).collect()
    }

    #[test]
    fn a_missed_beat_is_told_once_and_ends_with_the_next() {
        let mut shard = Shard::new(Config::default());
        assert!(shard.observe(&beat(0, None, false)).is_empty());
        assert!(pass(&mut shard, 1, 660).is_empty(), "within its grace");
        let told = pass(&mut shard, 660, 2_000);
        assert_eq!(told.len(), 1);
        assert!(told[0].1 == MISSED && (661..=671).contains(&told[0].0), "{told:?}");
        // A restart forgets nothing.
        let mut shard = Shard::restore(Config::default(), &shard.snapshot()).expect("reads");
        let back = shard.observe(&beat(2_000, None, false));
        assert_eq!((back.len(), back[0].until), (1, Some(at(2_000))));
    }

    #[test]
    fn a_failure_is_told_at_once_and_an_end_is_no_silence() {
        let mut shard = Shard::new(Config::default());
        let told = shard.observe(&beat(0, Some("disk full"), false));
        assert_eq!(told[0].why, "backup said at 08:00:00 UTC that it failed: disk full.");
        assert!(shard.observe(&beat(600, None, false))[0].until.is_some());
        assert!(shard.observe(&beat(700, None, true)).is_empty());
        assert!(pass(&mut shard, 701, 3_000).is_empty());
    }

    #[test]
    fn while_we_heard_nothing_nobody_was_silent() {
        let mut shard = Shard::new(Config::default());
        shard.observe(&beat(0, None, false));
        pass(&mut shard, 1, 100);
        // We were away for an hour: the beat may have been sent to nobody.
        assert!(pass(&mut shard, 3_700, 4_300).is_empty());
        assert_eq!(pass(&mut shard, 4_300, 4_500).len(), 1);
    }
}
