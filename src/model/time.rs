//! Event time: milliseconds since the Unix epoch, UTC, always passed in and never read here.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One second in milliseconds.
pub const SECOND_MS: i64 = 1_000;
/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A point in time, in milliseconds since the Unix epoch (UTC).
///
/// Serialised as RFC 3339 text with milliseconds; read from that or from an integer count of
/// milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The earliest time that is used as "no bound".
    pub const MIN: Self = Self(0);
    /// 2200-01-01, later than any time that is accepted from outside.
    pub const MAX: Self = Self(7_258_118_400_000);

    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// From nanoseconds since the Unix epoch (the unit of OTLP), truncated.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self((nanos / 1_000_000) as i64)
    }

    /// From seconds since the Unix epoch with a fraction (the unit of Prometheus). NaN and
    /// values outside `MIN..=MAX` give `None`.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let ms = seconds * 1_000.0;
        (0.0..=7_258_118_400_000.0).contains(&ms).then_some(Self(ms.round() as i64))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch with a fraction.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// This time moved by `ms` milliseconds (negative: earlier); saturates.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This time moved later by a duration; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        self.plus_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }

    /// This time moved earlier by a duration; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        self.plus_ms(-i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }

    /// Milliseconds from `earlier` to this time; negative when `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The start of the step (in milliseconds, > 0) that this time falls into.
    #[must_use]
    pub const fn floor_to(self, step_ms: i64) -> Self {
        Self(self.0 - self.0.rem_euclid(step_ms))
    }

    /// Hour of the week in UTC: 0 is Monday 00:00, 167 is Sunday 23:00.
    #[must_use]
    pub const fn hour_of_week(self) -> usize {
        // 1970-01-01 was a Thursday, day 3 of a week that starts on Monday.
        (self.0.div_euclid(HOUR_MS) + 3 * 24).rem_euclid(168) as usize
    }

    /// `HH:MM:SS` in UTC.
    #[must_use]
    pub fn clock_text(self) -> String {
        let s = self.0.div_euclid(SECOND_MS).rem_euclid(86_400);
        format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
    }

    /// `HH:MM:SS` in UTC, and `MM-DD HH:MM` for what lies half a day or more from `near`, which a clock
    /// time alone would leave to guess.
    #[must_use]
    pub fn clock_near(self, near: Self) -> String {
        if self.ms_since(near).abs() < 12 * HOUR_MS {
            return self.clock_text();
        }
        let text = self.to_string();
        format!("{} {}", &text[5..10], &text[11..16])
    }

    /// `YYYY-MM-DD HH:MM UTC`.
    #[must_use]
    pub fn minute_text(self) -> String {
        let text = self.to_string();
        format!("{} {} UTC", &text[..10], &text[11..16])
    }

    /// Parses RFC 3339.
    ///
    /// # Errors
    /// Text that is not RFC 3339, with the parser's reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_millisecond()))
            .map_err(|e| format!("not an RFC 3339 time: {e}"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clamped = self.0.clamp(Self::MIN.0, Self::MAX.0);
        let stamp = jiff::Timestamp::from_millisecond(clamped).expect("clamped into jiff's range");
        write!(f, "{stamp:.3}")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time or milliseconds since the Unix epoch")
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Time, E> {
                Ok(Time(v))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Time, E> {
                i64::try_from(v).map(Time).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Time, E> {
                Time::parse(v).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl utoipa::ToSchema for Time {}
impl utoipa::PartialSchema for Time {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .into()
    }
}

/// A length of time in words as people say it: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.
#[must_use]
pub fn duration_text(ms: i64) -> String {
    // Rounded, so that it agrees with the two clock times it stands beside.
    let s = ms.saturating_abs().saturating_add(SECOND_MS / 2) / SECOND_MS;
    match s {
        0..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_of_week_starts_on_monday() {
        let monday = Time::parse("2026-11-23T00:30:00Z").expect("valid");
        assert_eq!(monday.hour_of_week(), 0);
        assert_eq!(monday.plus_ms(-HOUR_MS).hour_of_week(), 167);
    }

    #[test]
    fn json_is_rfc3339_and_both_forms_are_read() {
        let t = Time::from_ms(1_700_000_000_123);
        let text = serde_json::to_string(&t).expect("serialises");
        assert_eq!(text, "\"2023-11-14T22:13:20.123Z\"");
        assert_eq!(serde_json::from_str::<Time>(&text).expect("reads"), t);
        assert_eq!(serde_json::from_str::<Time>("1700000000123").expect("reads"), t);
        let packed = rmp_serde::to_vec_named(&t).expect("packs");
        assert_eq!(rmp_serde::from_slice::<Time>(&packed).expect("unpacks"), t);
    }

    #[test]
    fn seconds_reject_what_is_no_time() {
        assert_eq!(Time::from_seconds(f64::NAN), None);
        assert_eq!(Time::from_seconds(-1.0), None);
        assert_eq!(Time::from_seconds(1.5), Some(Time::from_ms(1_500)));
    }

    #[test]
    fn a_clock_of_another_day_has_its_date() {
        let opened = Time::parse("2026-11-23T00:30:00Z").expect("valid");
        assert_eq!(opened.plus_ms(-HOUR_MS).clock_near(opened), "23:30:00");
        assert_eq!(opened.plus_ms(-12 * HOUR_MS).clock_near(opened), "11-22 12:30");
        assert_eq!(opened.plus_ms(36 * HOUR_MS).clock_near(opened), "11-24 12:30");
    }

    #[test]
    fn lengths_are_rounded_to_seconds_and_said_in_what_people_count_in() {
        let said = |ms| duration_text(ms);
        assert_eq!(said(44_818), "45 s", "10:02:30.182 to 10:03:15");
        assert_eq!(said(-44_400), "44 s");
        assert_eq!(said(119_600), "2 min");
        assert_eq!(said(12_000_000), "3 h 20 min");
        assert_eq!(said(187_200_000), "2 d 4 h");
        assert_eq!(said(i64::MIN), "106751991167 d 7 h");
    }
}
