//! Objectives as they are configured: what is good, how much of it is promised, over which window.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{EntityRef, Matcher, Time};

/// Longest rolling window in days: hourly sums are kept for it.
pub(super) const LONGEST_DAYS: u32 = 31;

/// A service level objective. Give one of: `errors`; `total` with `good` or `bad`; `latency` with
/// `threshold`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Its name; alerts, the console and metrics show it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The service that promises it; its alerts are about it.
    #[schemars(length(min = 1))]
    pub service: String,
    /// What it means to users.
    #[serde(default)]
    pub description: String,
    /// Share of events (or of time) that must be good, in percent: `99.9`.
    #[schemars(range(min = 1.0, max = 99.9999))]
    pub objective: f64,
    /// Over which time: `30d` (rolling days, at most 31), or `week`, `month` (calendar, UTC).
    #[serde(default)]
    #[schemars(with = "String")]
    pub window: Window,
    /// Series of the share of events that failed, 0 to 1; weighted by `total` where that is given,
    /// else by time.
    #[serde(default)]
    pub errors: Option<Selector>,
    /// Series of good events a second; needs `total`.
    #[serde(default)]
    pub good: Option<Selector>,
    /// Series of bad events a second; needs `total`. A missing series counts as no bad event.
    #[serde(default)]
    pub bad: Option<Selector>,
    /// Series of all events a second.
    #[serde(default)]
    pub total: Option<Selector>,
    /// Series of which a value above `threshold` is bad; weighted by `total` where that is given,
    /// else by time.
    #[serde(default)]
    pub latency: Option<Selector>,
    /// The highest good value of `latency`, in the unit of its series.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// Bad events in the long window below which no alert is made: a service with little traffic
    /// must not wake anybody for one lost request. Counts only where events are counted.
    #[serde(default = "least_bad")]
    pub least_bad: u32,
    /// Labels that its alerts carry, such as `team = "payments"`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn least_bad() -> u32 {
    5
}

/// Which series are meant. All that fit are added up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// The metric as nightjar names it: `http.server.request.error_ratio`.
    #[schemars(length(min = 1))]
    pub metric: String,
    /// What they are about where that is not the service itself: `host.name=edge-1`.
    #[serde(default)]
    pub entity: Option<EntityRef>,
    /// All must match the series' labels, as in Alertmanager: `route="/pay"`, `=~`, `!=`, `!~`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub matchers: Vec<Matcher>,
}

impl Selector {
    /// A metric of the objective's own service.
    #[must_use]
    pub fn of(metric: &str) -> Self {
        Self { metric: metric.into(), entity: None, matchers: Vec::new() }
    }
}

/// The time that an objective is kept or broken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Window {
    /// The last so many days.
    Rolling {
        /// 1 to 31.
        days: u32,
    },
    /// From Monday, UTC.
    Week,
    /// From the first of the month, UTC.
    Month,
}

impl Default for Window {
    fn default() -> Self {
        Self::Rolling { days: 30 }
    }
}

impl FromStr for Window {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a window; write 1d to {LONGEST_DAYS}d (rolling), \"week\" or \
                 \"month\" (calendar)"
            )
        };
        match text {
            "week" => return Ok(Self::Week),
            "month" => return Ok(Self::Month),
            _ => {}
        }
        let days = text.strip_suffix('d').and_then(|n| n.parse::<u32>().ok());
        let days = days.or_else(|| {
            let weeks = text.strip_suffix('w').and_then(|n| n.parse::<u32>().ok())?;
            weeks.checked_mul(7)
        });
        match days {
            Some(days) if (1..=LONGEST_DAYS).contains(&days) => Ok(Self::Rolling { days }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling { days } => write!(f, "{days}d"),
            Self::Week => f.write_str("week"),
            Self::Month => f.write_str("month"),
        }
    }
}

impl TryFrom<String> for Window {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

impl Window {
    /// From when to when it lies around `now`: a rolling one ends now, a calendar one ends with
    /// the week or month.
    #[must_use]
    pub fn around(self, now: Time) -> (Time, Time) {
        if let Self::Rolling { days } = self {
            return (now.plus_ms(-i64::from(days) * DAY_MS), now);
        }
        let today = Timestamp::from_millisecond(now.ms())
            .map_or(Date::default(), |t| t.to_zoned(TimeZone::UTC).date());
        let (from, span) = if self == Self::Month {
            (today.first_of_month(), 1.month())
        } else {
            let past = i64::from(today.weekday().to_monday_zero_offset());
            (today.checked_sub(past.days()).unwrap_or(today), 7.days())
        };
        let time = |date: Date| {
            let zoned = date.to_zoned(TimeZone::UTC).ok();
            zoned.map_or(now, |z| Time::from_ms(z.timestamp().as_millisecond()))
        };
        (time(from), time(from.checked_add(span).unwrap_or(from)))
    }

    /// Its nominal length in hours; a month counts 30 days, as the burn rates of alerts do.
    #[must_use]
    pub fn hours(self) -> f64 {
        let days = match self {
            Self::Rolling { days } => days,
            Self::Week => 7,
            Self::Month => 30,
        };
        (i64::from(days) * DAY_MS / HOUR_MS) as f64
    }
}

impl Objective {
    /// What its alerts are about.
    #[must_use]
    pub fn entity(&self) -> EntityRef {
        EntityRef::service(self.service.as_str())
    }

    /// The share of events that may be bad, 0 to 1.
    #[must_use]
    pub fn budget(&self) -> f64 {
        1.0 - self.objective / 100.0
    }

    /// What is wrong with it beyond what its types say: the setting and why.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let sources = [&self.errors, &self.good, &self.bad, &self.latency];
        let n = sources.iter().filter(|s| s.is_some()).count();
        if n != 1 {
            let text = "give one of errors, good, bad and latency (good and bad with total)";
            return Some(("", text.into()));
        }
        if (self.good.is_some() || self.bad.is_some()) && self.total.is_none() {
            return Some(("total", "is missing; good or bad events are a share of it".into()));
        }
        if self.latency.is_some() && !self.threshold.is_some_and(f64::is_finite) {
            return Some(("threshold", "is missing; a latency above it is bad".into()));
        }
        if self.latency.is_none() && self.threshold.is_some() {
            return Some(("threshold", "belongs to latency, which is not given".into()));
        }
        if !(self.objective > 0.0 && self.objective < 100.0) {
            let text = "must lie between 0 and 100: 100 leaves no budget that could burn";
            return Some(("objective", text.into()));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_and_written_and_lie_around_a_time() {
        for (text, from, until) in [
            ("30d", "2026-10-22T10:30:00Z", "2026-11-21T10:30:00Z"),
            ("week", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("month", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ] {
            let window: Window = text.parse().expect("valid");
            assert_eq!(window.to_string(), text);
            let at = |t| Time::parse(t).expect("valid");
            assert_eq!(window.around(at("2026-11-21T10:30:00Z")), (at(from), at(until)));
        }
        assert_eq!("4w".parse(), Ok(Window::Rolling { days: 28 }));
        for wrong in ["", "0d", "32d", "1y", "d", "-1d", "99999999999w"] {
            let text = wrong.parse::<Window>().expect_err("not a window");
            assert!(text.contains("is not a window"), "{text}");
        }
    }
}
