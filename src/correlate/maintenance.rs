//! Maintenance windows from configuration: each is kept as a silence that says it is planned work,
//! so that `why` and the console show it like any other.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time as CivilTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Actor, Day, Fault, Labels, Matcher, Role, Silence, SilenceId, Time};
use crate::store::{Filter, Tx};

/// How far ahead (event time, ms) windows are written, so that people see what is planned.
const AHEAD_MS: i64 = 48 * HOUR_MS;
/// Where the author of such a silence comes from.
const VIA: &str = "configuration";

/// A maintenance window: once (`starts_at`, `ends_at`), or again and again (`from`, `minutes`) on days
/// of the week, of the month, or both.
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
    /// Days of the month on which it starts: 1 to 31, or counted from its end: -1 is the last; empty:
    /// any.
    #[serde(default)]
    #[schemars(inner(range(min = -31, max = 31)))]
    pub month_days: Vec<i8>,
    /// With `days`: only the first, second … of its kind in the month, or counted from its end: -1
    /// is the last; empty: all.
    #[serde(default)]
    #[schemars(inner(range(min = -5, max = 5)))]
    pub weeks: Vec<i8>,
    /// Dates on which it does not start: `2026-12-25`.
    #[serde(default)]
    pub except: Vec<String>,
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

/// What a window is, once it was found to make sense.
enum Shape {
    Once(Time, Time),
    Recurring(CivilTime, i64, TimeZone),
}

impl Maintenance {
    fn shape(&self) -> Result<Shape, (&'static str, String)> {
        if self.matchers.iter().all(|m| m.matches(&Labels::default())) {
            let text = "needs one that some alert fails, or everything would be silenced";
            return Err(("matchers", text.into()));
        }
        match (self.starts_at, self.ends_at, self.from.as_deref(), self.minutes) {
            (Some(starts), Some(ends), None, None) if !self.recurs() => {
                if ends <= starts {
                    return Err(("ends_at", "is not after `starts_at`".into()));
                }
                Ok(Shape::Once(starts, ends))
            }
            (None, None, Some(from), Some(minutes)) => {
                self.calendar()?;
                let from = from.parse().map_err(|_| {
                    ("from", format!("\"{from}\" is not a time of day such as \"02:00\""))
                })?;
                let zone = TimeZone::get(&self.time_zone).map_err(|_| {
                    ("time_zone", format!("\"{}\" is not a known time zone", self.time_zone))
                })?;
                Ok(Shape::Recurring(from, i64::from(minutes) * MINUTE_MS, zone))
            }
            _ => {
                let text = "needs either `starts_at` and `ends_at`, or `from` and `minutes`";
                Err(("", text.into()))
            }
        }
    }

    fn recurs(&self) -> bool {
        let numbers = [&self.month_days, &self.weeks].into_iter().any(|n| !n.is_empty());
        numbers || !self.days.is_empty() || !self.except.is_empty()
    }

    /// Whether its days make sense.
    fn calendar(&self) -> Result<(), (&'static str, String)> {
        if self.month_days.contains(&0) {
            return Err(("month_days", "has no day 0; the first is 1, the last -1".into()));
        }
        if self.weeks.contains(&0) {
            return Err(("weeks", "has no week 0; the first is 1, the last -1".into()));
        }
        if !self.weeks.is_empty() && self.days.is_empty() {
            return Err(("weeks", "needs `days`, of which it names the first, second …".into()));
        }
        match self.except.iter().find(|date| date.parse::<Date>().is_err()) {
            Some(date) => Err(("except", format!("\"{date}\" is no date; write it as 2026-12-25"))),
            None => Ok(()),
        }
    }

