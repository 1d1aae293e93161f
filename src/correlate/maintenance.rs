//! Maintenance windows from configuration: each is kept as a silence that says it is planned work,
//! so that `why` and the console show it like any other.

use std::collections::BTreeMap;

use jiff::civil::{Time as CivilTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Actor, Fault, Labels, Matcher, Role, Silence, SilenceId, Time};
use crate::store::{Filter, Tx};

/// How far ahead (event time, ms) windows are written, so that people see what is planned.
const AHEAD_MS: i64 = 48 * HOUR_MS;
/// Where the author of such a silence comes from.
const VIA: &str = "configuration";

/// A maintenance window: once (`starts_at`, `ends_at`) or every week (`from`, `minutes`, `days`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Its name; silences, answers and the audit log show it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Which alerts: all must match, as in Alertmanager (`service="checkout"`, `=~`, `!=`, `!~`).
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub matchers: Vec<Matcher>,
    /// Why there is this window.
    #[serde(default)]
    pub reason: String,
    /// Start of a window that comes once.
    #[serde(default)]
    pub starts_at: Option<Time>,
    /// End of a window that comes once.
    #[serde(default)]
    pub ends_at: Option<Time>,
    /// Days on which it starts: `mon` to `sun`; empty: every day.
    #[serde(default)]
    pub days: Vec<Day>,
    /// Time of day at which it starts: `02:00`.
    #[serde(default)]
    pub from: Option<String>,
    /// How long it lasts, in minutes.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_080))]
    pub minutes: Option<u32>,
    /// Time zone of `days` and `from`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    fn is(self, day: Weekday) -> bool {
        self as i8 == day.to_monday_zero_offset()
    }
}

/// What a window is, once it was found to make sense.
enum Shape {
    Once(Time, Time),
    Weekly(CivilTime, i64, TimeZone),
}

impl Maintenance {
    fn shape(&self) -> Result<Shape, (&'static str, String)> {
        if self.matchers.iter().all(|m| m.matches(&Labels::default())) {
            let text = "needs one that some alert fails, or everything would be silenced";
            return Err(("matchers", text.into()));
        }
        match (self.starts_at, self.ends_at, self.from.as_deref(), self.minutes) {
            (Some(starts), Some(ends), None, None) if self.days.is_empty() => {
                if ends <= starts {
                    return Err(("ends_at", "is not after `starts_at`".into()));
                }
                Ok(Shape::Once(starts, ends))
            }
            (None, None, Some(from), Some(minutes)) => {
                let from = from.parse().map_err(|_| {
                    ("from", format!("\"{from}\" is not a time of day such as \"02:00\""))
                })?;
                let zone = TimeZone::get(&self.time_zone).map_err(|_| {
                    ("time_zone", format!("\"{}\" is not a known time zone", self.time_zone))
                })?;
                Ok(Shape::Weekly(from, i64::from(minutes) * MINUTE_MS, zone))
            }
            _ => {
                let text = "needs either `starts_at` and `ends_at`, or `from` and `minutes`";
                Err(("", text.into()))
            }
        }
    }

    /// What is wrong with it: the setting and why.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        self.shape().err()
    }

    /// Its windows that touch the time from `since` to `until`, in order.
    fn windows(&self, since: Time, until: Time) -> Vec<(Time, Time)> {
        let mut found = Vec::new();
        match self.shape() {
            Ok(Shape::Once(starts, ends)) => found.push((starts, ends)),
            Ok(Shape::Weekly(from, length_ms, zone)) => {
                let stamp = |t: Time| Timestamp::from_millisecond(t.ms()).ok();
                let first = stamp(since.plus_ms(-length_ms)).map(|t| t.to_zoned(zone.clone()));
                let Some(mut day) = first.map(|z| z.date()) else { return found };
                // A time that a change of clocks leaves out or repeats is taken as jiff's
                // "compatible" rule says: later in a gap, the earlier of two.
                while let Ok(start) = day.to_datetime(from).to_zoned(zone.clone()) {
                    let starts = Time::from_ms(start.timestamp().as_millisecond());
                    if starts >= until {
                        break;
                    }
                    if self.days.is_empty() || self.days.iter().any(|d| d.is(day.weekday())) {
                        found.push((starts, starts.plus_ms(length_ms)));
                    }
                    let Ok(next) = day.checked_add(1.day()) else { break };
                    day = next;
                }
            }
            // Configuration was refused with such a window in it.
            Err(_) => {}
        }
        found.retain(|(starts, ends)| *starts < until && since < *ends);
        found
    }

    /// Its windows that touch the time from `since` to `until`, as the silences that are kept of them.
    pub fn silences(&self, since: Time, until: Time) -> impl Iterator<Item = Silence> {
        let reason = if self.reason.is_empty() {
            self.name.clone()
        } else {
            format!("{}: {}", self.name, self.reason)
        };
        self.windows(since, until).into_iter().map(move |(starts_at, ends_at)| Silence {
            id: SilenceId::derive(starts_at, &[VIA, &self.name]),
            matchers: self.matchers.clone(),
            starts_at,
            ends_at,
            author: Actor {
                via: VIA.into(),
                id: self.name.clone(),
                name: VIA.into(),
                role: Role::Viewer,
            },
            reason: reason.clone(),
            maintenance: true,
        })
    }
}

