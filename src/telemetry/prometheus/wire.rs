//! Prometheus' HTTP API as it stands on the wire: answers, rows, samples.
//!
//! Shapes: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::model::{Labels, Point, Time};

/// The envelope of every answer.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<T> {
    pub(super) status: String,
    pub(super) data: Option<T>,
    #[serde(rename = "errorType", default)]
    pub(super) error_type: String,
    #[serde(default)]
    pub(super) error: String,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
}

/// The result of a query, by its type.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(super) enum QueryData {
    /// One value a series.
    Vector(Vec<InstantRow>),
    /// Many values a series.
    Matrix(Vec<RangeRow>),
    /// One number.
    Scalar(Sample),
    /// One text.
    String(de::IgnoredAny),
}

/// A row of an instant vector. Native histograms have no `value` and are left out.
#[derive(Debug, Deserialize)]
pub(super) struct InstantRow {
    pub(super) metric: Labels,
    pub(super) value: Option<Sample>,
}

/// A row of a range matrix, as it came.
#[derive(Debug, Deserialize)]
pub struct RangeRow {
    /// The labels of the row.
    pub metric: Labels,
    /// Its values, in the order in which they came.
    #[serde(default)]
    pub values: Vec<Sample>,
}

/// `[seconds, "value"]`. Times outside the accepted range are `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Option<Time>,
    /// How much; may be NaN or infinite.
    pub value: f64,
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Sample;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pair of seconds and a number as text")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sample, A::Error> {
                let seconds: f64 =
                    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let Number(value) =
                    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
                Ok(Sample { at: Time::from_seconds(seconds), value })
            }
        }
        deserializer.deserialize_seq(Pair)
    }
}

/// A number as text, which Go writes as `NaN`, `+Inf` and `-Inf` where JSON has no word for it.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number as text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse()
                    .map(Number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// What was left out of a row, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// NaN, infinite, or at no acceptable time.
    pub n_not_finite: u64,
    /// A second value for the same time; the newest one counts.
    pub n_duplicate: u64,
    /// Came out of order, and was put in order.
    pub n_disordered: u64,
}

impl std::ops::AddAssign for Dropped {
    fn add_assign(&mut self, other: Self) {
        self.n_not_finite += other.n_not_finite;
        self.n_duplicate += other.n_duplicate;
        self.n_disordered += other.n_disordered;
    }
}

/// The finite points of a row in order of time, one for each time.
#[must_use]
pub fn points(values: &[Sample]) -> (Vec<Point>, Dropped) {
    let mut dropped = Dropped::default();
    let mut points: Vec<Point> = Vec::with_capacity(values.len());
    for sample in values {
        match sample.at {
            Some(at) if sample.value.is_finite() => {
                if points.last().is_some_and(|last| last.at > at) {
                    dropped.n_disordered += 1;
                }
                points.push(Point { at, value: sample.value });
            }
            _ => dropped.n_not_finite += 1,
        }
    }
    if dropped.n_disordered > 0 {
        points.sort_by_key(|p| p.at);
    }
    let n = points.len();
    // Keeps the first of equal neighbours, so the order is turned round twice.
    points.reverse();
    points.dedup_by_key(|p| p.at);
    points.reverse();
    dropped.n_duplicate = (n - points.len()) as u64;
    (points, dropped)
}

/// What `/api/v1/targets` says of one target.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    #[serde(default)]
    pub(super) scrape_interval: String,
}

/// The data of `/api/v1/targets`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Targets {
    #[serde(default)]
    pub(super) active_targets: Vec<Target>,
}

/// The data of `/api/v1/metadata`: what exporters say of their metrics.
pub(super) type Metadata = BTreeMap<String, Vec<MetricMetadata>>;

/// Type, help and unit of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct MetricMetadata {
    /// `counter`, `gauge`, `histogram`, `summary` or `unknown`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What it is, in words.
    #[serde(default)]
    pub help: String,
    /// Its unit, where the exporter says so.
    #[serde(default)]
    pub unit: String,
}

/// The data of `/api/v1/status/buildinfo`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct BuildInfo {
    #[serde(default)]
    pub(super) version: String,
}

/// Reads a duration as Prometheus writes it (`1m30s`, `250ms`), in milliseconds.
#[must_use]
pub fn duration_ms(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let mut total = 0_i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, after) = rest.split_at(digits);
        let count: i64 = count.parse().ok()?;
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let ms = match &after[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(ms)?)?;
        rest = &after[unit..];
    }
    Some(total)
}

/// Writes a duration as Prometheus reads it: `90s`, `5m`, `250ms`.
#[must_use]
pub fn duration_text(ms: i64) -> String {
    match ms {
        _ if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        _ if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// The longest of the values that at least a fifth of them reach.
pub(super) fn common_longest(mut all: Vec<i64>) -> Option<i64> {
    all.sort_unstable_by(|a, b| b.cmp(a));
    // The value at this place, longest first, is reached by a fifth of all.
    let place = all.len().div_ceil(5).checked_sub(1)?;
    all.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lose_what_is_no_number_and_keep_the_newest_of_equal_times() {
        let row: RangeRow = serde_json::from_str(
            r#"{"metric":{"a":"b"},"values":[[1,"1"],[2,"NaN"],[3,"+Inf"],[4.5,"4"],[2,"2.5"],[4.5,"5"],[1e300,"1"]]}"#,
        )
        .expect("valid");
        let (points, dropped) = points(&row.values);
        let seen: Vec<(i64, f64)> = points.iter().map(|p| (p.at.ms(), p.value)).collect();
        assert_eq!(seen, [(1_000, 1.0), (2_000, 2.5), (4_500, 5.0)]);
        assert_eq!(dropped, Dropped { n_not_finite: 3, n_duplicate: 1, n_disordered: 1 });
    }

    #[test]
    fn answers_are_read_whichever_way_round() {
        for text in [
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}"#,
            r#"{"status":"success","data":{"result":[{"metric":{},"value":[1,"2"]}],"resultType":"vector","stats":{}}}"#,
        ] {
            let answer: Answer<QueryData> = serde_json::from_str(text).expect("valid");
            assert!(matches!(answer.data, Some(QueryData::Vector(rows)) if rows.len() == 1));
        }
    }

    #[test]
    fn durations_are_read_and_written_as_prometheus_does() {
        for (text, ms) in [("15s", 15_000), ("1m30s", 90_000), ("250ms", 250), ("1h", 3_600_000)] {
            assert_eq!(duration_ms(text), Some(ms));
            assert_eq!(duration_ms(&duration_text(ms)), Some(ms));
        }
        for text in ["", "15", "s", "1x", "9999999999999999999s", "9999999999y"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn one_slow_job_coarsens_nobody_and_a_fifth_does() {
        assert_eq!(common_longest(vec![]), None);
        assert_eq!(common_longest(vec![15_000]), Some(15_000));
        assert_eq!(common_longest([&[300_000][..], &[15_000; 9]].concat()), Some(15_000));
        assert_eq!(common_longest([&[300_000; 2][..], &[15_000; 8]].concat()), Some(300_000));
    }
}