    /// Whether it starts on a day.
    fn starts_on(&self, day: Date) -> bool {
        let last = day.days_in_month();
        let any = |wanted: &[i8], forth: i8, back: i8| {
            wanted.is_empty() || wanted.iter().any(|w| *w == forth || *w == -back)
        };
        // The n-th Tuesday is the one among days 7(n - 1) + 1 to 7n.
        let (nth, nth_last) = ((day.day() - 1) / 7 + 1, (last - day.day()) / 7 + 1);
        (self.days.is_empty() || self.days.iter().any(|d| d.is(day.weekday())))
            && any(&self.month_days, day.day(), last - day.day() + 1)
            && any(&self.weeks, nth, nth_last)
            && !self.except.iter().any(|date| date.parse::<Date>().is_ok_and(|d| d == day))
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
            Ok(Shape::Recurring(from, length_ms, zone)) => {
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
                    if self.starts_on(day) {
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
/// the silences that changed. What was changed in the configuration is taken over while a window is
/// not over; one that somebody ended by hand stays ended.
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
            Some(old) if old.ends_at <= now || old == *silence => {}
            Some(old) => {
                tx.put(silence)?;
                let detail = json!({
                    "matchers": silence.matchers, "until": silence.ends_at,
                    "reason": silence.reason, "until_before": old.ends_at,
                    "reason_before": old.reason, "why": "its configuration changed",
                });
                let subject = silence.id.to_string();
                tx.audit(now, &silence.author, "silence.change", &subject, &detail)?;
                changed.push(silence.id);
            }
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

    #[test]
    fn windows_follow_the_calendar() {
        let days = |settings: &str| -> Vec<String> {
            let w = window(&format!(
                "name = 'x'\nmatchers = ['service=\"a\"']\nfrom = '02:00'\nminutes = 30\n{settings}"
            ));
            assert_eq!(w.mistake(), None, "{settings}");
            let found = w.windows(at("2026-11-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
            found.iter().map(|(s, _)| s.minute_text()[5..10].to_owned()).collect()
        };
        let patch_tuesday = days("days = ['tue']\nweeks = [2, -1]");
        assert_eq!(patch_tuesday, ["11-10", "11-24", "12-08", "12-29"]);
        let ends = days("month_days = [1, -1]");
        assert_eq!(ends, ["11-01", "11-30", "12-01", "12-31"]);
        let working = days("days = ['thu', 'fri']\nmonth_days = [24, 25]\nexcept = ['2026-12-25']");
        assert_eq!(working, ["12-24"]);
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

    #[tokio::test]
    async fn a_changed_window_is_taken_over_unless_somebody_ended_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("s.sqlite")).expect("a store");
        let nightly = |minutes: u32, reason: &str| {
            window(&format!(
                "name = 'backup'\nmatchers = ['service=\"a\"']\nfrom = '10:00'\n\
                 minutes = {minutes}\nreason = '{reason}'\ndays = ['mon']"
            ))
        };
        let at_work = async |now: Time, window: Maintenance| {
            let done = store.write(move |tx| plan(tx, &[window], now)).await.expect("written");
            let kept = store.read(|r| r.list::<Silence>(&Filter::all())).await.expect("read");
            let [kept]: [Silence; 1] = kept.try_into().expect("one window");
            (done.len(), kept.ends_at, kept.reason)
        };
        // A Monday.
        let now = at("2026-11-02T09:00:00Z");
        let (eleven, noon) = (at("2026-11-02T11:00:00Z"), at("2026-11-02T12:00:00Z"));
        let first = at_work(now, nightly(60, "disk")).await;
        assert_eq!(first, (1, eleven, "backup: disk".to_owned()));
        let longer = at_work(now, nightly(120, "new disk")).await;
        assert_eq!(longer, (1, noon, "backup: new disk".to_owned()));
        let running = at("2026-11-02T10:30:00Z");
        assert_eq!(at_work(running, nightly(120, "new disk")).await, (0, noon, longer.2.clone()));
        assert_eq!(at_work(running, nightly(60, "new disk")).await, (1, eleven, longer.2.clone()));
        let by_hand = store.write(move |tx| {
            let mut kept = tx.list::<Silence>(&Filter::all())?.remove(0);
            kept.ends_at = running;
            tx.put(&kept)
        });
        by_hand.await.expect("written");
        let later = running.plus_ms(MINUTE_MS);
        assert_eq!(at_work(later, nightly(120, "more")).await, (0, running, longer.2));
    }

    #[test]
    fn a_window_that_makes_no_sense_says_why() {
        let mistakes = [
            "from = '25:00'\nminutes = 5",
            "from = '02:00'",
            "from = '02:00'\nminutes = 5\ntime_zone = 'Mars/Base'",
            "starts_at = '2026-11-02T10:00:00Z'\nends_at = '2026-11-02T10:00:00Z'",
            "from = '02:00'\nminutes = 5\nmonth_days = [0]",
            "from = '02:00'\nminutes = 5\nweeks = [1]",
            "from = '02:00'\nminutes = 5\nexcept = ['25 December']",
        ];
        for text in mistakes {
            let w = window(&format!("name = 'x'\nmatchers = ['a=\"b\"']\n{text}"));
            assert!(w.mistake().is_some(), "{text}");
        }
        let all = window("name = 'x'\nmatchers = ['a=~\".*\"']\nfrom = '02:00'\nminutes = 5");
        assert_eq!(all.mistake().map(|m| m.0), Some("matchers"));
    }
}
