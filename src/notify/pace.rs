//! When people are told: quiet hours, and how many incidents an hour. Pure.
//!
//! An incident that has been told goes on being told; only its first message waits. The console
//! wakes nobody and never waits. What waits is written on the incident, in its timeline and in the
//! audit log, and is told once the hours are over, its priority grows, or the rate allows.

use jiff::civil::{Date, Time as CivilTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::alert::Suppression;
use crate::model::priority::Attention;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Day, Incident, Severity, Time};

/// When people are told of new incidents in chats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// New incidents an hour and platform beyond which further ones wait; 0: no limit.
    pub per_hour: u32,
    /// How many more an hour may come that are critical or a page: their own lane. At least 1 wherever
    /// there is a limit.
    pub reserved_per_hour: u32,
    /// Hours in which tickets wait that are not critical.
    pub quiet: Vec<QuietHours>,
}

/// Hours in which people are told only of what can't wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// Their name; reasons show it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// When they begin: `22:00`.
    pub from: String,
    /// When they end, also on the next day: `07:00`.
    pub until: String,
    /// Days on which they begin: `mon` to `sun`; empty: every day.
    #[serde(default)]
    pub days: Vec<Day>,
    /// Time zone of `from`, `until` and `days`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Least severity of a page that is told all the same. Tickets wait unless they are critical: a
    /// critical incident is told at any hour.
    #[serde(default = "any")]
    pub severity: Severity,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn any() -> Severity {
    Severity::Info
}

impl QuietHours {
    fn times(&self) -> Result<(CivilTime, CivilTime, TimeZone), (&'static str, String)> {
        let time = |key, text: &str| {
            text.parse::<CivilTime>()
                .map_err(|_| (key, format!("\"{text}\" is not a time of day such as \"22:00\"")))
        };
        let (from, until) = (time("from", &self.from)?, time("until", &self.until)?);
        if from == until {
            return Err(("until", "is the same as `from`".into()));
        }
        let zone = TimeZone::get(&self.time_zone).map_err(|_| {
            ("time_zone", format!("\"{}\" is not a known time zone", self.time_zone))
        })?;
        Ok((from, until, zone))
    }

    /// What is wrong with them: the setting and why.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        self.times().err()
    }

    /// When they end, if they run at `now`.
    fn running_until(&self, now: Time) -> Option<Time> {
        let (from, until, zone) = self.times().ok()?;
        let here = Timestamp::from_millisecond(now.ms()).ok()?.to_zoned(zone.clone());
        let stamp = |day: Date, at: CivilTime| {
            let zoned = day.to_datetime(at).to_zoned(zone.clone()).ok()?;
            Some(Time::from_ms(zoned.timestamp().as_millisecond()))
        };
        // Those that began yesterday may run still.
        for back in [0, 1] {
            let day = here.date().checked_sub(back.days()).ok()?;
            if !self.days.is_empty() && !self.days.iter().any(|d| d.is(day.weekday())) {
                continue;
            }
            let last = if until > from { day } else { day.checked_add(1.day()).ok()? };
            let (begins, ends) = (stamp(day, from)?, stamp(last, until)?);
            if begins <= now && now < ends {
                return Some(ends);
            }
        }
        None
    }
}

/// Whether an incident is to be told at any hour.
fn pages(incident: &Incident) -> bool {
    match &incident.priority {
        Some(priority) => priority.attention == Attention::Page,
        // A person opened it, or it is from before there were priorities.
        None => incident.severity == Severity::Critical || incident.declared_by.is_some(),
    }
}

/// Why the first message of an incident waits, if it does; `n_told` were told on the platform within
/// the last hour.
pub(super) fn waits(
    pace: &Pace,
    incident: &Incident,
    n_told: u32,
    now: Time,
) -> Option<Suppression> {
    let pages = pages(incident);
    // It is a ticket only because no user is known to reach it, and that may be wrong.
    let critical = incident.severity == Severity::Critical;
    for hours in &pace.quiet {
        let Some(until) = hours.running_until(now) else { continue };
        if critical || pages && incident.severity >= hours.severity {
            continue;
        }
        let what = if pages { "less severe than these hours let through" } else { "a ticket" };
        let reason = format!(
            "Not told in chats until {}: it is {what}, and the quiet hours \"{}\" run. It is told \
             at once if it becomes {}.",
            until.minute_text(),
            hours.name,
            if pages { "more severe" } else { "a page or critical" }
        );
        let by = format!("quiet-hours {}", hours.name);
        return Some(Suppression { by, reason, until: Some(until) });
    }
    let lane = if pages || critical { pace.reserved_per_hour } else { 0 };
    let most = pace.per_hour.saturating_add(lane);
    if pace.per_hour == 0 || n_told < most {
        return None;
    }
    let reason = format!(
        "Not told in chats yet: {} new incidents were told within the last hour, and {most} are the \
         most for one like it ({} for any, {} more reserved for pages and critical ones). It is \
         told as soon as the rate allows.",
        n_told, pace.per_hour, pace.reserved_per_hour
    );
    Some(Suppression { by: "rate-limit".into(), reason, until: Some(now.plus_ms(MINUTE_MS)) })
}

