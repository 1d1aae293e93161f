//! Axes: round steps for values in the unit people read, and for times of day in UTC.

use crate::model::Time;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// The unit that an axis is labelled in: one for all its labels, so that they can be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct AxisUnit {
    /// One labelled unit in the series' own unit.
    pub size: f64,
    /// What stands behind each figure.
    pub suffix: &'static str,
}

/// The unit in which `most` (a value in the series' `unit`) is read best. A unit that is not
/// known is left to the chart's title.
pub(super) fn axis_unit(unit: &str, most: f64) -> AxisUnit {
    let of = |size, suffix| AxisUnit { size, suffix };
    let most = most.abs();
    match unit {
        "s" => seconds(1.0, most),
        "ms" => seconds(1e3, most),
        "us" => seconds(1e6, most),
        "ns" => seconds(1e9, most),
        "1" => of(0.01, " %"),
        "%" => of(1.0, " %"),
        "By" => bytes(most, [" B", " KiB", " MiB", " GiB", " TiB"]),
        "By/s" => bytes(most, [" B/s", " KiB/s", " MiB/s", " GiB/s", " TiB/s"]),
        _ if unit.starts_with('{') && unit.ends_with("}/s") => {
            thousands(most, [" /s", "k /s", "M /s"])
        }
        _ => thousands(most, ["", "k", "M"]),
    }
}

/// `per_s` is how many of the series' units are one second.
fn seconds(per_s: f64, most: f64) -> AxisUnit {
    let (size_s, suffix) = match most / per_s {
        s if s < 1e-3 => (1e-6, " µs"),
        s if s < 1.0 => (1e-3, " ms"),
        s if s < 120.0 => (1.0, " s"),
        s if s < 7_200.0 => (60.0, " min"),
        _ => (3_600.0, " h"),
    };
    AxisUnit { size: size_s * per_s, suffix }
}

fn bytes(most: f64, names: [&'static str; 5]) -> AxisUnit {
    let power = (most.max(1.0).log2() / 10.0).floor().clamp(0.0, 4.0);
    AxisUnit { size: 1024_f64.powf(power), suffix: names[power as usize] }
}

fn thousands(most: f64, names: [&'static str; 3]) -> AxisUnit {
    let power = (most.max(1.0).log10() / 3.0).floor().clamp(0.0, 2.0);
    // Below ten thousand the whole figure is as short as one with a `k`.
    let power = if most < 1e4 { 0.0 } else { power };
    AxisUnit { size: 1e3_f64.powf(power), suffix: names[power as usize] }
}

/// Round values from `low` to `high`, four to eight of them, with their labels.
pub(super) fn value_ticks(low: f64, high: f64, unit: &str) -> Vec<(f64, String)> {
    let axis = axis_unit(unit, low.abs().max(high.abs()));
    let (low, high) = (low / axis.size, high / axis.size);
    let step = round_step((high - low) / 4.0);
    let digits = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last.min(first + 10))
        .map(|i| {
            let value = i as f64 * step;
            (value * axis.size, format!("{value:.digits$}{}", axis.suffix))
        })
        .collect()
}

/// The greatest of 1, 2, 2.5 and 5 times a power of ten that is at most `most`.
fn round_step(most: f64) -> f64 {
    let power = 10_f64.powf(most.max(1e-9).log10().floor());
    let step = [5.0, 2.0, 1.0].into_iter().find(|s| s * power <= most * (1.0 + 1e-9));
    step.unwrap_or(1.0) * power
}

/// Round times of the range, at most `most` of them, with their labels: a clock time, or the day
/// where a day begins. All in UTC.
pub(super) fn time_ticks(since: Time, until: Time, most: usize) -> Vec<(Time, String)> {
    const STEPS: [i64; 18] = [
        SECOND_MS,
        5 * SECOND_MS,
        15 * SECOND_MS,
        30 * SECOND_MS,
        MINUTE_MS,
        2 * MINUTE_MS,
        5 * MINUTE_MS,
        10 * MINUTE_MS,
        15 * MINUTE_MS,
        30 * MINUTE_MS,
        HOUR_MS,
        2 * HOUR_MS,
        4 * HOUR_MS,
        6 * HOUR_MS,
        12 * HOUR_MS,
        DAY_MS,
        2 * DAY_MS,
        7 * DAY_MS,
    ];
    let range = until.ms_since(since).max(1);
    let n = most.max(1) as i64;
    let step = STEPS.into_iter().find(|s| range / s < n).unwrap_or(range / n);
    let first = since.floor_to(step);
    (0..=n + 1)
        .map(|i| first.plus_ms(i * step))
        .filter(|at| *at >= since && *at <= until)
        .map(|at| (at, time_label(at, step)))
        .collect()
}

fn time_label(at: Time, step: i64) -> String {
    if at.floor_to(DAY_MS) == at {
        return at.minute_text()[5..10].to_owned();
    }
    let clock = at.clock_text();
    if step < MINUTE_MS { clock } else { clock[..5].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, unit: &str) -> Vec<String> {
        value_ticks(low, high, unit).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn an_axis_has_round_values_in_one_unit() {
        for (low, high, unit, expected) in [
            (0.0, 1.7, "s", "0.0 s|0.2 s|0.4 s|0.6 s|0.8 s|1.0 s|1.2 s|1.4 s|1.6 s"),
            (0.0, 0.31, "s", "0 ms|50 ms|100 ms|150 ms|200 ms|250 ms|300 ms"),
            (0.0, 310.0, "ms", "0 ms|50 ms|100 ms|150 ms|200 ms|250 ms|300 ms"),
            (0.0, 0.04, "1", "0 %|1 %|2 %|3 %|4 %"),
            (0.0, 1.5e9, "By", "0.0 GiB|0.2 GiB|0.4 GiB|0.6 GiB|0.8 GiB|1.0 GiB|1.2 GiB"),
            (20.0, 88.0, "{request}/s", "20 /s|30 /s|40 /s|50 /s|60 /s|70 /s|80 /s"),
            (0.0, 52_000.0, "{request}/s", "0k /s|10k /s|20k /s|30k /s|40k /s|50k /s"),
            (-3.0, 5.0, "", "-2|0|2|4"),
        ] {
            assert_eq!(labels(low, high, unit).join("|"), expected, "{low} to {high} {unit}");
        }
    }

    #[test]
    fn times_are_round_and_days_are_named() {
        let at = |text: &str| Time::parse(text).unwrap();
        let labels = |since: &str, until: &str| -> Vec<String> {
            time_ticks(at(since), at(until), 6).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(
            labels("2026-11-21T07:03:10Z", "2026-11-21T08:12:00Z"),
            ["07:15", "07:30", "07:45", "08:00"]
        );
        assert_eq!(
            labels("2026-11-20T20:00:00Z", "2026-11-21T06:00:00Z"),
            ["20:00", "22:00", "11-21", "02:00", "04:00", "06:00"]
        );
        assert_eq!(labels("2026-11-20T20:00:00Z", "2026-11-20T20:00:02Z").len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn any_range_gives_few_ticks_inside_it(low in -1e12_f64..1e12, size in 1e-9_f64..1e12) {
            for unit in ["s", "1", "By", "{request}/s", "Cel"] {
                let ticks = value_ticks(low, low + size, unit);
                proptest::prop_assert!(ticks.len() <= 11);
            }
        }
    }
}