/// Writes the windows of the next two days, and ends those that are no longer configured; gives
/// the silences that changed. A window that somebody ended by hand stays ended.
///
/// # Errors
/// The database failed.
pub fn plan(tx: &Tx<'_>, windows: &[Maintenance], now: Time) -> Result<Vec<SilenceId>, Fault> {
    let ahead = now.plus_ms(AHEAD_MS);
    let wanted: BTreeMap<SilenceId, Silence> =
        windows.iter().flat_map(|w| w.silences(now, ahead)).map(|s| (s.id, s)).collect();
    let mut changed = Vec::new();
    for mut old in tx.list::<Silence>(&Filter::all())? {
        if old.author.via == VIA && old.ends_at > now && !wanted.contains_key(&old.id) {
            old.ends_at = now;
            tx.put(&old)?;
            let detail = json!({ "why": "it is no longer configured" });
            tx.audit(now, &old.author, "silence.end", &old.id.to_string(), &detail)?;
            changed.push(old.id);
        }
    }
    for silence in wanted.values() {
        match tx.get::<Silence>(silence.id)? {
            Some(old) if old.matchers == silence.matchers => {}
            Some(old) => tx.put(&Silence { ends_at: old.ends_at, ..silence.clone() })?,
            None => {
                tx.put(silence)?;
                let detail = json!({
                    "matchers": silence.matchers, "until": silence.ends_at,
                    "reason": silence.reason,
                });
                let subject = silence.id.to_string();
                tx.audit(now, &silence.author, "silence.create", &subject, &detail)?;
                changed.push(silence.id);
            }
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn window(text: &str) -> Maintenance {
        toml::from_str(text).expect("a window")
    }

    fn at(text: &str) -> Time {
        Time::parse(text).expect("a time")
    }

    #[test]
    fn weekly_windows_follow_the_clocks_of_their_zone() {
        let w = window(
            "name = 'backup'\nmatchers = ['service=\"orders-db\"']\ndays = ['sat', 'sun']\n\
             from = '01:30'\nminutes = 60\ntime_zone = 'Europe/Zurich'",
        );
        // On 25 October 2026 clocks go from 03:00 CEST back to 02:00 CET.
        let found = w.windows(at("2026-10-24T00:00:00Z"), at("2026-11-01T02:00:00Z"));
        let found: Vec<String> =
            found.iter().map(|(s, e)| format!("{} {}", s.minute_text(), e.minute_text())).collect();
        insta::assert_snapshot!(found.join("\n"), @r"
2026-10-23 23:30 UTC 2026-10-24 00:30 UTC
2026-10-24 23:30 UTC 2026-10-25 00:30 UTC
2026-10-31 00:30 UTC 2026-10-31 01:30 UTC
2026-11-01 00:30 UTC 2026-11-01 01:30 UTC
");
    }

    #[tokio::test]
    async fn windows_are_kept_as_silences_and_withdrawn_with_the_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("s.sqlite")).expect("a store");
        let once = window(
            "name = 'move'\nmatchers = ['service=~\"cart|users\"']\n\
             starts_at = '2026-11-02T10:00:00Z'\nends_at = '2026-11-02T12:00:00Z'",
        );
        let now = at("2026-11-02T09:00:00Z");
        let windows = [once];
        let planned = store.write({
            let windows = windows.clone();
            move |tx| plan(tx, &windows, now)
        });
        assert_eq!(planned.await.expect("written").len(), 1);
        let again = store.write(move |tx| plan(tx, &windows, now.plus_ms(MINUTE_MS)));
        assert!(again.await.expect("written").is_empty(), "nothing is written twice");
        let kept = store.read(|r| r.list::<Silence>(&Filter::all())).await.expect("read");
        let labels = Labels::default().with("service", "cart");
        assert!(kept[0].maintenance && kept[0].covers(&labels, now.plus_ms(HOUR_MS)));
        let later = now.plus_ms(2 * MINUTE_MS);
        let withdrawn = store.write(move |tx| plan(tx, &[], later)).await.expect("written");
        assert_eq!(withdrawn, [kept[0].id]);
        let kept = store.read(|r| r.list::<Silence>(&Filter::all())).await.expect("read");
        assert_eq!(kept[0].ends_at, later);
    }

    #[test]
    fn a_window_that_makes_no_sense_says_why() {
        let mistakes = [
            "from = '25:00'\nminutes = 5",
            "from = '02:00'",
            "from = '02:00'\nminutes = 5\ntime_zone = 'Mars/Base'",
            "starts_at = '2026-11-02T10:00:00Z'\nends_at = '2026-11-02T10:00:00Z'",
        ];
        for text in mistakes {
            let w = window(&format!("name = 'x'\nmatchers = ['a=\"b\"']\n{text}"));
            assert!(w.mistake().is_some(), "{text}");
        }
        let all = window("name = 'x'\nmatchers = ['a=~\".*\"']\nfrom = '02:00'\nminutes = 5");
        assert_eq!(all.mistake().map(|m| m.0), Some("matchers"));
    }
}