/// How far back (ms) what was told counts.
pub(super) const WINDOW_MS: i64 = HOUR_MS;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Priority;

    fn at(text: &str) -> Time {
        Time::parse(text).expect("a time")
    }

    fn incident(severity: Severity, attention: Attention) -> Incident {
        let priority = Priority { attention, level: 2, points: 4, page_from: 4, parts: Vec::new() };
        let open = crate::model::IncidentState::Open;
        let sample = crate::approve::tests::sample::incident_as(None, open);
        Incident { severity, priority: Some(priority), ..sample }
    }

    fn pace(text: &str) -> Pace {
        toml::from_str(text).expect("settings")
    }

    const NIGHT: &str = r#"
        [[quiet]]
        name = "night"
        from = "22:00"
        until = "07:00"
        days = ["fri"]
        time_zone = "Europe/Zurich"
        severity = "critical"
    "#;

    #[test]
    fn a_ticket_waits_for_the_morning_and_a_page_by_its_severity() {
        let pace = pace(NIGHT);
        let ticket = incident(Severity::Warning, Attention::Ticket);
        // A Friday, 21:30 UTC is 22:30 in Zurich; the hours end on Saturday at 06:00 UTC.
        for now in ["2026-11-20T21:30:00Z", "2026-11-21T05:59:00Z"] {
            let why = waits(&pace, &ticket, 0, at(now)).expect("it waits");
            assert_eq!(
                (why.by.as_str(), why.until),
                ("quiet-hours night", Some(at("2026-11-21T06:00:00Z")))
            );
            assert!(why.reason.contains("it is a ticket, and the quiet hours \"night\" run"));
        }
        for now in ["2026-11-20T20:59:00Z", "2026-11-21T06:00:00Z", "2026-11-21T21:30:00Z"] {
            assert_eq!(waits(&pace, &ticket, 0, at(now)), None, "{now}");
        }
        let night = at("2026-11-20T23:00:00Z");
        let page = |severity| waits(&pace, &incident(severity, Attention::Page), 0, night);
        assert_eq!(page(Severity::Critical), None);
        let why = page(Severity::Warning).expect("it waits").reason;
        assert_eq!(
            why,
            "Not told in chats until 2026-11-21 06:00 UTC: it is less severe than these hours let \
             through, and the quiet hours \"night\" run. It is told at once if it becomes more severe."
        );
    }

    #[test]
    fn a_critical_incident_never_waits_for_the_morning() {
        let night = at("2026-11-20T23:00:00Z");
        for hours in [NIGHT.to_owned(), NIGHT.replace("severity = \"critical\"", "")] {
            let pace = pace(&hours);
            let held = |severity, attention| {
                waits(&pace, &incident(severity, attention), 0, night).is_some()
            };
            assert!(!held(Severity::Critical, Attention::Ticket), "no user is known to feel it");
            assert!(!held(Severity::Critical, Attention::Page));
            assert!(held(Severity::Warning, Attention::Ticket));
            assert!(held(Severity::Info, Attention::Ticket));
        }
    }

    #[test]
    fn beyond_the_rate_an_incident_waits_and_pages_have_a_lane() {
        let pace = pace("per_hour = 3\nreserved_per_hour = 2");
        let now = at("2026-11-20T12:00:00Z");
        let waits = |attention, n| waits(&pace, &incident(Severity::Warning, attention), n, now);
        assert_eq!(waits(Attention::Ticket, 2), None);
        let why = waits(Attention::Ticket, 3).expect("it waits");
        assert!(why.reason.contains("3 new incidents were told within the last hour, and 3 are"));
        assert_eq!(waits(Attention::Page, 4), None, "its own lane");
        assert!(waits(Attention::Page, 5).is_some());
        assert_eq!(
            super::waits(&Pace::default(), &incident(Severity::Info, Attention::Ticket), 999, now),
            None
        );
    }

    #[test]
    fn hours_that_make_no_sense_are_refused() {
        let wrong = |from: &str, to: &str| {
            let text = NIGHT.replace(from, to);
            pace(&text).quiet[0].mistake().expect("wrong").0
        };
        assert_eq!(wrong("\"22:00\"", "\"25:00\""), "from");
        assert_eq!(wrong("\"22:00\"", "\"07:00\""), "until");
        assert_eq!(wrong("Europe/Zurich", "Europe/Nowhere"), "time_zone");
    }
}
