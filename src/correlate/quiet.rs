//! What keeps an alert quiet before it is related to others or may open an incident: silences and
//! maintenance, another alert that inhibits it, rules that want it several times or for a while,
//! flapping, and patterns that people confirmed to be harmless. Pure; `now` is a value.
//!
//! A silenced or inhibited alert is grouped with nothing. The others only open nothing by
//! themselves: a related incident takes them at any time.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::correlator::Correlator;
use crate::model::alert::{HARMLESS, Suppression};
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, duration_text};
use crate::model::{Alert, AlertId, Fingerprint, Harmless, HarmlessId, Labels, Matcher, Time};

/// Starts that are remembered of one condition.
const MOST_STARTS: usize = 64;

/// While one alert fires, others are kept quiet, as in Alertmanager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inhibit {
    /// Its name; reasons show it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Which alerts keep others quiet while they fire: all must match.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub source: Vec<Matcher>,
    /// Which alerts are kept quiet: all must match. What matches both sides inhibits none that does.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub target: Vec<Matcher>,
    /// Labels that both must have alike; one that both lack is alike.
    #[serde(default)]
    pub equal: Vec<String>,
}

impl Inhibit {
    /// What is wrong with it: the setting and why.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let none = Labels::default();
        if self.source.iter().all(|m| m.matches(&none)) {
            return Some((
                "source",
                "needs one that some alert fails, or any alert would do".into(),
            ));
        }
        let all = self.target.iter().all(|m| m.matches(&none));
        all.then(|| {
            ("target", "needs one that some alert fails, or everything would be kept quiet".into())
        })
    }

    fn is_source(&self, labels: &Labels) -> bool {
        self.source.iter().all(|m| m.matches(labels))
    }

    fn is_target(&self, labels: &Labels) -> bool {
        self.target.iter().all(|m| m.matches(labels))
    }

    fn are_equal(&self, a: &Labels, b: &Labels) -> bool {
        let of = |labels: &Labels, name: &str| labels.get(name).unwrap_or("").to_owned();
        self.equal.iter().all(|name| of(a, name) == of(b, name))
    }
}

/// A condition opens an incident only once it has fired several times, or for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Its name; reasons show it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Which alerts: all must match.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub matchers: Vec<Matcher>,
    /// Opens once it has begun so many times within `within_min`.
    #[serde(default)]
    #[schemars(range(min = 2, max = 64))]
    pub times: Option<u32>,
    /// Minutes within which those beginnings count.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1, max = 1_440))]
    pub within_min: u32,
    /// Opens once it has fired for so many minutes on end.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_440))]
    pub minutes: Option<u32>,
}

fn an_hour() -> u32 {
    60
}

impl Hold {
    /// What is wrong with it: the setting and why.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let neither = self.times.is_none() && self.minutes.is_none();
        neither.then(|| ("", "needs `times`, `minutes` or both, or nothing would ever open".into()))
    }
}

/// When a condition flaps. One that comes and goes opens nothing more until it stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flap {
    /// Beginnings within `window_min` from which on it flaps; 0: never.
    #[schemars(range(max = 64))]
    pub episodes: u32,
    /// Minutes within which beginnings count.
    #[schemars(range(min = 1, max = 1_440))]
    pub window_min: u32,
    /// Minutes that it must fire on end to count as lasting again.
    #[schemars(range(min = 1, max = 1_440))]
    pub stable_min: u32,
}

impl Default for Flap {
    fn default() -> Self {
        Self { episodes: 6, window_min: 60, stable_min: 10 }
    }
}

/// What keeping quiet has to remember.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    /// Late beginnings of each condition.
    starts: BTreeMap<Fingerprint, BTreeSet<Time>>,
    /// What fires and may inhibit something: its labels and a name for people.
    sources: BTreeMap<AlertId, (Labels, String)>,
    /// Learned rules that a person confirmed.
    pub(super) harmless: BTreeMap<HarmlessId, Harmless>,
    pruned: Time,
}

impl Quiet {
    /// Takes in an alert that began, changed or ended.
    pub(super) fn hear(&mut self, config: &Config, alert: &Alert) {
        if counts(config) {
            let starts = self.starts.entry(alert.fingerprint).or_default();
            starts.insert(alert.starts_at);
            while starts.len() > MOST_STARTS {
                starts.pop_first();
            }
        }
        let fires =
            alert.is_firing() && config.inhibit.iter().any(|rule| rule.is_source(&alert.labels));
        if fires {
            let name = format!("{} on {}", alert.name(), alert.entity.name());
            self.sources.insert(alert.id, (alert.labels.clone(), name));
        } else {
            self.sources.remove(&alert.id);
        }
    }

    /// Forgets beginnings that no rule counts any more.
    pub(super) fn pass(&mut self, now: Time) {
        if now.ms_since(self.pruned) < HOUR_MS {
            return;
        }
        self.pruned = now;
        self.starts.retain(|_, starts| starts.last().is_some_and(|t| now.ms_since(*t) < DAY_MS));
    }

    /// Beginnings of an alert's condition within some minutes before `now`.
    fn n_starts(&self, alert: &Alert, minutes: u32, now: Time) -> u32 {
        let since = now.plus_ms(-i64::from(minutes) * MINUTE_MS);
        let starts = self.starts.get(&alert.fingerprint);
        starts.map_or(0, |s| s.range(since..).take_while(|t| **t <= now).count() as u32)
    }

    fn inhibited(&self, config: &Config, alert: &Alert) -> Option<Suppression> {
        for rule in config.inhibit.iter().filter(|r| r.is_target(&alert.labels)) {
            let both = rule.is_source(&alert.labels);
            let found = self.sources.iter().find(|(id, (labels, _))| {
                **id != alert.id
                    && rule.is_source(labels)
                    && !(both && rule.is_target(labels))
                    && rule.are_equal(labels, &alert.labels)
            });
            if let Some((id, (_, name))) = found {
                let reason = format!(
                    "Kept quiet by the inhibition \"{}\" while {name} fires ({id}); once that \
                     ends, it is grouped like any other.",
                    rule.name
                );
                return Some(Suppression {
                    by: format!("inhibit {}", rule.name),
                    reason,
                    until: None,
                });
            }
        }
        None
    }
}

fn counts(config: &Config) -> bool {
    config.flap.episodes > 0 || !config.hold.is_empty()
}

/// How far back (ms) beginnings count for any rule.
pub(super) fn memory_ms(config: &Config) -> i64 {
    let minutes = config.hold.iter().map(|h| h.within_min).chain([config.flap.window_min]).max();
    if counts(config) { i64::from(minutes.unwrap_or(0)) * MINUTE_MS } else { 0 }
}

impl Correlator {
    /// Why an alert is grouped with nothing: it is silenced, in maintenance, or inhibited.
    pub(super) fn hushed(&self, alert: &Alert, now: Time) -> Option<Suppression> {
        if let Some(silence) = self.silences.iter().find(|s| s.covers(&alert.labels, now)) {
            let kind = if silence.maintenance { "maintenance" } else { "silence" };
            let reason = format!(
                "Kept quiet by the {kind} of {} until {} ({}); without it, it would be grouped.",
                silence.author.name,
                silence.ends_at.minute_text(),
                silence.reason
            );
            let by = format!("{kind} {}", silence.id);
            return Some(Suppression { by, reason, until: Some(silence.ends_at) });
        }
        self.quiet.inhibited(&self.config, alert)
    }

    /// Why an alert that no incident takes opens none, although it has waited for company: a rule
    /// wants it oftener or longer, it flaps, or it was learned to be harmless.
    pub(super) fn opens_nothing(
        &self,
        alert: &Alert,
        company: usize,
        now: Time,
    ) -> Option<Suppression> {
        self.wanted_more(alert, now)
            .or_else(|| self.harmless(alert, company, now))
            .or_else(|| self.flaps(alert, company, now))
    }

    fn wanted_more(&self, alert: &Alert, now: Time) -> Option<Suppression> {
        let rule = self
            .config
            .hold
            .iter()
            .find(|h| h.matchers.iter().all(|m| m.matches(&alert.labels)))?;
        let fired_ms = now.ms_since(alert.starts_at);
        let n = self.quiet.n_starts(alert, rule.within_min, now);
        let long_ms = rule.minutes.map(|m| i64::from(m) * MINUTE_MS);
        if rule.times.is_some_and(|times| n >= times) || long_ms.is_some_and(|ms| fired_ms >= ms) {
            return None;
        }
        let within = duration_text(i64::from(rule.within_min) * MINUTE_MS);
        let wants = [
            rule.times.map(|times| format!("has begun {times} times within {within} (now {n})")),
            long_ms.map(|ms| format!("has fired for {} on end", duration_text(ms))),
        ];
        let wants: Vec<String> = wants.into_iter().flatten().collect();
        let reason = format!(
            "Held by the rule \"{}\": it opens an incident once it {}, or joins one when a related \
             alert opens it.",
            rule.name,
            wants.join(", or ")
        );
        let until = long_ms.map(|ms| alert.starts_at.plus_ms(ms));
        Some(Suppression { by: format!("hold {}", rule.name), reason, until })
    }

    fn flaps(&self, alert: &Alert, company: usize, now: Time) -> Option<Suppression> {
        let flap = &self.config.flap;
        let n = self.quiet.n_starts(alert, flap.window_min, now);
        let stable_ms = i64::from(flap.stable_min) * MINUTE_MS;
        let lasting = now.ms_since(alert.starts_at) >= stable_ms;
        if flap.episodes == 0 || n < flap.episodes || lasting || company > 0 {
            return None;
        }
        let within = duration_text(i64::from(flap.window_min) * MINUTE_MS);
        let reason = format!(
            "It flaps: it has begun {n} times within {within} ({} or more count as flapping). It \
             opens an incident once it fires for {} on end, or a related alert fires.",
            flap.episodes,
            duration_text(stable_ms)
        );
        let until = Some(alert.starts_at.plus_ms(stable_ms));
        Some(Suppression { by: "flap".into(), reason, until })
    }

    /// Detection marked it by an order that came with the journal; the rule must stand still.
    fn harmless(&self, alert: &Alert, company: usize, now: Time) -> Option<Suppression> {
        let id = alert.annotations.get(HARMLESS)?.parse::<HarmlessId>().ok()?;
        let rule = self.quiet.harmless.get(&id)?;
        let until = rule.until.filter(|until| now < *until)?;
        if company > 0 {
            return None;
        }
        let by = rule.decided.as_ref().map_or("a person", |deed| deed.by.name.as_str());
        let reason = format!(
            "Kept quiet by a learned rule: {} Confirmed harmless by {by}; it holds until {} and is \
             lifted when a confirmed incident follows. It joins an incident when a related alert \
             opens one.",
            rule.title,
            until.minute_text()
        );
        Some(Suppression { by: format!("learned {id}"), reason, until: Some(until) })
    }
}
